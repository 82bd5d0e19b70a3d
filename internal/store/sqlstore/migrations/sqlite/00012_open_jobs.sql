-- +goose Up
-- The jobs that a tenant has under way, counted before it begins another.
CREATE INDEX revocation_job_open ON revocation_job (tenant) WHERE state IN ('counting', 'counted', 'running', 'paused');
