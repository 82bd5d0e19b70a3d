package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/registry"
)

var insertCertificates = newRowsText(`INSERT INTO certificate (serial, issuer, tenant, owner, device, profile, intent, place, batch, row_no,
		not_before, not_after, issued, der, product_line, lot, site, actor, request) VALUES`, 19, ``)

// insertCertificate is the same for the first one, whose id is wanted.
var insertCertificate = newRowsText(insertCertificates.head, insertCertificates.columns, `RETURNING id`)

// certificates stores the rows that were added. Their ids follow each other.
func (r *recording) certificates() error {
	if len(r.rows) == 0 {
		return nil
	}
	first := r.rows[:insertCertificate.columns]
	var err error
	if r.issued.firstRow, err = one(context.Background(), r.tx, scanInt, insertCertificate.single(), first...); err == nil {
		err = r.execRows(insertCertificates, r.rows[len(first):])
	}
	if err != nil {
		return fmt.Errorf("storing the certificates: %w", err)
	}
	for i := range r.indexed {
		if err := r.index(r.issued.firstRow+int64(i), &r.indexed[i]); err != nil {
			return err
		}
	}
	return nil
}

// A storedItem is an item with its device as the store has it.
type storedItem struct {
	ordered itemRefs       // as the item says
	refs    itemRefs       // with the device's place
	state   registry.State // "" where no device is concerned
}

// A renewal that says nothing of the place leaves the device where it is.
var upsertDevices = newRowsText(`INSERT INTO device (owner, device, product_line, lot, site, state, created, updated) VALUES`, 8,
	`ON CONFLICT (owner, device) DO UPDATE SET
		product_line = CASE WHEN excluded.product_line <> 0 THEN excluded.product_line ELSE device.product_line END,
		lot = CASE WHEN excluded.lot <> 0 THEN excluded.lot ELSE device.lot END,
		site = CASE WHEN excluded.site <> 0 THEN excluded.site ELSE device.site END,
		state = CASE WHEN device.state = 'planned' THEN excluded.state ELSE device.state END, updated = excluded.updated
	RETURNING owner, device, product_line, lot, site, state`)

// devices stores the devices of the items that have a certificate and returns what
// they are then, by the items' places.
func (r *recording) devices(items []*issuance.Item) ([]storedItem, error) {
	all := make([]storedItem, len(items))
	type key struct {
		owner  int64
		device string
	}
	waiting := make(map[key]int)
	var args []any
	var got key // of the row that is read, as are the next
	var at itemRefs
	var state registry.State
	flush := func() error {
		err := r.queryRows(upsertDevices, args, func(row row) error {
			if err := row.Scan(&got.owner, &got.device, &at.line, &at.lot, &at.site, &state); err != nil {
				return err
			}
			d := &all[waiting[got]]
			d.refs.line, d.refs.lot, d.refs.site, d.state = at.line, at.lot, at.site, state
			return nil
		})
		if err != nil {
			return fmt.Errorf("storing devices: %w", err)
		}
		clear(waiting)
		args = args[:0]
		return nil
	}
	for i, it := range items {
		if it.DER == nil {
			continue
		}
		refs, err := r.itemRefs(it, r.now)
		if err != nil {
			return nil, err
		}
		all[i].ordered, all[i].refs = refs, refs
		if it.Device == "" {
			continue
		}
		k := key{refs.owner, string(it.Device)}
		if _, there := waiting[k]; there { // no statement may change a row twice
			if err := flush(); err != nil {
				return nil, err
			}
		}
		waiting[k] = i
		args = append(args, refs.owner, k.device, refs.line, refs.lot, refs.site, "issued", micros(r.now), micros(r.now))
	}
	return all, flush()
}

// orNull returns a number as an argument.
func orNull(n sql.NullInt64) any {
	if n.Valid {
		return n.Int64
	}
	return nil
}
