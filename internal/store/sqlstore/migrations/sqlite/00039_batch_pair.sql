-- +goose Up

-- Of a batch of pairs: the endpoint of the second certificate of each device, and the
-- profile version that is pinned there; '' is none. A device has the rows 2i-1 and 2i.
ALTER TABLE batch ADD COLUMN pair_endpoint TEXT NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN pair_tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN pair_profile TEXT NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN pair_version INTEGER NOT NULL DEFAULT 0;
