-- +goose Up

-- A certificate's shard follows from its serial, so one index finds a serial's
-- entries and a shard's alike: there were two.
CREATE TABLE revocation_new (
    seq       INTEGER PRIMARY KEY,
    issuer    INTEGER NOT NULL,
    serial    BLOB NOT NULL,
    n         INTEGER NOT NULL,
    reason    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    shard     INTEGER NOT NULL,
    not_after INTEGER NOT NULL
) STRICT;
INSERT INTO revocation_new SELECT seq, issuer, serial, n, reason, at, shard, not_after FROM revocation;
DROP TABLE revocation;
ALTER TABLE revocation_new RENAME TO revocation;
CREATE UNIQUE INDEX revocation_serial ON revocation (issuer, shard, serial, n);

-- bound is the highest id of the certificates that belong to the job, position how
-- far it is: an id, or of a batch's job a row number.
CREATE TABLE revocation_job (
    num         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    tenant      TEXT NOT NULL,
    selector    TEXT NOT NULL,
    name        TEXT NOT NULL,
    reason      INTEGER NOT NULL,
    dry_run     INTEGER NOT NULL,
    idempotency TEXT NOT NULL,
    state       TEXT NOT NULL,
    bound       INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    submitter   TEXT NOT NULL,
    created     INTEGER NOT NULL,
    started     INTEGER NOT NULL,
    finished    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX revocation_job_idempotency ON revocation_job (tenant, idempotency) WHERE idempotency <> '';
CREATE UNIQUE INDEX revocation_job_tenant ON revocation_job (tenant, id);
CREATE INDEX revocation_job_active ON revocation_job (num) WHERE state IN ('counting', 'running');

-- In which state the certificates of a job were found.
CREATE TABLE revocation_count (
    job     INTEGER NOT NULL,
    issuer  INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    good    INTEGER NOT NULL,
    held    INTEGER NOT NULL,
    revoked INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    PRIMARY KEY (job, issuer, shard)
) STRICT, WITHOUT ROWID;
