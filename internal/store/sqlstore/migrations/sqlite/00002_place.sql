-- +goose Up

-- A certificate's place is its device's when it was issued: what a lot or a
-- product line got is found without the devices. The certificates of a lot
-- follow each other, so the indexes grow at few ends.
ALTER TABLE certificate ADD COLUMN product_line INTEGER NOT NULL DEFAULT 0;
ALTER TABLE certificate ADD COLUMN lot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE certificate ADD COLUMN site INTEGER NOT NULL DEFAULT 0;
UPDATE certificate SET (product_line, lot, site) =
    (SELECT d.product_line, d.lot, d.site FROM device d WHERE d.owner = certificate.owner AND d.device = certificate.device)
    WHERE EXISTS (SELECT 1 FROM device d WHERE d.owner = certificate.owner AND d.device = certificate.device);
CREATE INDEX certificate_line ON certificate (product_line, id) WHERE product_line <> 0;
CREATE INDEX certificate_lot ON certificate (lot, id) WHERE lot <> 0;
