-- +goose Up

-- Transactions of SCEP: which keys a transaction identifier is for, and what waits in it
-- for approval.
CREATE TABLE scep_transaction (
    tenant    TEXT NOT NULL,
    endpoint  TEXT NOT NULL, -- name
    id        TEXT NOT NULL,
    signer    BLOB NOT NULL, -- SHA-256 of the key that signs its messages
    key       BLOB NOT NULL, -- SHA-256 of the key that it asks a certificate for
    begun     INTEGER NOT NULL,
    request   BLOB NOT NULL, -- of no octets where none waited
    renews    INTEGER NOT NULL,
    principal TEXT NOT NULL,
    PRIMARY KEY (tenant, endpoint, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scep_transaction_begun ON scep_transaction (begun);
