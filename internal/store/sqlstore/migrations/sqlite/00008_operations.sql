-- +goose Up

-- What the platform operator sets for a tenant. 0 is what the deployment has.
ALTER TABLE tenant ADD COLUMN per_second INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenant ADD COLUMN burst INTEGER NOT NULL DEFAULT 0;

-- How many certificates of an owner and a profile end in a month, as 202611. Counter
-- 'expiry' is the id of the last certificate that is counted here.
CREATE TABLE expiry_count (
    owner   INTEGER NOT NULL,
    month   INTEGER NOT NULL,
    profile INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (owner, month, profile)
) STRICT, WITHOUT ROWID;

-- Authorities whose client certificates prove somebody, by tenant.
CREATE TABLE trust_anchor (
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    id          TEXT NOT NULL,
    issuer      TEXT NOT NULL, -- of the tenant's own authority; empty where it was imported
    certificate BLOB NOT NULL,
    role        TEXT NOT NULL,
    endpoints   TEXT NOT NULL, -- separated by commas; empty is all
    created     INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
