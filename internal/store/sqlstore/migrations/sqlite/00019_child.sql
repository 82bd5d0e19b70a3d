-- +goose Up

-- A child tenant has a parent, which made it, and may suspend it.
ALTER TABLE tenant ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE tenant ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tenant_parent ON tenant (parent, id) WHERE parent <> '';

-- What a parent lends to a child: an authority with a profile. How many certificates
-- that is for is the child's quota of kind loan and the loan's name.
CREATE TABLE loan (
    child     TEXT NOT NULL,
    name      TEXT NOT NULL,
    parent    TEXT NOT NULL,
    authority TEXT NOT NULL, -- id
    profile   TEXT NOT NULL, -- name: all its versions
    created   INTEGER NOT NULL,
    PRIMARY KEY (child, name),
    UNIQUE (child, authority, profile)
) STRICT, WITHOUT ROWID;
