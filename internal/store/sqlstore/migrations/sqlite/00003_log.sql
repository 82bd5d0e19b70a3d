-- +goose Up

-- hashes has the leaves' hashes until they are sequenced; first_index is the place
-- of the first of them in the tenant's log, -1 until then. first_row is the id of
-- the first certificate of a run of certificates, which follow each other.
ALTER TABLE leaf_group ADD COLUMN first_index INTEGER NOT NULL DEFAULT -1;
ALTER TABLE leaf_group ADD COLUMN first_row INTEGER NOT NULL DEFAULT 0;
ALTER TABLE leaf_group ADD COLUMN hashes BLOB NOT NULL DEFAULT x'';
CREATE INDEX leaf_group_waiting ON leaf_group (id) WHERE first_index < 0;
CREATE INDEX leaf_group_ref ON leaf_group (kind, ref);
CREATE INDEX leaf_group_index ON leaf_group (tenant, first_index) WHERE first_index >= 0;

-- Groups from before have no hashes: they are made anew from the rows.
CREATE INDEX certificate_of_intent ON certificate (intent);
UPDATE leaf_group SET first_row = coalesce((SELECT min(c.id) FROM certificate c WHERE c.intent = leaf_group.ref), 0)
    WHERE kind = 'certificates';
DROP INDEX certificate_of_intent;

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A lease is held by one node at a time; whoever takes it over raises the epoch.
CREATE TABLE lease (
    name     TEXT PRIMARY KEY,
    node     TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    until_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A tenant's log: its tree, its newest signed checkpoint, and up to which size an
-- anchor has taken one. unanchored_since is when it first grew beyond that.
CREATE TABLE log (
    tenant           INTEGER PRIMARY KEY,
    key_uri          TEXT NOT NULL,
    verifier         TEXT NOT NULL,
    size             INTEGER NOT NULL,
    root             BLOB NOT NULL,
    signed_size      INTEGER NOT NULL,
    checkpoint       TEXT NOT NULL,
    anchored_size    INTEGER NOT NULL,
    unanchored_since INTEGER NOT NULL
) STRICT;

-- Tiles of 256 hashes; the last one of a level may have fewer.
CREATE TABLE log_tile (
    tenant INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (tenant, level, n)
) STRICT;

-- The checkpoints that were handed to anchors.
CREATE TABLE log_checkpoint (
    tenant INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    note   TEXT NOT NULL,
    PRIMARY KEY (tenant, size)
) STRICT;
