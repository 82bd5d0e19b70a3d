-- +goose Up

-- How a lot was closed. barrier is the num of the newest intent then: with the
-- last of those that were open, the lot has all its certificates. The report is
-- empty until it is made, and never changed.
CREATE TABLE lot_report (
    tenant   TEXT NOT NULL,
    lot      TEXT NOT NULL,
    actor    TEXT NOT NULL,
    scrapped INTEGER NOT NULL,
    barrier  INTEGER NOT NULL,
    report   TEXT NOT NULL,
    PRIMARY KEY (tenant, lot)
) STRICT, WITHOUT ROWID;

CREATE TABLE report_key (
    tenant  TEXT PRIMARY KEY,
    key_uri TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
