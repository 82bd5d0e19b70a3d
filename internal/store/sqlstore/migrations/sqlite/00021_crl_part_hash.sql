-- +goose Up

-- hash is the SHA-256 of a part's der, so that one that changed is not signed again. The
-- parts that are there have none: each shard's next CRL is made of nothing but its entries.
ALTER TABLE crl_part ADD COLUMN hash BLOB NOT NULL DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000';
UPDATE crl_shard SET whole = 0;
