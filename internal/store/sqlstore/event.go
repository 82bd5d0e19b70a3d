package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// event stores an event and its leaf, unless the log's gate is closed: then the
// whole act is Unavailable.
func (t *tx) event(e pki.Event) error {
	if err := t.s.gate.Act(e.Tenant); err != nil {
		return err
	}
	return t.storeEvents([]pki.Event{e})
}

var insertEvents = newRowsText(`event (id, tenant, at, actor, action, target, detail)`, 7, `RETURNING num, id`)

// storeEvents stores events and their leaves, in order, and moves the changes that
// they execute. It changes all.
func (t *tx) storeEvents(all []pki.Event) error {
	if len(all) == 0 {
		return nil
	}
	args := make([]any, 0, 7*len(all))
	for i := range all {
		e := &all[i]
		if e.ID == "" {
			e.ID = pki.NewID(e.At)
		}
		if e.Change != "" {
			if err := t.executed(e); err != nil {
				return err
			}
		}
		// What is logged can be written down as text anywhere, to the byte.
		for _, text := range []*string{&e.Actor, &e.Action, &e.Target, &e.Detail} {
			*text = strings.ToValidUTF8(*text, "\ufffd")
		}
		args = append(args, e.ID, string(e.Tenant), micros(e.At), e.Actor, e.Action, e.Target, e.Detail)
	}
	nums := make(map[string]int64, len(all))
	err := t.queryRows(insertEvents, args, func(row row) error {
		var num int64
		var id string
		err := row.Scan(&num, &id)
		nums[id] = num
		return err
	})
	if err != nil {
		return fmt.Errorf("storing event %s: %w", all[0].Action, err)
	}
	leaves := make([]any, 0, leafColumns*len(all))
	for i := range all {
		e := &all[i]
		tenant, err := t.intern(tenantRef(e.Tenant))
		if err != nil {
			return err
		}
		run := leafRun{tenant: tenant, kind: leafEvent, ref: nums[e.ID]}
		leaf := audit.OfEvent(e)
		run.add(&audit.Leaf{Event: &leaf})
		leaves = run.appendTo(leaves, e.At)
	}
	return t.insertLeaves(leaves)
}

const selectEvent = `SELECT id, tenant, at, actor, action, target, detail FROM event `

func scanEvent(row row) (e pki.Event, err error) {
	err = row.Scan(&e.ID, &e.Tenant, intoTime{&e.At}, &e.Actor, &e.Action, &e.Target, &e.Detail)
	return e, err
}

const (
	// eventsOf is led by the index of ids, and eventsAt by event_target.
	eventsOf = selectEvent + `WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3`
	eventsAt = selectEvent + `WHERE tenant = $1 AND target = $4
		AND num < coalesce((SELECT num FROM event WHERE tenant = $1 AND id = $2), 9223372036854775807) ORDER BY num DESC LIMIT $3`

	// eventsRead is how many events one call of Events looks at, and eventsPage how many
	// at once: whose they are and what was done has no index.
	eventsRead, eventsPage = 20_000, 1000
)

// Events implements hierarchy.Store.
func (s *Store) Events(ctx context.Context, tenant pki.TenantID, f hierarchy.EventFilter, before string, limit int) (events []pki.Event, next string, err error) {
	text, page := eventsOf, limit
	if f.Actor != "" || f.Action != "" {
		page = max(limit, eventsPage)
	}
	for looked := 0; looked < eventsRead; looked += page {
		args := []any{tenant, orNewest(before), page}
		if f.Target != "" {
			text, args = eventsAt, append(args, f.Target)
		}
		got, err := list(ctx, s.read, scanEvent, text, args...)
		if err != nil {
			return nil, "", fmt.Errorf("listing events: %w", err)
		}
		for i := range got {
			if before = got[i].ID; !f.Has(&got[i]) {
				continue
			}
			if events = append(events, got[i]); len(events) == limit {
				return events, before, nil
			}
		}
		if len(got) < page {
			return events, "", nil
		}
	}
	return events, before, nil
}
