package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/registry"
)

// A certificateRow is a certificate as it is stored.
type certificateRow struct {
	refs                itemRefs
	notBefore, notAfter int64
	request             []byte
	place               int
	item                *issuance.Item
	der                 []byte // packed
}

// like reports whether two have the same of what most of an intent share.
func (c *certificateRow) like(other *certificateRow) bool {
	return c.refs == other.refs && c.notBefore == other.notBefore && c.notAfter == other.notAfter && bytes.Equal(c.request, other.request)
}

// appendShared appends what most of an intent share as arguments, appendOwn the rest.
func (c *certificateRow) appendShared(args []any) []any {
	return append(c.refs.appendTo(args), c.notBefore, c.notAfter, c.request)
}

func (c *certificateRow) appendOwn(args []any) []any {
	return append(args, c.item.Serial[:], string(c.item.Device), int64(c.place), c.item.Row, c.der)
}

// A certificateInsert is the statements that store an intent's certificates.
type certificateInsert struct {
	first *rowsText // of one, whose id is wanted
	rest  *rowsText
}

// newCertificateInsert returns it for certificates that share their first columns, so
// many.
func newCertificateInsert(shared int) certificateInsert {
	const into = `certificate (issuer, tenant, intent, batch, issued,
		owner, profile, product_line, lot, site, actor, not_before, not_after, request,
		serial, device, place, row_no, der)`
	return certificateInsert{newSharedText(into, shared, 19-shared, `RETURNING id`), newSharedText(into, shared, 19-shared, ``)}
}

var (
	insertOfIntent = newCertificateInsert(5)
	insertAlike    = newCertificateInsert(14) // each is like the others, as in most batches
)

// certificates stores the rows that were added. Their ids follow each other.
func (r *recording) certificates() error {
	if len(r.rows) == 0 {
		return nil
	}
	insert := insertAlike
	shared := []any{r.issuer.num, r.issuer.tenant, r.num, orNull(r.batch), micros(r.now)}
	alike := !slices.ContainsFunc(r.rows[1:], func(c certificateRow) bool { return !c.like(&r.rows[0]) })
	if alike {
		shared = r.rows[0].appendShared(shared)
	} else {
		insert = insertOfIntent
	}
	columns := insert.first.columns
	rows := make([]any, 0, columns*len(r.rows))
	for i := range r.rows {
		if !alike {
			rows = r.rows[i].appendShared(rows)
		}
		rows = r.rows[i].appendOwn(rows)
	}
	first := slices.Concat(shared, rows[:columns])
	var err error
	if r.issued.firstRow, err = one(context.Background(), r.tx, scanInt, insert.first.single(), first...); err == nil {
		err = r.execRows(insert.rest, rows[columns:], shared...)
	}
	if err != nil {
		return fmt.Errorf("storing the certificates: %w", err)
	}
	for i := range r.indexed {
		if err := r.index(r.issuer.indexes, r.issued.firstRow+int64(i), &r.indexed[i]); err != nil {
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

// newDeviceInsert returns the statement that stores devices which share their first
// columns, so many, and ends in tail.
func newDeviceInsert(shared int, tail string) *rowsText {
	return newSharedText(`device (state, created, updated, owner, product_line, lot, site, device)`, shared, 8-shared, `ON CONFLICT (owner, device) DO `+tail)
}

// Most devices of a batch are new: nothing has to come back of those, and they are at the
// same place. A renewal that says nothing of the place leaves the device where it is.
var (
	insertDevices = newDeviceInsert(3, `NOTHING`)
	insertAtPlace = newDeviceInsert(7, `NOTHING`)
	upsertDevices = newDeviceInsert(3, `UPDATE SET
		product_line = CASE WHEN excluded.product_line <> 0 THEN excluded.product_line ELSE device.product_line END,
		lot = CASE WHEN excluded.lot <> 0 THEN excluded.lot ELSE device.lot END,
		site = CASE WHEN excluded.site <> 0 THEN excluded.site ELSE device.site END,
		state = CASE WHEN device.state = 'planned' THEN excluded.state ELSE device.state END, updated = excluded.updated
	RETURNING owner, device, product_line, lot, site, state`)
)

// devices stores the devices of the items that have a certificate and returns what
// they are then, by the items' places.
func (r *recording) devices(items []*issuance.Item) ([]storedItem, error) {
	all := make([]storedItem, len(items))
	waiting := make(map[deviceKey]int, len(items))
	var twins [][2]int                   // of pairs: the places of two items of one device
	places := make([]int, 0, len(items)) // of those that are waiting
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
			if refs.whereDevice() == all[first].ordered.whereDevice() {
				twins = append(twins, [2]int{first, i})
				continue
			}
			if err := r.storeDevices(items, places, waiting, all); err != nil {
				return nil, err
			}
			clear(waiting)
			places = places[:0]
		}
		waiting[k] = i
		all[i].state = registry.Issued
		places = append(places, i)
	}
	if err := r.storeDevices(items, places, waiting, all); err != nil {
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

// whereDevice returns the owner and place of a device, as its columns have them.
func (r *itemRefs) whereDevice() [4]int64 { return [...]int64{r.owner, r.line, r.lot, r.site} }

func appendWhere(args []any, where [4]int64) []any {
	return append(args, where[0], where[1], where[2], where[3])
}

// storeDevices stores the devices of the items at some places and sets what the store has
// of those that were there: waiting says at which place each is.
func (r *recording) storeDevices(items []*issuance.Item, places []int, waiting map[deviceKey]int, all []storedItem) error {
	if len(places) == 0 {
		return nil
	}
	insert, shared := insertDevices, []any{string(registry.Issued), micros(r.now), micros(r.now)}
	first := all[places[0]].ordered.whereDevice()
	if !slices.ContainsFunc(places, func(i int) bool { return all[i].ordered.whereDevice() != first }) {
		insert, shared = insertAtPlace, appendWhere(shared, first)
	}
	args := make([]any, 0, insert.columns*len(places))
	for _, i := range places {
		if insert == insertDevices {
			args = appendWhere(args, all[i].ordered.whereDevice())
		}
		args = append(args, string(items[i].Device))
	}
	for text, part := range insert.calls(args, shared...) {
		rows := insert.rows(len(part))
		stored, err := r.exec(text, part...)
		if err == nil && int(stored) < rows {
			err = r.updateDevices(items, places[:rows], waiting, all)
		}
		if err != nil {
			return fmt.Errorf("storing devices: %w", err)
		}
		places = places[rows:]
	}
	return nil
}

// updateDevices is storeDevices for one statement's, where some were there. Those that
// were not are stored by now, and stay as they are.
func (r *recording) updateDevices(items []*issuance.Item, places []int, waiting map[deviceKey]int, all []storedItem) error {
	args := make([]any, 0, upsertDevices.columns*len(places))
	for _, i := range places {
		args = append(appendWhere(args, all[i].ordered.whereDevice()), string(items[i].Device))
	}
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
	}, string(registry.Issued), micros(r.now), micros(r.now))
}

// orNull returns a number as an argument.
func orNull(n sql.NullInt64) any {
	if n.Valid {
		return n.Int64
	}
	return nil
}
