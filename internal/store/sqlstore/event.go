package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// The kinds of log leaves.
const (
	leafCertificates = "certificates" // ref is an intent
	leafRevocation   = "revocation"   // ref is the seq of the first of count entries
	leafEvent        = "event"        // ref is an event
)

// leaf stores a run of count leaves of a tenant's log, for the sequencer to give
// them their places.
func (t *tx) leaf(tenant int64, kind string, ref int64, count int, at time.Time) error {
	_, err := t.exec(`INSERT INTO leaf_group (tenant, kind, ref, count, created) VALUES ($1, $2, $3, $4, $5)`,
		tenant, kind, ref, count, micros(at))
	if err != nil {
		return fmt.Errorf("storing log leaves: %w", err)
	}
	return nil
}

// event stores an event and its leaf.
func (t *tx) event(e pki.Event) error {
	if e.ID == "" {
		e.ID = pki.NewID(e.At)
	}
	num, err := one(context.Background(), t, scanInt,
		`INSERT INTO event (id, tenant, at, actor, action, target, detail) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING num`,
		e.ID, e.Tenant, micros(e.At), e.Actor, e.Action, e.Target, e.Detail)
	if err != nil {
		return fmt.Errorf("storing event %s: %w", e.Action, err)
	}
	tenant, err := t.intern(tenantRef(e.Tenant))
	if err != nil {
		return err
	}
	return t.leaf(tenant, leafEvent, num, 1, e.At)
}

// Events implements hierarchy.Store.
func (s *Store) Events(ctx context.Context, tenant pki.TenantID, before string, limit int) ([]pki.Event, error) {
	scan := func(row row) (e pki.Event, err error) {
		err = row.Scan(&e.ID, &e.Tenant, intoTime{&e.At}, &e.Actor, &e.Action, &e.Target, &e.Detail)
		return e, err
	}
	events, err := list(ctx, s.read, scan,
		`SELECT id, tenant, at, actor, action, target, detail FROM event
		WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, tenant, orNewest(before), limit)
	if err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	return events, nil
}
