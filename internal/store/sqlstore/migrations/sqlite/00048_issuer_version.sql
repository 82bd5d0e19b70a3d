-- +goose Up

-- The version of its authority's profile that a rollover was approved with; 0: not known.
ALTER TABLE issuer ADD COLUMN profile_version INTEGER NOT NULL DEFAULT 0;
