-- +goose Up

-- What is due is looked for by validator: one that does not answer keeps no other's waiting.
DROP INDEX validator_notice_due;
CREATE INDEX validator_notice_due ON validator_notice (validator, due);

-- The idempotency key of the enrolment; empty is that it was not begun. The row's own key
-- names the request, also of one that came to nothing before.
ALTER TABLE validator_notice ADD COLUMN idempotency TEXT NOT NULL DEFAULT '';
UPDATE validator_notice SET idempotency = key;
