package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// An entryGroup is entries that one transaction stores with their events, several with
// each statement.
type entryGroup struct {
	*tx
	waiting []waitingEntry
	serials map[pki.Serial]bool // of those that wait
}

type waitingEntry struct {
	*revocation.Entry
	issuer issuerInfo
	lender bool // see serialState
}

func newEntryGroup(t *tx) *entryGroup {
	return &entryGroup{tx: t, serials: make(map[pki.Serial]bool)}
}

// add takes an entry, or returns as refused why it may not be. That its log's gate is
// closed is no refusal of the entry but an error.
func (g *entryGroup) add(e *revocation.Entry) (refused, err error) {
	if err := g.s.gateOf(e); err != nil {
		return nil, err
	}
	issuer, err := g.s.issuerInfo(context.Background(), e.Issuer)
	if pki.KindOf(err) == pki.NotFound {
		return pki.Errorf(pki.NotFound, "no certificate with serial %s", e.Serial), nil
	}
	if err != nil {
		return nil, err
	}
	who, err := g.s.findRef(context.Background(), tenantRef(e.Tenant))
	if err != nil {
		return nil, err
	}
	if g.serials[e.Serial] { // it depends on what became of that
		if err := g.store(); err != nil {
			return nil, err
		}
	}
	k, err := stateOf(context.Background(), g.tx, issuer, e.Issuer, e.Serial)
	if err != nil {
		return nil, err
	}
	// One that is known by its hold alone was taken over from a published CRL: it is
	// its issuer's, and otherwise nobody could release it.
	if !k.issued && k.latest != nil && k.latest.Reason == pki.CertificateHold {
		k.tenant = issuer.tenant
	}
	if k.tenant != who && k.owner != who || who == 0 {
		if k.archived() {
			if refused := archivedIn(context.Background(), g.tx, pki.Conflict, e.Tenant, issuer.num, e.Serial); refused != nil {
				return refused, nil
			}
		}
		return pki.Errorf(pki.NotFound, "no certificate with serial %s", e.Serial), nil
	}
	e.Shard, e.NotAfter = e.Serial.Shard(issuer.shards), k.notAfter
	if e.N, err = k.next(who, e.Reason); err != nil {
		return err, nil
	}
	if e.Reason == pki.RemoveFromCRL {
		if k.keeps(who) {
			return revocation.HeldByLender(issuer.owner), nil
		}
		if refused, err = suspension(context.Background(), g.tx, issuer, e.Serial); refused != nil || err != nil {
			return refused, err
		}
	}
	g.waiting = append(g.waiting, waitingEntry{e, issuer, k.owner != 0 && k.owner != who})
	g.serials[e.Serial] = true
	return nil, nil
}

// gateOf is an error where the log of the issuer's tenant, or of whoever acts, is closed.
func (s *Store) gateOf(e *revocation.Entry) error {
	return cmp.Or(s.gate.Act(e.Event.Tenant), s.gate.Act(e.Tenant))
}

// store stores those that wait, with their events and the leaves of both.
func (g *entryGroup) store() error {
	for rest := g.waiting; len(rest) > 0; { // a run of leaves is of one tenant
		n := 1
		for n < len(rest) && rest[n].issuer.tenant == rest[0].issuer.tenant {
			n++
		}
		if err := g.insert(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	events := make([]pki.Event, 0, len(g.waiting))
	for _, e := range g.waiting {
		ev := e.Event
		if ev.Tenant != e.Tenant { // who of the owner's people it was is the owner's to know
			own := ev
			own.ID, own.Tenant = "", e.Tenant
			events = append(events, own)
			ev.Actor, ev.Change = "tenant:"+string(e.Tenant), ""
		}
		events = append(events, ev)
	}
	g.waiting = g.waiting[:0]
	clear(g.serials)
	return g.storeEvents(events)
}

var insertEntries = newRowsText(`revocation (issuer, serial, n, reason, at, shard, not_after, lender, job)`, 9, `RETURNING seq, issuer, serial`)

// insert inserts entries and their run of leaves.
func (g *entryGroup) insert(entries []waitingEntry) error {
	type key struct {
		issuer int64
		serial pki.Serial
	}
	type inserted struct {
		seq int64
		key
	}
	args := make([]any, 0, 9*len(entries))
	by := make(map[key]*pki.Revocation, len(entries))
	for _, e := range entries {
		r := &e.Revocation
		args = append(args, e.issuer.num, r.Serial[:], r.N, int64(r.Reason), micros(r.At), r.Shard, micros(r.NotAfter), number(e.lender), byNoJob)
		by[key{e.issuer.num, r.Serial}] = r
	}
	rows := make([]inserted, 0, len(entries))
	err := g.queryRows(insertEntries, args, func(row row) error {
		var i inserted
		err := row.Scan(&i.seq, &i.issuer, intoArray(i.serial[:]))
		rows = append(rows, i)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing revocations: %w", err)
	}
	slices.SortFunc(rows, func(a, b inserted) int { return cmp.Compare(a.seq, b.seq) })
	run := leafRun{tenant: entries[0].issuer.tenant, kind: leafRevocation}
	newest := make(map[shardNum]int64)
	for _, i := range rows {
		r := by[i.key]
		run.addEntry(i.seq, r)
		newest[shardNum{i.issuer, r.Shard}] = i.seq
	}
	for s, seq := range newest {
		if err := g.newest(s.issuer, s.shard, seq); err != nil {
			return err
		}
	}
	return g.leaves(&run, entries[0].At)
}

// suspension returns why a certificate is not to be released: its device is suspended.
func suspension(ctx context.Context, from source, issuer issuerInfo, serial pki.Serial) (refused, err error) {
	device, err := one(ctx, from, func(row row) (id pki.DeviceID, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT d.device FROM certificate c JOIN device d ON d.owner = c.owner AND d.device = c.device
		WHERE c.serial = $1 AND c.issuer = $2 AND d.state = $3`, serial[:], issuer.num, registry.Suspended)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the state of a certificate's device: %w", err)
	}
	return revocation.DeviceSuspended(device), nil
}
