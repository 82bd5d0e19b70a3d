-- +goose Up

-- The service outside that checks the challenges of SCEP at an endpoint, by its name in the
-- configuration; empty is none.
ALTER TABLE endpoint ADD COLUMN validator TEXT NOT NULL DEFAULT '';

-- What validators are still to be told: what became of a request that they took. A row is
-- there before anything is issued, and goes when the validator was told.
CREATE TABLE validator_notice (
    tenant      TEXT NOT NULL,
    key         TEXT NOT NULL, -- idempotency key of the enrolment, as its adapter made it
    endpoint    TEXT NOT NULL, -- name
    validator   TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    device      TEXT NOT NULL, -- that proved itself by a certificate besides; '' is none
    sealed      BLOB NOT NULL, -- the request with its challenge, under the deployment's key-encryption key
    due         INTEGER NOT NULL, -- when to look next
    until       INTEGER NOT NULL, -- by when it has come to nothing
    failure     TEXT NOT NULL, -- why it was refused; '' is not known, or it was not
    attempts    INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX validator_notice_due ON validator_notice (due);
