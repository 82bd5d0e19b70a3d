-- +goose Up

-- A batch that is a retry has its rows from another: retry_of is that batch's id,
-- retry_kinds the kinds of refusal that were asked for, separated by commas; empty
-- is all.
ALTER TABLE batch ADD COLUMN retry_of TEXT NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN retry_kinds TEXT NOT NULL DEFAULT '';

-- For each chunk of a retry, where its rows stood in the file that was uploaded:
-- row numbers as uvarints, one after another.
CREATE TABLE batch_origin (
    batch   INTEGER NOT NULL,
    no      INTEGER NOT NULL,
    origins BLOB NOT NULL,
    PRIMARY KEY (batch, no)
) STRICT, WITHOUT ROWID;

-- A refusal's place is what its row said, or its batch for it. retried is the num
-- of the batch that has the row again, 0 for none.
ALTER TABLE batch_refusal ADD COLUMN product_line TEXT NOT NULL DEFAULT '';
ALTER TABLE batch_refusal ADD COLUMN lot TEXT NOT NULL DEFAULT '';
ALTER TABLE batch_refusal ADD COLUMN site TEXT NOT NULL DEFAULT '';
ALTER TABLE batch_refusal ADD COLUMN retried INTEGER NOT NULL DEFAULT 0;
UPDATE batch_refusal SET (product_line, lot, site) =
    (SELECT b.product_line, b.lot, b.site FROM batch b WHERE b.num = batch_refusal.batch);
CREATE INDEX batch_refusal_lot ON batch_refusal (lot) WHERE lot <> '';
