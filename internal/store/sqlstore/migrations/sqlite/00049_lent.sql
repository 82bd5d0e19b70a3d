-- +goose Up

-- The authorities that were ever lent to a child, which sees their issuers from then on,
-- also when the loan has ended: it may have certificates of them.
CREATE TABLE lent (
    child     TEXT NOT NULL,
    authority TEXT NOT NULL, -- id
    PRIMARY KEY (child, authority)
) STRICT, WITHOUT ROWID;

INSERT INTO lent (child, authority) SELECT DISTINCT child, authority FROM loan;
INSERT INTO lent (child, authority)
    SELECT DISTINCT o.text, i.authority FROM certificate c JOIN ref o ON o.num = c.owner JOIN issuer i ON i.num = c.issuer
    WHERE c.owner <> c.tenant ON CONFLICT DO NOTHING;
