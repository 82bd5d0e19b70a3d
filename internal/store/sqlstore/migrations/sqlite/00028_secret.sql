-- +goose Up

-- What proofs an endpoint wants, one of them: separated by commas, each one or more ways
-- joined by +; empty is any one. And the prefixes from which it takes requests, separated
-- by commas; empty is anywhere.
ALTER TABLE endpoint ADD COLUMN auth TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoint ADD COLUMN networks TEXT NOT NULL DEFAULT '';

-- Enrolment secrets, without what they are: their hash.
CREATE TABLE enrol_secret (
    id       TEXT PRIMARY KEY,
    tenant   TEXT NOT NULL,
    endpoint TEXT NOT NULL, -- name
    name     TEXT NOT NULL, -- for people; '' is none
    device   TEXT NOT NULL, -- '' is any
    subject  TEXT NOT NULL, -- of the request, RFC 4514; '' is any
    once     INTEGER NOT NULL,
    chosen   INTEGER NOT NULL, -- by somebody, so that it is tried, and not found by its id
    salt     BLOB NOT NULL, -- of a chosen one
    hash     BLOB NOT NULL,
    maker    TEXT NOT NULL,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    revoked  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrol_secret_tenant ON enrol_secret (tenant, id);
CREATE INDEX enrol_secret_endpoint ON enrol_secret (tenant, endpoint, id);
CREATE INDEX enrol_secret_device ON enrol_secret (tenant, device, id) WHERE device <> '';
CREATE INDEX enrol_secret_chosen ON enrol_secret (tenant, endpoint, expires) WHERE chosen = 1;
CREATE INDEX enrol_secret_expires ON enrol_secret (expires);
