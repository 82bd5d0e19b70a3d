-- +goose Up

-- Roles of a tenant's own.
CREATE TABLE access_role (
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL, -- separated by commas
    created     INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- A role on a scope, given to a principal. Of a scope all names that are not empty
-- must hold; all empty is the whole tenant.
CREATE TABLE access_grant (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL,
    principal    TEXT NOT NULL, -- token:ID, or trust:NAME for all whom a trusted authority certifies
    role         TEXT NOT NULL,
    authority    TEXT NOT NULL,
    product_line TEXT NOT NULL,
    site         TEXT NOT NULL,
    endpoint     TEXT NOT NULL,
    actor        TEXT NOT NULL,
    created      INTEGER NOT NULL,
    UNIQUE (tenant, principal, role, authority, product_line, site, endpoint)
) STRICT, WITHOUT ROWID;
CREATE INDEX access_grant_role ON access_grant (tenant, role);

-- What tokens and trusted authorities had as a role and names of endpoints.
INSERT INTO access_grant (id, tenant, principal, role, authority, product_line, site, endpoint, actor, created)
    SELECT id, tenant, 'token:' || id, role, '', '', '', '', '', created FROM token WHERE endpoints = '';
INSERT INTO access_grant (id, tenant, principal, role, authority, product_line, site, endpoint, actor, created)
    SELECT t.id || '.' || e.name, t.tenant, 'token:' || t.id, t.role, '', '', '', e.name, '', t.created
    FROM token t JOIN endpoint e ON e.tenant = t.tenant AND ',' || t.endpoints || ',' LIKE '%,' || e.name || ',%';
INSERT INTO access_grant (id, tenant, principal, role, authority, product_line, site, endpoint, actor, created)
    SELECT id, tenant, 'trust:' || name, role, '', '', '', '', '', created FROM trust_anchor WHERE endpoints = '';
INSERT INTO access_grant (id, tenant, principal, role, authority, product_line, site, endpoint, actor, created)
    SELECT t.id || '.' || e.name, t.tenant, 'trust:' || t.name, t.role, '', '', '', e.name, '', t.created
    FROM trust_anchor t JOIN endpoint e ON e.tenant = t.tenant AND ',' || t.endpoints || ',' LIKE '%,' || e.name || ',%';
ALTER TABLE token DROP COLUMN role;
ALTER TABLE token DROP COLUMN endpoints;
ALTER TABLE trust_anchor DROP COLUMN role;
ALTER TABLE trust_anchor DROP COLUMN endpoints;

-- The principal that made the token; empty where that is not known.
ALTER TABLE token ADD COLUMN maker TEXT NOT NULL DEFAULT '';

-- Where all rows of a batch belong; empty where they differ or say nothing, and for the
-- batches that were there before.
ALTER TABLE batch ADD COLUMN every_line TEXT NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN every_site TEXT NOT NULL DEFAULT '';
