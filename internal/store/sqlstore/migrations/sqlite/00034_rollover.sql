-- +goose Up

-- An issuer has one of the states of pki.IssuerState; before, it was active or not.
ALTER TABLE issuer ADD COLUMN state TEXT NOT NULL DEFAULT 'pending';
UPDATE issuer SET state = CASE WHEN active = 1 THEN 'active' WHEN length(certificate) > 0 THEN 'earlier' ELSE 'pending' END;
ALTER TABLE issuer DROP COLUMN active;
CREATE UNIQUE INDEX issuer_active ON issuer (authority) WHERE state = 'active';
CREATE UNIQUE INDEX issuer_next ON issuer (authority) WHERE state IN ('pending', 'next');
