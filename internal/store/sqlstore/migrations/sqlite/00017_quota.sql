-- +goose Up

-- used is what the intents above barrier took, and what was counted of those up to
-- it: certificates with ids up to position. While counting is 1 there may be more.
CREATE TABLE quota (
    num      INTEGER PRIMARY KEY,
    tenant   TEXT NOT NULL,
    kind     TEXT NOT NULL, -- tenant, authority, profile, product-line
    name     TEXT NOT NULL, -- empty for the tenant's
    bound    INTEGER NOT NULL,
    used     INTEGER NOT NULL,
    barrier  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    counting INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    changed  INTEGER NOT NULL,
    UNIQUE (tenant, kind, name)
) STRICT;
