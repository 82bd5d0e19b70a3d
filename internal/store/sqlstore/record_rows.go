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

// insertDevices is for devices that are new, as most of a batch are: nothing has to
// come back of those.
var insertDevices = newRowsText(upsertDevices.head, upsertDevices.columns, `ON CONFLICT (owner, device) DO NOTHING`)

// devices stores the devices of the items that have a certificate and returns what
// they are then, by the items' places.
func (r *recording) devices(items []*issuance.Item) ([]storedItem, error) {
	all := make([]storedItem, len(items))
	waiting := make(map[deviceKey]int)
	var twins [][2]int // of pairs: the places of two items of one device
	args := make([]any, 0, upsertDevices.columns*len(items))
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
		k := deviceKey{refs.owner, string(it.Device)}
		if first, there := waiting[k]; there { // no statement may change a row twice
			if was := all[first].ordered; refs.line == was.line && refs.lot == was.lot && refs.site == was.site {
				twins = append(twins, [2]int{first, i})
				continue
			}
			if err := r.storeDevices(args, waiting, all); err != nil {
				return nil, err
			}
			clear(waiting)
			args = args[:0]
		}
		waiting[k] = i
		all[i].state = registry.Issued
		args = append(args, refs.owner, k.device, refs.line, refs.lot, refs.site, string(registry.Issued), micros(r.now), micros(r.now))
	}
	if err := r.storeDevices(args, waiting, all); err != nil {
		return nil, err
	}
	for _, t := range twins {
		first, second := &all[t[0]], &all[t[1]]
		second.refs.line, second.refs.lot, second.refs.site, second.state = first.refs.line, first.refs.lot, first.refs.site, first.state
	}
	return all, nil
}

type deviceKey struct {
	owner  int64
	device string
}

// storeDevices stores devices, each in one row of args, and sets what the store has of
// those that were there: waiting says at which place of all each is.
func (r *recording) storeDevices(args []any, waiting map[deviceKey]int, all []storedItem) error {
	for insert, part := range insertDevices.calls(args) {
		stored, err := r.exec(insert, part...)
		if err == nil && int(stored) < len(part)/insertDevices.columns {
			err = r.updateDevices(part, waiting, all)
		}
		if err != nil {
			return fmt.Errorf("storing devices: %w", err)
		}
	}
	return nil
}

// updateDevices is storeDevices where some were there. Those that were not are stored
// by now, and stay as they are.
func (r *recording) updateDevices(args []any, waiting map[deviceKey]int, all []storedItem) error {
	return r.queryRows(upsertDevices, args, func(row row) error {
		var k deviceKey
		var at itemRefs
		var state registry.State
		if err := row.Scan(&k.owner, &k.device, &at.line, &at.lot, &at.site, &state); err != nil {
			return err
		}
		d := &all[waiting[k]]
		d.refs.line, d.refs.lot, d.refs.site, d.state = at.line, at.lot, at.site, state
		return nil
	})
}

// orNull returns a number as an argument.
func orNull(n sql.NullInt64) any {
	if n.Valid {
		return n.Int64
	}
	return nil
}
