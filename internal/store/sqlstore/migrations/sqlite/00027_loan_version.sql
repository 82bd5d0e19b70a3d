-- +goose Up

-- The version of the profile that was lent; later ones are lent with it, earlier ones
-- are not.
ALTER TABLE loan ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
UPDATE loan SET version = coalesce((SELECT max(p.version) FROM profile p WHERE p.tenant = loan.parent AND p.name = loan.profile), 0);
