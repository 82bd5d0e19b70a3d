package sqlstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// scanBound is how many rows one page of a search looks at, at most.
const scanBound = 5000

// The searches for devices. Each looks at rows in the order of one index, from a
// position on, and at no more than its last argument; what the filter leaves out
// is left out by the caller.
const (
	devicesByID = `SELECT ` + deviceColumns + ` FROM device d
		WHERE d.owner = $1 AND d.device > $2 AND d.device >= $3 AND d.device < $4 ORDER BY d.device LIMIT $5`
	// The state is compared with a query, since SQLite would put a value that it
	// knows into the second comparison too, and then not see that the index fits.
	devicesByState = `SELECT ` + deviceColumns + `
		FROM (SELECT device AS id FROM device WHERE owner = $1 AND state = (SELECT $2) AND state <> 'issued' AND device > $3 ORDER BY device LIMIT $4) s
		JOIN device d ON d.owner = $1 AND d.device = s.id ORDER BY s.id`
)

// plannedBy and issuedBy search under a place, by the column of a lot or of a
// product line: first for devices that may have no certificate, then for those
// that have, by the first that they got there.
func plannedBy(column string) string {
	return `SELECT ` + deviceColumns + ` FROM device d
		WHERE d.` + column + ` = $1 AND d.state IN ('planned', 'decommissioned') AND d.device > $2 ORDER BY d.device LIMIT $3`
}

func issuedBy(column string) string {
	return `SELECT coalesce(d.device, ''), coalesce(d.product_line, 0), coalesce(d.lot, 0), coalesce(d.site, 0), coalesce(d.state, ''),
			coalesce(d.resumes, ''), coalesce(d.held_after, 0), coalesce(d.created, 0), coalesce(d.updated, 0), c.id,
			coalesce(d.` + column + ` = $1 AND d.state NOT IN ('planned', 'decommissioned') AND NOT EXISTS (SELECT 1 FROM certificate o
				WHERE o.owner = c.owner AND o.device = c.device AND o.device <> '' AND o.` + column + ` = $1 AND o.id < c.id), 1 = 0)
		FROM (SELECT id, owner, device FROM certificate WHERE ` + column + ` = $1 AND ` + column + ` <> 0 AND id > $2 ORDER BY id LIMIT $3) c
		LEFT JOIN device d ON d.owner = c.owner AND d.device = c.device ORDER BY c.id`
}

// A foundDevice is a device that a search looked at.
type foundDevice struct {
	storedDevice
	at    int64 // id of the certificate that it was found by, or 0
	first bool  // that one stands for the device
}

func scanFound(row row) (*foundDevice, error) {
	d := &foundDevice{first: true}
	return d, row.Scan(d.columns()...)
}

func scanFoundIssued(row row) (*foundDevice, error) {
	d := new(foundDevice)
	return d, row.Scan(append(d.columns(), &d.at, &d.first)...)
}

// A position in a search for devices is the last device that was looked at or,
// after the byte 1, the id of the last certificate. No device id begins with it.
const byCertificate = 1

// Devices implements registry.Store.
func (s *Store) Devices(ctx context.Context, owner pki.TenantID, f registry.DeviceFilter, after []byte, limit int) ([]*registry.FoundDevice, []byte, error) {
	who, err := s.findRef(ctx, tenantRef(owner))
	if err != nil {
		return nil, nil, err
	}
	lead := deviceLead{bound: scanBound}
	switch {
	case f.Lot != "":
		lead.text, lead.then = plannedBy("lot"), issuedBy("lot")
		err = lead.under(s.findRef(ctx, lotRef(owner, f.Lot)))
	case f.ProductLine != "":
		lead.text, lead.then = plannedBy("product_line"), issuedBy("product_line")
		err = lead.under(s.findRef(ctx, placeRef(registry.ProductLine, owner, f.ProductLine)))
	case f.State != "" && f.State != registry.Issued:
		lead.text, lead.args = devicesByState, func(after string) []any { return []any{who, f.State, after} }
	default:
		lead.text, lead.args = devicesByID, func(after string) []any { return []any{who, after, f.Prefix, f.Prefix + "\x7f"} }
	}
	if err != nil || lead.none {
		return nil, nil, err
	}
	var kept []*registry.FoundDevice
	var next []byte
	for {
		var rows []*foundDevice
		if rows, err = lead.rows(ctx, s.read, after); err != nil {
			return nil, nil, fmt.Errorf("searching devices: %w", err)
		}
		next = nil
		for _, row := range rows {
			d, err := s.device(ctx, s.read, owner, &row.storedDevice)
			if err != nil {
				return nil, nil, err
			}
			if next = row.position(); row.first && matches(f, d) {
				if kept = append(kept, &registry.FoundDevice{Device: d, Position: next}); len(kept) == limit {
					return kept, next, nil
				}
			}
		}
		switch {
		case len(rows) == lead.bound: // this is all that one page looks at
			return kept, next, nil
		case lead.then == "" || len(after) > 0 && after[0] == byCertificate:
			return kept, nil, nil
		}
		lead.bound -= len(rows)
		after = []byte{byCertificate}
	}
}

func (d *foundDevice) position() []byte {
	if d.at == 0 {
		return []byte(d.ID)
	}
	return binary.AppendUvarint([]byte{byCertificate}, uint64(d.at))
}

// matches reports whether a device is one that is wanted.
func matches(f registry.DeviceFilter, d *registry.Device) bool {
	return (f.State == "" || f.State == d.State) && strings.HasPrefix(string(d.ID), f.Prefix) &&
		(f.Lot == "" || f.Lot == d.Lot) && (f.ProductLine == "" || f.ProductLine == d.ProductLine) && (f.Site == "" || f.Site == d.Site)
}

// A deviceLead is the index that leads a search, or two after each other.
type deviceLead struct {
	text  string
	then  string // by certificates; "" for none
	args  func(after string) []any
	place int64 // of then
	none  bool  // nothing can be found
	bound int
}

// under has the search led by a place; none where its name is not registered.
func (l *deviceLead) under(place int64, err error) error {
	l.place, l.none = place, place == 0
	l.args = func(after string) []any { return []any{place, after} }
	return err
}

// rows returns the rows from a position on.
func (l *deviceLead) rows(ctx context.Context, from source, after []byte) ([]*foundDevice, error) {
	if len(after) == 0 || after[0] != byCertificate {
		return list(ctx, from, scanFound, l.text, append(l.args(string(after)), l.bound)...)
	}
	id, _ := binary.Uvarint(after[1:]) // 0, which is the beginning, where there is none
	if l.then == "" {
		return nil, nil
	}
	return list(ctx, from, scanFoundIssued, l.then, l.place, int64(id), l.bound)
}
