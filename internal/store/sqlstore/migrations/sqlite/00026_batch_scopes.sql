-- +goose Up

-- The scopes on which the submitter might submit it, separated by commas; empty is the
-- whole tenant, and for the batches that were there before.
ALTER TABLE batch ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
