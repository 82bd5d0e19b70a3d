-- +goose Up

-- Whose approval each enrolment at an endpoint needs after that which its profile wants:
-- steps in JSON, and how long one waits, in microseconds; empty is nobody's.
ALTER TABLE endpoint ADD COLUMN approvals TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoint ADD COLUMN approval_life INTEGER NOT NULL DEFAULT 0;
