package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// sequencer takes the lease for the fixture's node.
func (f *fixture) sequencer() auditlog.Hold {
	f.Helper()
	h := auditlog.Hold{Node: f.node, Until: f.now.Add(time.Minute)}
	var err error
	h.Epoch, err = f.TakeSequencer(f.ctx, h.Node, f.now, h.Until)
	f.ok(err)
	return h
}

// addLogs makes the logs that are missing.
func (f *fixture) addLogs(h auditlog.Hold) {
	f.Helper()
	tenants, err := f.Unlogged(f.ctx)
	f.ok(err)
	for _, id := range tenants {
		f.ok(f.PutLog(f.ctx, h, &auditlog.Log{Tenant: id, KeyURI: "software:log", Key: "key of " + string(id)}, f.event(id, "log.create")))
	}
}

// sequence gives every leaf its place, in small steps.
func (f *fixture) sequence(h auditlog.Hold) {
	f.Helper()
	f.addLogs(h)
	for {
		done, err := f.Sequence(f.ctx, h, 2)
		f.ok(err)
		if done < 2 {
			return
		}
	}
}

// checkLog sees that the rows of a tenant give the tree that was sequenced, and
// returns the leaves.
func (f *fixture) checkLog(tenant pki.TenantID) []*audit.Leaf {
	f.Helper()
	l, err := f.Log(f.ctx, tenant)
	f.ok(err)
	tree, err := audit.NewTree(0, nil)
	f.ok(err)
	var all []*audit.Leaf
	for int64(len(all)) < l.Size {
		leaves, err := f.Leaves(f.ctx, tenant, int64(len(all)), 3)
		f.ok(err)
		if len(leaves) == 0 {
			f.Fatalf("the log of %q has %d leaves and %d rows", tenant, l.Size, len(all))
		}
		for _, leaf := range leaves {
			if leaf == nil {
				f.Fatalf("the row of leaf %d is gone", len(all))
			}
			tree.Append(leaf.Hash())
			all = append(all, leaf)
		}
	}
	f.same(tree.Root(), l.Root)
	// The tiles are those of the tree, the open ones and those that are full.
	for _, tile := range tree.Tiles() {
		data, err := f.Tiles(f.ctx, tenant, []tlog.Tile{{H: audit.TileHeight, L: tile.Level, N: tile.N, W: len(tile.Data) / tlog.HashSize}})
		f.ok(err)
		f.same(data, [][]byte{tile.Data})
	}
	return all
}

// backlogOf returns a tenant's; zero where it has nothing to do.
func (f *fixture) backlogOf(tenant pki.TenantID) auditlog.Backlog {
	f.Helper()
	all, err := f.Backlog(f.ctx)
	f.ok(err)
	for _, b := range all {
		if b.Tenant == tenant {
			return b
		}
	}
	return auditlog.Backlog{}
}

// scanned returns all that a scan gives, in small pages.
func scanned[T any](f *fixture, scan func(ctx context.Context, from int64, limit int) ([]T, error), row func(T) int64) (all []T) {
	f.Helper()
	for from := int64(math.MinInt64); ; {
		page, err := scan(f.ctx, from, 2)
		f.ok(err)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		from = row(page[len(page)-1]) + 1
	}
}

// checkActs sees that the events and the entries about status of all tenants are what
// their leaves say, those in the logs of some and those that wait for their places.
func (f *fixture) checkActs(logs ...pki.TenantID) {
	f.Helper()
	left := make(map[tlog.Hash]int)
	for _, e := range scanned(f, f.ScanEvents, func(e check.EventRow) int64 { return e.Row }) {
		leaf := audit.OfEvent(&e.Event)
		left[(&audit.Leaf{Event: &leaf}).Hash()]++
	}
	for _, e := range scanned(f, f.ScanEntries, func(e check.EntryRow) int64 { return e.Row }) {
		leaf := audit.OfRevocation(&e.Revocation)
		left[(&audit.Leaf{Revocation: &leaf}).Hash()]++
	}
	for _, tenant := range logs {
		for _, l := range f.checkLog(tenant) {
			if l.Certificate == nil {
				left[l.Hash()]--
			}
		}
	}
	for _, w := range scanned(f, f.ScanWaiting, func(w check.WaitingLeaves) int64 { return w.ID }) {
		for _, h := range w.Hashes {
			left[h]--
		}
	}
	for h, n := range left {
		if n != 0 {
			f.Errorf("of what has the hash %s, %d more rows than leaves", h, n)
		}
	}
}

func testLog(f *fixture) {
	f.checkActs()
	waiting := f.backlogOf(acme)
	f.same(waiting.Leaves > 0 && waiting.NoLog, true)
	f.same(waiting.Oldest.IsZero(), false)
	_, err := f.Log(f.ctx, acme)
	f.is(pki.NotFound, err)
	h := f.sequencer()
	f.sequence(h)
	b := f.backlogOf(acme)
	f.same(b.UnanchoredSince.IsZero(), false)
	f.same(b, auditlog.Backlog{Tenant: acme, UnanchoredSince: b.UnanchoredSince, Unsigned: true})

	// Certificates, of which one is void and one's device is where an earlier
	// request put it; a lent one; a revocation.
	first, void, renewal := f.item("meter-1"), f.item("meter-2"), f.item("meter-1")
	renewal.Placement = pki.Placement{}
	in := f.intent(first, void, renewal)
	f.intend(in)
	sign(first, renewal)
	f.record(in)
	lent := f.item("meter-3")
	f.borrow(lent)
	lone := f.issue(lent)
	_, _, err = f.CertificateIndex(f.ctx, in.Issuer, renewal.Serial)
	f.is(pki.NotReady, err)
	f.ok(f.Revoke(f.ctx, []*revocation.Entry{f.entry(acme, first, pki.Superseded)}))
	everybody := []pki.TenantID{acme, partner, "stranger"}
	f.checkActs(everybody...)
	f.reopen()
	h = f.sequencer()
	f.sequence(h)

	f.checkActs(everybody...)
	leaves := f.checkLog(acme)
	f.checkLog(partner)
	f.checkLog(pki.TenantID("stranger"))
	for _, want := range []struct {
		serial pki.Serial
		intent pki.IntentID
		place  int
	}{{first.Serial, in.ID, 0}, {renewal.Serial, in.ID, 2}, {lent.Serial, lone.ID, 0}} {
		tenant, index, err := f.CertificateIndex(f.ctx, in.Issuer, want.serial)
		f.ok(err)
		f.same(tenant, acme)
		c := leaves[index].Certificate
		f.same(c != nil && c.Serial == audit.Serial(want.serial) && c.Intent == want.intent && c.Place == want.place, true)
	}
	_, index, err := f.CertificateIndex(f.ctx, in.Issuer, renewal.Serial)
	f.ok(err)
	f.same(leaves[index].Certificate.Lot, first.Placement.Lot)
	_, _, err = f.CertificateIndex(f.ctx, in.Issuer, void.Serial)
	f.is(pki.NotFound, err)

	events, _, err := f.Events(f.ctx, acme, hierarchy.EventFilter{}, "", 1)
	f.ok(err)
	at, err := f.EventIndex(f.ctx, acme, events[0].ID)
	f.ok(err)
	f.same(leaves[at].Event.Action, events[0].Action)
	_, err = f.EventIndex(f.ctx, stranger, events[0].ID)
	f.is(pki.NotFound, err)

	// The order of the log is that of the acts: of one recording the certificates,
	// then the revocation entry of the void item.
	var order []string
	for _, l := range leaves {
		switch {
		case l.Certificate != nil:
			order = append(order, "certificate")
		case l.Revocation != nil:
			order = append(order, "revocation")
		default:
			order = append(order, l.Event.Action)
		}
	}
	f.same(order, []string{"tenant.create", "authority.create", "authority.activate", "log.create",
		"certificate", "certificate", "revocation", "child.lend", "certificate", "revocation", "certificate.superseded"})

	// A tenant that has nothing sees nothing.
	none, err := f.Leaves(f.ctx, "nobody", 0, 10)
	f.ok(err)
	f.same(len(none), 0)
	_, err = f.Log(f.ctx, "nobody")
	f.is(pki.NotFound, err)
	_, err = f.Tiles(f.ctx, "nobody", []tlog.Tile{{H: audit.TileHeight, W: 1}})
	f.is(pki.NotFound, err)
}

// testLogGrows over more than a tile, restarting.
func testLogGrows(f *fixture) {
	h := f.sequencer()
	f.sequence(h)
	for range 3 {
		for range 60 {
			f.issue(f.item(""), f.item(""), f.item(""))
		}
		f.sequence(h)
		f.checkLog(acme)
		f.reopen()
		h = f.sequencer()
	}
	l, err := f.Log(f.ctx, acme)
	f.ok(err)
	f.same(l.Size, int64(4+3*60*3))
	page, err := f.Leaves(f.ctx, acme, 100, 7)
	f.ok(err)
	f.same(len(page), 7)
	_, index, err := f.CertificateIndex(f.ctx, f.issuer.ID, pki.Serial(page[3].Certificate.Serial))
	f.ok(err)
	f.same(index, int64(103))
}

// testSequencer says that who lost the lease changes nothing any more.
func testSequencer(f *fixture) {
	h := f.sequencer()
	f.addLogs(h)
	_, err := f.TakeSequencer(f.ctx, "node-b", f.now, f.now.Add(time.Minute))
	f.fenced(err)
	f.ok(f.KeepSequencer(f.ctx, h))
	epoch, err := f.TakeSequencer(f.ctx, "node-b", h.Until.Add(time.Second), h.Until.Add(time.Minute))
	f.ok(err)
	f.same(epoch > h.Epoch, true)
	f.fenced(f.KeepSequencer(f.ctx, h))
	_, err = f.Sequence(f.ctx, h, 10)
	f.fenced(err)
	f.fenced(f.PutLog(f.ctx, h, &auditlog.Log{Tenant: "other"}, f.event(acme, "log.create")))
	f.fenced(f.PutCheckpoint(f.ctx, h, acme, 1, "note"))
	f.fenced(f.KeepCheckpoint(f.ctx, h, acme, auditlog.Kept{Size: 1, Note: "note"}))
	f.fenced(f.Anchored(f.ctx, h, acme, 1, f.now))
	l, err := f.Log(f.ctx, acme)
	f.ok(err)
	f.same(l, &auditlog.Log{Tenant: acme, KeyURI: "software:log", Key: "key of acme", Root: l.Root})
	b := auditlog.Hold{Node: "node-b", Epoch: epoch, Until: h.Until.Add(time.Minute)}
	f.is(pki.Conflict, f.PutLog(f.ctx, b, &auditlog.Log{Tenant: acme}, f.event(acme, "log.create")))
	done, err := f.Sequence(f.ctx, b, 100)
	f.ok(err)
	f.same(done > 0, true)
}

func (f *fixture) fenced(err error) {
	f.Helper()
	if !errors.Is(err, auditlog.ErrFenced) {
		f.Errorf("got %v, want that another node runs the sequencer", err)
	}
}

// testCheckpoints keeps what was signed and what anchors took.
func testCheckpoints(f *fixture) {
	id, err := f.Deployment(f.ctx)
	f.ok(err)
	f.reopen()
	again, err := f.Deployment(f.ctx)
	f.ok(err)
	f.same(again, id)

	h := f.sequencer()
	f.sequence(h)
	l, err := f.Log(f.ctx, acme)
	f.ok(err)
	f.ok(f.PutCheckpoint(f.ctx, h, acme, l.Size, "newest"))
	f.ok(f.PutCheckpoint(f.ctx, h, acme, l.Size-1, "older"))
	at := func(n int) time.Time { return f.now.Add(time.Duration(n) * time.Minute) }
	for n := range 3 {
		f.ok(f.KeepCheckpoint(f.ctx, h, acme, auditlog.Kept{Size: int64(n + 1), At: at(n), Note: fmt.Sprint("note ", n+1)}))
	}
	f.ok(f.KeepCheckpoint(f.ctx, h, acme, auditlog.Kept{Size: 1, At: at(9), Note: "another"})) // changes nothing
	f.ok(f.Anchored(f.ctx, h, acme, 2, at(5)))
	l, err = f.Log(f.ctx, acme)
	f.ok(err)
	f.same(l.Checkpoint, "newest")
	f.same(l.SignedSize, l.Size)
	f.same(l.AnchoredSize, int64(2))
	f.same(l.UnanchoredSince, at(5))
	f.ok(f.Anchored(f.ctx, h, acme, 2, at(6))) // another anchor took it, too
	l, err = f.Log(f.ctx, acme)
	f.ok(err)
	f.same(l.UnanchoredSince, at(5))
	f.ok(f.Anchored(f.ctx, h, acme, l.Size, at(6)))
	f.ok(f.Anchored(f.ctx, h, acme, 1, at(7)))
	l, err = f.Log(f.ctx, acme)
	f.ok(err)
	f.same(l.AnchoredSize, l.Size)
	f.same(l.UnanchoredSince.IsZero(), true)
	all, err := f.Logs(f.ctx)
	f.ok(err)
	f.same(len(all), 3) // each tenant's
	f.same(all[0], l)

	kept, err := f.Kept(f.ctx, acme, 1, 10)
	f.ok(err)
	f.same(kept, []auditlog.Kept{{Size: 2, At: at(1), Note: "note 2"}, {Size: 3, At: at(2), Note: "note 3"}})
	kept, err = f.Kept(f.ctx, stranger, 0, 10)
	f.ok(err)
	f.same(len(kept), 0)
	for _, c := range []struct {
		at            time.Time
		before, after int64
	}{{at(-1), 0, 1}, {at(1), 2, 2}, {at(1).Add(time.Second), 2, 3}, {at(5), 3, 0}} {
		before, after, err := f.KeptAt(f.ctx, acme, c.at)
		f.ok(err)
		f.same([]int64{before.Size, after.Size}, []int64{c.before, c.after})
	}
}
