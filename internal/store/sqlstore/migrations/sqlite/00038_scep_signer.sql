-- +goose Up

-- A transaction identifier is that of the key which signs its messages: one that others
-- use too is another transaction.
CREATE TABLE scep_transaction_new (
    tenant    TEXT NOT NULL,
    endpoint  TEXT NOT NULL, -- name
    id        TEXT NOT NULL,
    signer    BLOB NOT NULL, -- SHA-256 of the key that signs its messages
    key       BLOB NOT NULL, -- SHA-256 of the key that it asks a certificate for
    begun     INTEGER NOT NULL,
    request   BLOB NOT NULL, -- of no octets where none waited
    renews    INTEGER NOT NULL,
    principal TEXT NOT NULL, -- that began it, or whose request waits
    PRIMARY KEY (tenant, endpoint, id, signer)
) STRICT, WITHOUT ROWID;
INSERT INTO scep_transaction_new (tenant, endpoint, id, signer, key, begun, request, renews, principal)
    SELECT tenant, endpoint, id, signer, key, begun, request, renews, principal FROM scep_transaction;
DROP TABLE scep_transaction;
ALTER TABLE scep_transaction_new RENAME TO scep_transaction;
CREATE INDEX scep_transaction_begun ON scep_transaction (begun);
