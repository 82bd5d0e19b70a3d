-- +goose Up
-- Certificates that a release left, since their devices are suspended.
ALTER TABLE revocation_count ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;
