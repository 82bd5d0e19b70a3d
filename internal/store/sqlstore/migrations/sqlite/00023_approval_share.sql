-- +goose Up

-- Of a rule for revocation.run: how many of 10,000 certificates in force a job may
-- change with nobody else.
ALTER TABLE approval_rule ADD COLUMN share INTEGER NOT NULL DEFAULT 0;
