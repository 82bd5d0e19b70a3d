-- +goose Up

-- 1 where the default rules of approval hold for the kinds that have no rule of the
-- tenant's own. Tenants from before have none.
ALTER TABLE tenant ADD COLUMN approvals INTEGER NOT NULL DEFAULT 0;

-- What an act of a kind needs: steps in JSON, none with [], and for how many
-- microseconds a change waits.
CREATE TABLE approval_rule (
    tenant TEXT NOT NULL,
    kind   TEXT NOT NULL,
    steps  TEXT NOT NULL,
    life   INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind)
) STRICT, WITHOUT ROWID;

-- An act that waits for approval, or did. payload, hash, steps and requester are never
-- changed. decided is how many decisions it has.
CREATE TABLE change (
    num              INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    tenant           TEXT NOT NULL,
    kind             TEXT NOT NULL,
    target           TEXT NOT NULL,
    place            TEXT NOT NULL, -- an access.Scope
    summary          TEXT NOT NULL,
    payload          BLOB NOT NULL,
    hash             BLOB NOT NULL,
    requester_tenant TEXT NOT NULL,
    requester        TEXT NOT NULL,
    requester_name   TEXT NOT NULL,
    created          INTEGER NOT NULL,
    expires          INTEGER NOT NULL,
    state            TEXT NOT NULL, -- approval.State
    outcome          TEXT NOT NULL,
    finished         INTEGER NOT NULL,
    steps            TEXT NOT NULL,
    decided          INTEGER NOT NULL
) STRICT;
CREATE INDEX change_tenant ON change (tenant, id);
CREATE INDEX change_open ON change (id) WHERE state IN ('pending', 'approved');
CREATE UNIQUE INDEX change_same ON change (tenant, requester, hash) WHERE state IN ('pending', 'approved');

CREATE TABLE change_decision (
    change           TEXT NOT NULL,
    n                INTEGER NOT NULL, -- from 0, in the order of time
    step             INTEGER NOT NULL,
    principal_tenant TEXT NOT NULL,
    principal        TEXT NOT NULL,
    principal_name   TEXT NOT NULL,
    at               INTEGER NOT NULL,
    verdict          TEXT NOT NULL,
    hash             BLOB NOT NULL,
    comment          TEXT NOT NULL,
    PRIMARY KEY (change, n)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX change_decision_once ON change_decision (change, principal);
