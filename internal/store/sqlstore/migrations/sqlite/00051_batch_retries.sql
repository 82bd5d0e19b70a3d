-- +goose Up

-- The retries of a batch: of a file whose certificates are archived it is asked whether any
-- of its batches has rows still.
CREATE INDEX batch_retries ON batch (retry_of) WHERE retry_of <> '';
