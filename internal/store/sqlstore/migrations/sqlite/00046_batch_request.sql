-- +goose Up

-- The requests of a chunk's rows that have a certificate, packed, when the rows
-- themselves are dropped: see packRequests. Of chunks whose rows an earlier binary
-- dropped there is nothing.
CREATE TABLE batch_request (
    id     INTEGER PRIMARY KEY,
    batch  INTEGER NOT NULL,
    no     INTEGER NOT NULL, -- of the chunk
    packed BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX batch_request_chunk ON batch_request (batch, no);
