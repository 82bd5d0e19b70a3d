-- +goose Up

-- number is that of the CRL for which a part was made: those that were made longest ago
-- are made anew first. A shard's parts are those whose numbers are not above that of
-- its latest full CRL; what is above is of one that is being made, or never came.
CREATE TABLE crl_part_new (
    issuer      INTEGER NOT NULL,
    shard       INTEGER NOT NULL,
    last_serial BLOB NOT NULL,
    number      INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    octets      INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    hash        BLOB NOT NULL,
    der         BLOB NOT NULL,
    PRIMARY KEY (issuer, shard, last_serial, number)
) STRICT;
INSERT INTO crl_part_new SELECT issuer, shard, last_serial,
        (SELECT coalesce(max(c.number), 0) FROM crl c WHERE c.issuer = p.issuer AND c.shard = p.shard AND c.base = 0),
        entries, octets, expires, hash, der
    FROM crl_part p;
-- Parts from before 21 have no hashes, and their lists were to be made of nothing but
-- entries.
UPDATE crl_shard SET due = 0 WHERE whole = 0
    AND EXISTS (SELECT 1 FROM crl_part p WHERE p.issuer = crl_shard.issuer AND p.shard = crl_shard.shard);
DROP TABLE crl_part;
ALTER TABLE crl_part_new RENAME TO crl_part;
ALTER TABLE crl_shard DROP COLUMN whole;
