-- +goose Up

-- A root can follow another, whose name it has (pki.Issuer). Of all other issuers these are empty.
ALTER TABLE issuer ADD COLUMN follows TEXT NOT NULL DEFAULT ''; -- the id of the one before
ALTER TABLE issuer ADD COLUMN key_kind TEXT NOT NULL DEFAULT ''; -- that a ceremony is to make
ALTER TABLE issuer ADD COLUMN new_with_old BLOB;
ALTER TABLE issuer ADD COLUMN old_with_new BLOB;
