-- +goose Up

-- 1 where the entry is the issuer's tenant's, on a certificate of another owner: a
-- hold that its owner does not release.
ALTER TABLE revocation ADD COLUMN lender INTEGER NOT NULL DEFAULT 0;

-- booked is how many certificates a job was let change with nobody else, approved how
-- many others have approved, while the job counts once more before it runs.
ALTER TABLE revocation_job ADD COLUMN booked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE revocation_job ADD COLUMN approved INTEGER NOT NULL DEFAULT 0;
CREATE INDEX revocation_job_booked ON revocation_job (tenant, started) WHERE booked > 0;
