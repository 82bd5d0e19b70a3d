-- +goose Up

-- A certificate's shard follows from its serial, so one index finds a serial's
-- entries and a shard's alike: there were two.
CREATE TABLE revocation_new (
    seq       INTEGER PRIMARY KEY,
    issuer    INTEGER NOT NULL,
    serial    BLOB NOT NULL,
    n         INTEGER NOT NULL,
    reason    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    shard     INTEGER NOT NULL,
    not_after INTEGER NOT NULL
) STRICT;
INSERT INTO revocation_new SELECT seq, issuer, serial, n, reason, at, shard, not_after FROM revocation;
DROP TABLE revocation;
ALTER TABLE revocation_new RENAME TO revocation;
CREATE UNIQUE INDEX revocation_serial ON revocation (issuer, shard, serial, n);
