package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// PlanDevices implements registry.Store.
func (s *Store) PlanDevices(ctx context.Context, owner pki.TenantID, devices []*registry.Device, e pki.Event) (planned, moved int, kept map[int]*registry.Device, err error) {
	err = s.update(ctx, func(t *tx) error {
		planned, moved, kept = 0, 0, make(map[int]*registry.Device)
		num, err := t.intern(tenantRef(owner))
		if err != nil {
			return err
		}
		for n, d := range devices {
			is, err := one(ctx, t, scanDevice, selectDevice+` AND d.state <> 'planned'`, num, d.ID)
			if err == nil {
				if kept[n], err = s.device(ctx, t, owner, is); err != nil {
					return err
				}
				if kept[n].Placement == d.Placement {
					delete(kept, n)
				}
				continue
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("looking for device %q: %w", d.ID, err)
			}
			line, lot, site, err := t.places(owner, d.Placement, d.Created)
			if err != nil {
				return err
			}
			rows, err := t.exec(`INSERT INTO device (owner, device, product_line, lot, site, state, created, updated)
				VALUES ($1, $2, $3, $4, $5, 'planned', $6, $6) ON CONFLICT DO NOTHING`, num, d.ID, line, lot, site, micros(d.Created))
			if err != nil {
				return fmt.Errorf("planning device %q: %w", d.ID, err)
			}
			if rows > 0 {
				planned++
				continue
			}
			rows, err = t.exec(`UPDATE device SET product_line = $1, lot = $2, site = $3, updated = $4
				WHERE owner = $5 AND device = $6 AND state = 'planned' AND (product_line <> $1 OR lot <> $2 OR site <> $3)`,
				line, lot, site, micros(d.Updated), num, d.ID)
			if err != nil {
				return fmt.Errorf("moving device %q: %w", d.ID, err)
			}
			moved += int(rows)
		}
		return t.event(e)
	})
	return planned, moved, kept, err
}

// A storedDevice is a row of table device, with numbers for names.
type storedDevice struct {
	line, lot, site int64
	heldAfter       int64
	registry.Device
}

const deviceColumns = `d.device, d.product_line, d.lot, d.site, d.state, d.resumes, d.held_after, d.created, d.updated`

func (d *storedDevice) columns() []any {
	return []any{&d.ID, &d.line, &d.lot, &d.site, &d.State, &d.Resumes, &d.heldAfter, intoTime{&d.Created}, intoTime{&d.Updated}}
}

func scanDevice(row row) (*storedDevice, error) {
	d := new(storedDevice)
	return d, row.Scan(d.columns()...)
}

const selectDevice = `SELECT ` + deviceColumns + ` FROM device d WHERE d.owner = $1 AND d.device = $2`

// device returns what a row stands for.
func (s *Store) device(ctx context.Context, from source, owner pki.TenantID, d *storedDevice) (*registry.Device, error) {
	d.Owner = owner
	for _, place := range []struct {
		name *string
		num  int64
	}{{&d.ProductLine, d.line}, {&d.Lot, d.lot}, {&d.Site, d.site}} {
		r, err := s.refOf(ctx, from, place.num)
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", d.ID, err)
		}
		*place.name = r.text
	}
	return &d.Device, nil
}

// Device implements registry.Store.
func (s *Store) Device(ctx context.Context, owner pki.TenantID, id pki.DeviceID) (*registry.Device, error) {
	num, err := s.findRef(ctx, tenantRef(owner))
	if err != nil {
		return nil, err
	}
	d, err := one(ctx, s.read, scanDevice, selectDevice, num, id)
	if d, err = found(d, err, "device %q", id); err != nil {
		return nil, err
	}
	return s.device(ctx, s.read, owner, d)
}

// DeviceState implements registry.Store.
func (s *Store) DeviceState(ctx context.Context, owner pki.TenantID, id pki.DeviceID) (registry.State, error) {
	num, err := s.findRef(ctx, tenantRef(owner))
	if err != nil {
		return "", err
	}
	state, err := one(ctx, s.read, func(row row) (state registry.State, err error) {
		err = row.Scan(&state)
		return state, err
	}, `SELECT state FROM device WHERE owner = $1 AND device = $2`, num, id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("reading the state of device %q: %w", id, err)
	}
	return state, nil
}

// barring holds for owners whether they have, or had since the store was opened, a
// device that may not enrol. No other process writes to the database (see takeLock),
// so that what is known stays true. Its zero value knows nothing.
type barring struct {
	mu     sync.RWMutex
	owners map[int64]bool // guarded by mu
}

func (b *barring) get(owner int64) (barred, known bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	barred, known = b.owners[owner]
	return barred, known
}

// note notes what was found; a change that came meanwhile holds.
func (b *barring) note(owner int64, barred bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.owners == nil {
		b.owners = make(map[int64]bool)
	}
	b.owners[owner] = barred || b.owners[owner]
}

// AllMayEnrol implements registry.Store.
func (s *Store) AllMayEnrol(ctx context.Context, owner pki.TenantID) (bool, error) {
	num, err := s.findRef(ctx, tenantRef(owner))
	if err != nil || num == 0 {
		return err == nil, err
	}
	if barred, known := s.barring.get(num); known {
		return !barred, nil
	}
	barred := false
	for _, state := range []registry.State{registry.Suspended, registry.Decommissioned} {
		_, err := one(ctx, s.read, scanInt, `SELECT 1 FROM device WHERE owner = $1 AND state = $2 AND state <> 'issued' LIMIT 1`, num, state)
		switch {
		case err == nil:
			barred = true
		case !errors.Is(err, sql.ErrNoRows):
			return false, fmt.Errorf("looking for devices that may not enrol: %w", err)
		}
	}
	s.barring.note(num, barred)
	return !barred, nil
}

// ChangeDevice implements registry.Store.
func (s *Store) ChangeDevice(ctx context.Context, c registry.DeviceChange) (*registry.Device, error) {
	err := s.update(ctx, func(t *tx) error {
		num, err := t.intern(tenantRef(c.Owner))
		if err != nil {
			return err
		}
		d, err := one(ctx, t, scanDevice, selectDevice, num, c.ID)
		if d, err = found(d, err, "device %q", c.ID); err != nil {
			return err
		}
		s.barring.note(num, true) // before any is: a request that finds none now was first
		to, err := d.After(c.Act)
		if err != nil {
			return err
		}
		if to == registry.Decommissioned {
			if err := t.free(c.Owner, num, c.ID); err != nil {
				return err
			}
		}
		resumes, heldAfter := registry.State(""), int64(0)
		if to == registry.Suspended {
			resumes = d.State
			if heldAfter, err = one(ctx, t, scanInt, `SELECT coalesce(max(seq), 0) FROM revocation`); err != nil {
				return fmt.Errorf("reading the newest revocation: %w", err)
			}
		}
		if _, err := t.exec(`UPDATE device SET state = $1, resumes = $2, held_after = $3, updated = $4 WHERE owner = $5 AND device = $6`,
			to, resumes, heldAfter, micros(c.Event.At), num, c.ID); err != nil {
			return fmt.Errorf("changing device %q: %w", c.ID, err)
		}
		entries, err := t.reviseCertificates(num, d, &c) // of a device that resumed: one that is suspended keeps them on hold
		if err != nil {
			return err
		}
		c.Event.Detail = fmt.Sprintf("%s to %s", d.State, to)
		switch {
		case entries > 0 && c.Act == registry.Suspend:
			c.Event.Detail += ", " + pki.Count(entries, "certificate") + " put on hold"
		case entries > 0 && c.Act == registry.Resume:
			c.Event.Detail += ", " + pki.Count(entries, "certificate") + " released"
		case entries > 0:
			c.Event.Detail += ", " + pki.Count(entries, "certificate") + " revoked"
		}
		if c.Note != "" {
			c.Event.Detail += ": " + c.Note
		}
		return t.event(c.Event)
	})
	if err != nil {
		return nil, err
	}
	return s.Device(ctx, c.Owner, c.ID)
}

// reviseCertificates enters what an act means for the device's unexpired
// certificates and returns for how many it meant something. One that is revoked
// stays so; one that was on hold before the device was suspended is not released.
func (t *tx) reviseCertificates(owner int64, d *storedDevice, c *registry.DeviceChange) (int, error) {
	var reason pki.Reason
	action := "certificate.revoke"
	switch c.Act {
	case registry.Suspend:
		reason, action = pki.CertificateHold, "certificate.hold"
	case registry.Resume:
		reason, action = pki.RemoveFromCRL, "certificate.release"
	case registry.Decommission:
		reason = pki.CessationOfOperation
	default:
		return 0, nil
	}
	type name struct {
		issuer pki.IssuerID
		tenant pki.TenantID
		serial pki.Serial
	}
	names, err := list(context.Background(), t, func(row row) (n name, err error) {
		err = row.Scan(&n.issuer, &n.tenant, intoArray(n.serial[:]))
		return n, err
	}, `SELECT i.id, i.tenant, c.serial FROM certificate c JOIN issuer i ON i.num = c.issuer
		WHERE c.owner = $1 AND c.device = $2 AND c.device <> '' AND c.not_after >= $3 ORDER BY c.id`, owner, c.ID, micros(c.Event.At))
	if err != nil {
		return 0, fmt.Errorf("listing the certificates of device %q: %w", c.ID, err)
	}
	entries, group := 0, newEntryGroup(t)
	for _, n := range names {
		if c.Act == registry.Resume {
			newest, err := t.s.newestEntry(context.Background(), t, n.issuer, n.serial)
			if err != nil {
				return 0, err
			}
			if newest <= d.heldAfter {
				continue
			}
		}
		e := &revocation.Entry{
			Tenant:     c.Owner,
			Revocation: pki.Revocation{Issuer: n.issuer, Serial: n.serial, Reason: reason, At: c.Event.At.Truncate(time.Second)},
			Event: pki.Event{Tenant: n.tenant, At: c.Event.At, Actor: c.Event.Actor, Action: action,
				Target: "certificate:" + string(n.issuer) + "/" + n.serial.String(), Detail: "reason " + reason.String() + ", " + c.Event.Target + " " + string(c.Act)},
		}
		refused, err := group.add(e)
		if err != nil {
			return 0, err
		}
		if refused == nil {
			entries++
		}
	}
	return entries, group.store()
}

// newestEntry returns the sequence number of a certificate's newest revocation
// entry, 0 for none.
func (s *Store) newestEntry(ctx context.Context, from source, id pki.IssuerID, serial pki.Serial) (int64, error) {
	issuer, err := s.issuerInfo(ctx, id)
	if err != nil {
		return 0, err
	}
	newest, err := one(ctx, from, scanInt, `SELECT coalesce(max(seq), 0) FROM revocation WHERE issuer = $1 AND shard = $2 AND serial = $3`,
		issuer.num, serial.Shard(issuer.shards), serial[:])
	if err != nil {
		return 0, fmt.Errorf("reading a certificate's newest revocation: %w", err)
	}
	return newest, nil
}
