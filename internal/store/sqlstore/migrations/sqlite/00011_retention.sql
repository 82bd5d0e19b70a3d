-- +goose Up

-- For how long certificates that have expired stay, in microseconds; 0 is for good.
ALTER TABLE tenant ADD COLUMN keep_expired INTEGER NOT NULL DEFAULT 0;

-- An archive is an object outside the store with certificates that have expired.
-- before is what they expired before; first_row and last_row are the ids of the
-- first and the last of them. What is said of the object is there once it is
-- written, and then it is in the log too.
CREATE TABLE archive (
    num       INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    tenant    TEXT NOT NULL,
    state     TEXT NOT NULL, -- planned, written, done
    created   INTEGER NOT NULL,
    before    INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    last_row  INTEGER NOT NULL,
    finished  INTEGER NOT NULL,
    removed   INTEGER NOT NULL,
    manifest  TEXT NOT NULL -- retention.Manifest in JSON
) STRICT;
CREATE INDEX archive_tenant ON archive (tenant, id);
CREATE INDEX archive_open ON archive (num) WHERE state <> 'done';

-- What stays of a certificate that is in an archive: that its serial was issued,
-- and where it is. id is that of its row, which no other gets again.
CREATE TABLE archived (
    id        INTEGER PRIMARY KEY,
    serial    BLOB NOT NULL,
    issuer    INTEGER NOT NULL,
    archive   INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    batch     INTEGER,
    row_no    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX archived_serial ON archived (serial, issuer);
CREATE UNIQUE INDEX archived_row ON archived (batch, row_no) WHERE batch IS NOT NULL;
