-- +goose Up

-- A place is a product line or a site. num is that of table ref: a name that
-- certificates hold has a row here or in table lot, and the other way about.
CREATE TABLE place (
    num         INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL, -- line, site
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    actor       TEXT NOT NULL, -- who registered it; empty is by its first use
    created     INTEGER NOT NULL,
    UNIQUE (tenant, kind, name)
) STRICT;

CREATE TABLE lot (
    num          INTEGER PRIMARY KEY,
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    product_line TEXT NOT NULL,
    site         TEXT NOT NULL,
    ordered      INTEGER NOT NULL, -- 0 where no quantity was said
    state        TEXT NOT NULL,    -- open, closed
    actor        TEXT NOT NULL,
    created      INTEGER NOT NULL,
    closed       INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

INSERT INTO place (num, kind, tenant, name, description, actor, created)
    SELECT num, kind, tenant, text, '', '', 0 FROM ref WHERE kind IN ('line', 'site');
INSERT INTO lot (num, tenant, name, product_line, site, ordered, state, actor, created, closed)
    SELECT num, tenant, text, '', '', 0, 'open', '', 0, 0 FROM ref WHERE kind = 'lot';

-- Whether names must be registered before their first use.
ALTER TABLE tenant ADD COLUMN strict_registry INTEGER NOT NULL DEFAULT 0;

-- Of a suspended device: the state that resume makes it again, and the newest
-- revocation entry from before the suspension: later holds are its own.
ALTER TABLE device ADD COLUMN resumes TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN held_after INTEGER NOT NULL DEFAULT 0;

-- Issuing to a new device touches none of these. A device that was issued to is
-- found by its lot or product line through its certificates.
CREATE INDEX device_state ON device (owner, state, device) WHERE state <> 'issued';
CREATE INDEX device_lot ON device (lot, device) WHERE state IN ('planned', 'decommissioned');
CREATE INDEX device_line ON device (product_line, device) WHERE state IN ('planned', 'decommissioned');

CREATE INDEX event_target ON event (tenant, target, num);

-- The indexes of certificates that an authority keeps where it was created so,
-- separated by commas. What leads a search has tables of its own, so that nobody
-- else pays for it; tenant is the issuer's and, where that is another, the
-- owner's. fp8 is the first 8 bytes of the SHA-256 of the DER.
ALTER TABLE authority ADD COLUMN indexes TEXT NOT NULL DEFAULT '';

CREATE TABLE certificate_fingerprint (
    fp8         BLOB NOT NULL,
    certificate INTEGER NOT NULL,
    PRIMARY KEY (fp8, certificate)
) STRICT, WITHOUT ROWID;

CREATE TABLE certificate_subject (
    tenant      INTEGER NOT NULL,
    token       TEXT NOT NULL,
    certificate INTEGER NOT NULL,
    PRIMARY KEY (tenant, token, certificate)
) STRICT, WITHOUT ROWID;

CREATE TABLE certificate_expiry (
    tenant      INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    certificate INTEGER NOT NULL,
    PRIMARY KEY (tenant, not_after, certificate)
) STRICT, WITHOUT ROWID;

-- Of a single request: who asked, a name of table ref, and the request as
-- tbs.CutKey leaves it. In the row, since a table of its own would cost more than
-- the few bytes that these are where there are none.
ALTER TABLE certificate ADD COLUMN actor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE certificate ADD COLUMN request BLOB NOT NULL DEFAULT x'';
