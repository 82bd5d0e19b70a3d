package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/registry"
)

// A certificateInsert is the statements that store an intent's certificates.
type certificateInsert struct {
	first *rowsText // of one, whose id is wanted
	rest  *rowsText
}

// newCertificateInsert returns it for certificates that share their first columns, so
// many.
func newCertificateInsert(shared int) certificateInsert {
	const head = `INSERT INTO certificate (issuer, tenant, intent, batch, issued,
		owner, profile, product_line, lot, site, actor,
		serial, device, place, row_no, not_before, not_after, der, request) VALUES`
	return certificateInsert{newSharedText(head, shared, 19-shared, `RETURNING id`), newSharedText(head, shared, 19-shared, ``)}
}

var (
	insertOfIntent = newCertificateInsert(5)
	insertAlike    = newCertificateInsert(11) // they have the same itemRefs, as in most batches
)

// certificates stores the rows that were added. Their ids follow each other.
func (r *recording) certificates() error {
	if len(r.rows) == 0 {
		return nil
	}
	insert, rows := insertAlike, r.rows
	shared := r.refs[0].appendTo([]any{r.issuer.num, r.issuer.tenant, r.num, orNull(r.batch), micros(r.now)})
	if slices.ContainsFunc(r.refs, func(refs itemRefs) bool { return refs != r.refs[0] }) {
		insert, rows, shared = insertOfIntent, r.wideRows(), shared[:insertOfIntent.first.shared]
	}
	columns := insert.first.columns
	first := slices.Concat(shared, rows[:columns])
	var err error
	if r.issued.firstRow, err = one(context.Background(), r.tx, scanInt, insert.first.single(), first...); err == nil {
		err = r.execRows(insert.rest, rows[columns:], shared...)
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

// wideRows returns the rows for insertOfIntent, each with its refs.
func (r *recording) wideRows() []any {
	rows := make([]any, 0, insertOfIntent.first.columns*len(r.refs))
	for i := range r.refs {
		own := r.rows[i*insertAlike.first.columns:]
		rows = append(r.refs[i].appendTo(rows), own[:insertAlike.first.columns]...)
	}
	return rows
}

// A storedItem is an item with its device as the store has it.
type storedItem struct {
	ordered itemRefs       // as the item says
	refs    itemRefs       // with the device's place
	state   registry.State // "" where no device is concerned
}

// A renewal that says nothing of the place leaves the device where it is.
var upsertDevices = newSharedText(`INSERT INTO device (state, created, updated, owner, device, product_line, lot, site) VALUES`, 3, 5,
	`ON CONFLICT (owner, device) DO UPDATE SET
		product_line = CASE WHEN excluded.product_line <> 0 THEN excluded.product_line ELSE device.product_line END,
		lot = CASE WHEN excluded.lot <> 0 THEN excluded.lot ELSE device.lot END,
		site = CASE WHEN excluded.site <> 0 THEN excluded.site ELSE device.site END,
		state = CASE WHEN device.state = 'planned' THEN excluded.state ELSE device.state END, updated = excluded.updated
	RETURNING owner, device, product_line, lot, site, state`)

// insertDevices is for devices that are new, as most of a batch are: nothing has to
// come back of those.
var insertDevices = newSharedText(upsertDevices.head, upsertDevices.shared, upsertDevices.columns, `ON CONFLICT (owner, device) DO NOTHING`)

// devices stores the devices of the items that have a certificate and returns what
// they are then, by the items' places.
func (r *recording) devices(items []*issuance.Item) ([]storedItem, error) {
	all := make([]storedItem, len(items))
	waiting := make(map[deviceKey]int, len(items))
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
		args = append(args, refs.owner, k.device, refs.line, refs.lot, refs.site)
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
	shared := []any{string(registry.Issued), micros(r.now), micros(r.now)}
	for insert, part := range insertDevices.calls(args, shared...) {
		stored, err := r.exec(insert, part...)
		if err == nil && int(stored) < insertDevices.rows(len(part)) {
			err = r.updateDevices(part[len(shared):], waiting, all, shared...)
		}
		if err != nil {
			return fmt.Errorf("storing devices: %w", err)
		}
	}
	return nil
}

// updateDevices is storeDevices for one statement's, where some were there. Those that
// were not are stored by now, and stay as they are.
func (r *recording) updateDevices(args []any, waiting map[deviceKey]int, all []storedItem, shared ...any) error {
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
	}, shared...)
}

// orNull returns a number as an argument.
func orNull(n sql.NullInt64) any {
	if n.Valid {
		return n.Int64
	}
	return nil
}
