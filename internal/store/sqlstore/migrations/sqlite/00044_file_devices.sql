-- +goose Up

-- That a device of a file has its certificate is said by the certificate alone, and no
-- more by key_use: a binary that does not know would issue it a second one. The version
-- of the schema keeps such a binary from the database.
SELECT 1;
