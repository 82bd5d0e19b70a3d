-- +goose Up

-- The number of the job that made an entry; 0 is none; -1 is not known, of entries that
-- were made before this was kept, or taken over from a published CRL.
ALTER TABLE revocation ADD COLUMN job INTEGER NOT NULL DEFAULT -1;
