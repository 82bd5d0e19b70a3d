-- +goose Up

-- Parts that are no CRL's any more, by their keys: they are marked in the transaction of
-- the CRL that does without them, and dropped in later ones, some at a time.
CREATE TABLE crl_part_gone (
    issuer      INTEGER NOT NULL,
    shard       INTEGER NOT NULL,
    last_serial BLOB NOT NULL,
    number      INTEGER NOT NULL,
    PRIMARY KEY (issuer, shard, last_serial, number)
) STRICT, WITHOUT ROWID;
