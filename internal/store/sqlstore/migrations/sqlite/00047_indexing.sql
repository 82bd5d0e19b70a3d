-- +goose Up

-- Indexes that an authority gets later (indexing): the certificates up to row index_bound
-- were there before, and those up to indexed have them already. A bound of 0: it has not
-- begun.
ALTER TABLE authority ADD COLUMN indexing TEXT NOT NULL DEFAULT '';
ALTER TABLE authority ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE authority ADD COLUMN index_bound INTEGER NOT NULL DEFAULT 0;
