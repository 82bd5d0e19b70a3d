-- +goose Up
-- The jobs that a tenant has under way, counted before it begins another.
CREATE INDEX revocation_job_open ON revocation_job (tenant) WHERE state IN ('counting', 'counted', 'running', 'paused');

-- 1 for a log that cannot be sequenced for what is in it; it is tried again.
ALTER TABLE log ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;
