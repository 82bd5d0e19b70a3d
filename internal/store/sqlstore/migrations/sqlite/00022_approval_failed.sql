-- +goose Up

-- The failed changes are looked for by when they failed, every half minute.
CREATE INDEX change_failed ON change (finished) WHERE state = 'failed';
