-- +goose Up

-- The entries of a shard's latest full CRL, encoded, in parts: those above the last
-- serial of the part before. der of such a CRL is what stands before its entries, head
-- octets of it, and what stands after them. A head of 0 is a CRL that is whole. whole
-- is when a shard's list was last made of nothing but its entries.
CREATE TABLE crl_part (
    issuer      INTEGER NOT NULL,
    shard       INTEGER NOT NULL,
    last_serial BLOB NOT NULL,
    entries     INTEGER NOT NULL,
    octets      INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    der         BLOB NOT NULL,
    PRIMARY KEY (issuer, shard, last_serial)
) STRICT;
ALTER TABLE crl ADD COLUMN head INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crl_shard ADD COLUMN whole INTEGER NOT NULL DEFAULT 0;
