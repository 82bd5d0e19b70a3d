-- +goose Up

-- How many children the tenant may have; NULL is the default of all.
ALTER TABLE tenant ADD COLUMN children INTEGER;
