-- +goose Up

-- What an intent claimed lately, in one row: keys and idempotency keys are random,
-- so that each put into its table at once would write a page of its own. They are
-- moved to key_use and idempotency many at a time, in the order of the keys; until
-- the rows here are deleted, those have them too.
CREATE TABLE claim (
    intent  INTEGER PRIMARY KEY,
    created INTEGER NOT NULL,
    entries BLOB NOT NULL
) STRICT;
