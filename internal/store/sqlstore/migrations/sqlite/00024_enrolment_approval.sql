-- +goose Up

-- proof is what a requester presented that a client certificate proves: certificates in
-- DER, one after another. intent is the open intent by which a change is being executed;
-- it has the change to itself from then until it becomes void.
ALTER TABLE change ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
ALTER TABLE change ADD COLUMN intent INTEGER NOT NULL DEFAULT 0;
CREATE INDEX change_intent ON change (intent) WHERE intent <> 0;
CREATE INDEX change_asked ON change (tenant, hash, requester, num);

-- The certificates that an approved enrolment led to: one, or those of a pair.
CREATE TABLE change_certificate (
    change TEXT NOT NULL,
    place  INTEGER NOT NULL, -- in the intent
    issuer INTEGER NOT NULL, -- ref
    serial BLOB NOT NULL,
    PRIMARY KEY (change, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX change_certificate_serial ON change_certificate (serial, issuer);
