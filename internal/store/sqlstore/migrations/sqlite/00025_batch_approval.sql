-- +goose Up

-- needs is whose approval a batch needs, for people; '' is nobody's.
ALTER TABLE batch ADD COLUMN needs TEXT NOT NULL DEFAULT '';
CREATE INDEX change_target ON change (tenant, target, num);
