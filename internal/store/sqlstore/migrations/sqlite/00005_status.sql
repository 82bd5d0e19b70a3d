-- +goose Up

-- base is the number of the full CRL that a delta is to, 0 for a full one. It
-- stands behind the DER in the row: it is read from the index.
ALTER TABLE crl ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
CREATE INDEX crl_list ON crl (issuer, shard, base, number);

ALTER TABLE authority ADD COLUMN deltas INTEGER NOT NULL DEFAULT 0;
ALTER TABLE issuer ADD COLUMN deltas INTEGER NOT NULL DEFAULT 0;

-- A shard has a row as soon as its issuer has a certificate. It is due at the time
-- due, 0 for at once, when newest is above covers, and when made, the thisUpdate of
-- its latest CRL, lies in the future. Each has an index, so that looking for what is
-- due does not read what is not.
ALTER TABLE crl_shard ADD COLUMN covers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crl_shard ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crl_shard ADD COLUMN made INTEGER NOT NULL DEFAULT 0;
WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 65535)
    INSERT INTO crl_shard (issuer, shard, number, newest)
    SELECT i.num, s.n, 0, 0 FROM issuer i CROSS JOIN s WHERE s.n < i.shards AND length(i.certificate) > 0
    ON CONFLICT (issuer, shard) DO NOTHING;
UPDATE crl_shard SET (covers, due, made) =
    (SELECT c.covers, (c.this_update + c.next_update) / 2, c.this_update FROM crl c
        WHERE c.issuer = crl_shard.issuer AND c.shard = crl_shard.shard ORDER BY c.number DESC LIMIT 1)
    WHERE EXISTS (SELECT 1 FROM crl c WHERE c.issuer = crl_shard.issuer AND c.shard = crl_shard.shard);
CREATE INDEX crl_shard_due ON crl_shard (issuer, due);
CREATE INDEX crl_shard_made ON crl_shard (issuer, made);
CREATE INDEX crl_shard_behind ON crl_shard (issuer) WHERE newest > covers;
