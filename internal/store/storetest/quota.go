package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
)

// quotaTargets publishes a second profile, registers a second product line and makes two
// endpoints, and returns what acme can have quotas for then.
func (f *fixture) quotaTargets() []quota.Target {
	f.Helper()
	for _, name := range []string{"meter", "gateway"} {
		f.ok(f.PutProfile(f.ctx, &pki.ProfileVersion{ProfileRef: pki.ProfileRef{Tenant: acme, Name: name, Version: 1}, Source: name, Created: f.now}, nil, f.event(acme, "profile.publish")))
	}
	for _, name := range []string{"meters", "valves"} {
		f.ok(f.PutPlace(f.ctx, &registry.Place{Kind: registry.ProductLine, Tenant: acme, Name: name, Created: f.now}, f.event(acme, "place.create")))
	}
	for _, name := range []string{"line-1", "line-2"} {
		f.ok(f.PutEndpoint(f.ctx, &pki.Endpoint{Tenant: acme, Name: name, Authority: f.authority.ID, Profile: f.profile, Created: f.now}, nil, f.event(acme, "endpoint.create")))
	}
	return []quota.Target{{Kind: quota.Tenant}, {Kind: quota.Authority, Name: "manufacturing"}, {Kind: quota.Profile, Name: "meter"},
		{Kind: quota.Profile, Name: "gateway"}, {Kind: quota.ProductLine, Name: "meters"}, {Kind: quota.ProductLine, Name: "valves"},
		{Kind: quota.Endpoint, Name: "line-1"}, {Kind: quota.Endpoint, Name: "line-2"}}
}

func (f *fixture) setQuota(t quota.Target, limit int64) {
	f.Helper()
	_, err := f.SetQuota(f.ctx, quota.Quota{Tenant: acme, Target: t, Limit: limit, Actor: "token:0abc", Changed: f.now}, true, f.event(acme, "quota.set"))
	f.ok(err)
}

// countQuotas counts until nothing is left to look at now.
func (f *fixture) countQuotas(limit int) {
	f.Helper()
	for more := true; more; {
		var err error
		more, err = f.CountQuotas(f.ctx, limit)
		f.ok(err)
	}
}

// used returns what is used of acme's quotas, by their text; what is being counted is
// left out. Of each the store must hold as many.
func (f *fixture) used() map[string]int64 {
	f.Helper()
	all, err := f.Quotas(f.ctx, acme)
	f.ok(err)
	used := make(map[string]int64)
	for _, q := range all {
		n, err := f.QuotaHeld(f.ctx, q)
		f.ok(err)
		if n != q.Used {
			f.Fatalf("quota %s: %d are used, and %d are held", q.Target, q.Used, n)
		}
		if !q.Counting {
			used[q.Target.String()] = q.Used
		}
	}
	return used
}

// asked is an item that a token asked for.
func (f *fixture) asked(device pki.DeviceID) *issuance.Item {
	it := f.item(device)
	it.Actor = "token:0abc"
	return it
}

// testQuotas: a quota is set, changed, listed and removed, with events, by its tenant
// alone, for what is there.
func testQuotas(f *fixture) {
	targets := f.quotaTargets()
	for _, t := range targets[1:] {
		_, err := f.SetQuota(f.ctx, quota.Quota{Tenant: stranger, Target: t, Limit: 5}, true, f.event(stranger, "quota.set"))
		f.is(pki.NotFound, err)
	}
	for _, kind := range []quota.Kind{quota.Authority, quota.Profile, quota.ProductLine, quota.Endpoint} {
		_, err := f.SetQuota(f.ctx, quota.Quota{Tenant: acme, Target: quota.Target{Kind: kind, Name: "missing"}, Limit: 5}, true, f.event(acme, "quota.set"))
		f.is(pki.NotFound, err)
	}
	f.setQuota(targets[2], 10)
	f.setQuota(quota.Target{Kind: quota.Authority, Name: string(f.authority.ID)}, 20) // by its id
	f.countQuotas(10)
	f.later(time.Second)
	f.setQuota(targets[2], 7)
	all, err := f.Quotas(f.ctx, acme)
	f.ok(err)
	f.same(all, []*quota.Quota{
		{Tenant: acme, Target: targets[1], Limit: 20, Actor: "token:0abc", Changed: f.now.Add(-time.Second)},
		{Tenant: acme, Target: targets[2], Limit: 7, Actor: "token:0abc", Changed: f.now},
	})
	_, err = f.SetQuota(f.ctx, quota.Quota{Tenant: partner, Target: quota.Target{Kind: quota.Tenant}, Limit: 1, Changed: f.now}, true, f.event(partner, "quota.set"))
	f.ok(err)
	every, err := f.AllQuotas(f.ctx)
	f.ok(err)
	f.same(len(every), 3)
	theirs, err := f.Quotas(f.ctx, stranger)
	f.ok(err)
	f.same(len(theirs), 0)
	events, _, err := f.Events(f.ctx, acme, hierarchy.EventFilter{}, "", 1)
	f.ok(err)
	f.same([]string{events[0].Target, events[0].Detail}, []string{"quota:profile:meter", "from 10 to 7 certificates"})

	f.is(pki.NotFound, f.RemoveQuota(f.ctx, stranger, targets[2], f.event(stranger, "quota.remove")))
	f.is(pki.NotFound, f.RemoveQuota(f.ctx, acme, targets[0], f.event(acme, "quota.remove")))
	f.ok(f.RemoveQuota(f.ctx, acme, targets[2], f.event(acme, "quota.remove")))
	f.same(f.actions(acme)[0], "quota.remove")
	f.same(f.used(), map[string]int64{"authority:manufacturing": 0})
	_, err = f.QuotaHeld(f.ctx, &quota.Quota{Tenant: stranger, Target: targets[1]})
	f.is(pki.NotFound, err)
}

// testQuotaRefuses: an intent takes from a quota item by item, in order, and what
// comes to nothing is given back; a request that comes again takes nothing. A row of a
// batch that finds no room is refused with the kind.
func testQuotaRefuses(f *fixture) {
	f.quotaTargets()
	f.setQuota(quota.Target{Kind: quota.Tenant}, 3)
	f.countQuotas(10)
	first, second := f.asked("a"), f.asked("b")
	first.Idempotency = "order-1"
	own, theirs := f.item(""), f.asked("c") // pando's own, and another tenant's
	own.Actor = "system:listener (listener)"
	f.borrow(theirs)
	in := f.intent(first, own, second, theirs)
	f.intend(in)
	f.same(f.used(), map[string]int64{"tenant": 2})
	again := f.asked("a")
	again.Idempotency = "order-1"
	repeated := f.intent(again)
	f.intend(repeated)
	f.same(again.Earlier != nil, true)
	sign(first, own, theirs)
	f.record(in) // second came to nothing
	f.same(f.used(), map[string]int64{"tenant": 1})

	b := f.upload(2, batch.Running)
	chunk := f.chunkIntent(b.ID, 0, 1, 2, 3)
	f.intend(chunk)
	f.is(pki.QuotaExceeded, chunk.Items[2].Refused)
	f.says(chunk.Items[2].Refused, "the tenant's quota, 3 certificates, is used up: ")
	f.same(f.used(), map[string]int64{"tenant": 3})
	f.reopen()
	f.record(chunk) // void as a whole: the chunk is tried again
	f.same(f.used(), map[string]int64{"tenant": 1})
	chunk = f.chunkIntent(b.ID, 0, 1, 2, 3)
	f.intend(chunk)
	sign(chunk.Items[:2]...)
	f.record(chunk)
	f.same(f.ends(b.ID, 0, 3), []string{"1 issued", "2 issued", "3 quota-exceeded"})
	none := f.chunkIntent(b.ID, 1, 4, 5, 6)
	f.intend(none)
	f.same(f.ends(b.ID, 3, 3), []string{"4 quota-exceeded", "5 quota-exceeded", "6 quota-exceeded"})

	// A pair takes two or nothing.
	f.setQuota(quota.Target{Kind: quota.Tenant}, 4)
	one, other := f.asked("pair"), f.asked("pair")
	one.With, other.With = other, one
	f.intend(f.intent(one, other))
	f.is(pki.QuotaExceeded, one.Refused)
	f.is(pki.QuotaExceeded, other.Refused)
	f.same(f.used(), map[string]int64{"tenant": 3})

	// A limit below what is used refuses until that is less.
	f.setQuota(quota.Target{Kind: quota.Tenant}, 1)
	late := f.asked("late")
	f.intend(f.intent(late))
	f.is(pki.QuotaExceeded, late.Refused)
	f.setQuota(quota.Target{Kind: quota.Tenant}, 4)
	f.issue(f.asked("late"))
	f.same(f.used(), map[string]int64{"tenant": 4})
}

// testQuotaFreed: decommissioning a device and archiving its certificates free what
// they took, once.
func testQuotaFreed(f *fixture) {
	f.quotaTargets()
	end := f.now.Add(time.Hour)
	expired := func(device pki.DeviceID) *issuance.Item {
		it := f.asked(device)
		it.NotAfter, it.Placement = end, pki.Placement{ProductLine: "meters"}
		return it
	}
	f.issue(expired("before"))
	f.setQuota(quota.Target{Kind: quota.Tenant}, 10)
	f.setQuota(quota.Target{Kind: quota.ProductLine, Name: "meters"}, 10)
	f.countQuotas(10)
	f.issue(expired("a"), expired("b"), expired("b"), expired("c"))
	f.issue(f.asked("last"))
	f.same(f.used(), map[string]int64{"tenant": 6, "product-line:meters": 6})
	racing := f.asked("b")
	in := f.intent(racing)
	f.intend(in)
	for _, id := range []pki.DeviceID{"b", "before"} {
		_, err := f.act(id, registry.Decommission)
		f.ok(err)
	}
	f.same(f.used(), map[string]int64{"tenant": 4, "product-line:meters": 4})
	sign(racing) // for a device that is decommissioned by then: it is revoked, and counts no more
	f.record(in)
	f.same(f.used(), map[string]int64{"tenant": 3, "product-line:meters": 3})

	f.later(2 * time.Hour)
	f.anchorAll()
	entries, _ := f.expired(acme, f.now)
	a := &retention.Archive{ID: "a1", Tenant: acme, Created: f.now, Before: f.now, FirstRow: entries[0].Row, LastRow: entries[len(entries)-1].Row,
		Manifest: retention.Manifest{Object: "acme/a1", Certificates: int64(len(entries))}}
	f.ok(f.PutArchive(f.ctx, a))
	f.ok(f.ArchiveWritten(f.ctx, a, f.event(acme, retention.EventAction)))
	f.remove(a, entries, 0)
	f.same(len(entries), 5)
	f.same(f.used(), map[string]int64{"tenant": 1, "product-line:meters": 1})
	f.remove(a, entries, 0)
	f.same(f.used(), map[string]int64{"tenant": 1, "product-line:meters": 1})
}

// testQuotaCounted: a quota that is set where there is something already counts it in
// steps, and takes notice of what changes meanwhile.
func testQuotaCounted(f *fixture) {
	f.quotaTargets()
	var items []*issuance.Item
	for n := range 10 {
		items = append(items, f.asked(pki.DeviceID(fmt.Sprint("m-", n))))
	}
	theirs := f.asked("lent")
	f.borrow(theirs)
	f.issue(append(items, theirs)...)
	open := f.intent(f.asked("open-1"), f.asked("open-2"))
	f.intend(open)
	f.setQuota(quota.Target{Kind: quota.Tenant}, 14)
	step := func() {
		f.Helper()
		_, err := f.CountQuotas(f.ctx, 4)
		f.ok(err)
	}
	step()
	f.same(f.used(), map[string]int64{})
	_, err := f.act("m-1", registry.Decommission) // it was counted
	f.ok(err)
	_, err = f.act("m-8", registry.Decommission) // it was not
	f.ok(err)
	f.issue(f.asked("since"))
	f.reopen()
	f.countQuotas(4)
	f.same(f.used(), map[string]int64{}) // an intent from before it is open
	sign(open.Items[0])
	f.record(open)
	f.countQuotas(4)
	f.same(f.used(), map[string]int64{"tenant": 10})

	// The owner's are counted, whoever issued them.
	_, err = f.SetQuota(f.ctx, quota.Quota{Tenant: partner, Target: quota.Target{Kind: quota.Tenant}, Limit: 5, Changed: f.now}, true, f.event(partner, "quota.set"))
	f.ok(err)
	f.countQuotas(4)
	all, err := f.Quotas(f.ctx, partner)
	f.ok(err)
	f.same([]any{all[1].Used, all[1].Counting}, []any{int64(1), false}) // behind the loan
}

// testQuotaLine: a renewal that says nothing of its product line takes from that of
// its device, and stays there though the device is moved before the record.
func testQuotaLine(f *fixture) {
	f.quotaTargets()
	f.setQuota(quota.Target{Kind: quota.ProductLine, Name: "meters"}, 2)
	f.setQuota(quota.Target{Kind: quota.ProductLine, Name: "valves"}, 1)
	f.countQuotas(10)
	f.issue(f.asked("a"))
	silent := func() *issuance.Item {
		it := f.asked("a")
		it.Placement = pki.Placement{}
		return it
	}
	renewed := silent()
	in := f.intent(renewed)
	f.intend(in)
	f.same(f.used(), map[string]int64{"product-line:meters": 2, "product-line:valves": 0})
	third := silent()
	f.intend(f.intent(third))
	f.is(pki.QuotaExceeded, third.Refused)
	moved := f.asked("a")
	moved.Placement = pki.Placement{ProductLine: "valves"}
	f.issue(moved)
	sign(renewed)
	f.record(in)
	f.same(f.used(), map[string]int64{"product-line:meters": 2, "product-line:valves": 1})

	nowhere := f.asked("b")
	nowhere.Placement = pki.Placement{}
	in = f.intent(nowhere)
	f.intend(in)
	f.setQuota(quota.Target{Kind: quota.ProductLine, Name: "meters"}, 3)
	f.issue(f.asked("b"))
	sign(nowhere)
	f.record(in)
	f.same(f.used(), map[string]int64{"product-line:meters": 3, "product-line:valves": 1})
}

// testQuotaOfEndpoint: what is enrolled by an endpoint of the owner's counts against its
// quota, single requests and rows of a batch, each of a pair at its own; what another tenant
// has by one of that name does not.
func testQuotaOfEndpoint(f *fixture) {
	f.quotaTargets()
	by := func(endpoint string, it *issuance.Item) *issuance.Item {
		it.Endpoint = endpoint
		return it
	}
	theirs := by("line-1", f.asked("theirs"))
	f.borrow(theirs)
	own := by("", f.item("own"))
	own.Actor = "system:listener (listener)"
	f.issue(by("line-1", f.asked("a")), by("line-2", f.asked("a")), f.asked("a"), theirs, own)
	for _, name := range []string{"line-1", "line-2"} {
		f.setQuota(quota.Target{Kind: quota.Endpoint, Name: name}, 3)
	}
	f.countQuotas(2)
	f.same(f.used(), map[string]int64{"endpoint:line-1": 1, "endpoint:line-2": 1})

	one, other := by("line-1", f.asked("pair")), by("line-2", f.asked("pair"))
	one.With, other.With = other, one
	in := f.intent(one, other)
	f.intend(in)
	f.same(f.used(), map[string]int64{"endpoint:line-1": 2, "endpoint:line-2": 2})
	f.reopen()
	f.record(in) // it came to nothing
	f.same(f.used(), map[string]int64{"endpoint:line-1": 1, "endpoint:line-2": 1})

	b := f.upload(1, batch.Running)
	chunk := f.chunkIntent(b.ID, 0, 1, 2, 3)
	for _, it := range chunk.Items {
		it.Endpoint = "line-1"
	}
	f.intend(chunk)
	f.is(pki.QuotaExceeded, chunk.Items[2].Refused)
	f.says(chunk.Items[2].Refused, "the quota of endpoint:line-1, 3 certificates, is used up: ")
	f.reopen()
	f.same(f.used(), map[string]int64{"endpoint:line-1": 3, "endpoint:line-2": 1})
	sign(chunk.Items[:2]...)
	f.record(chunk)
	f.ok(f.RemoveQuota(f.ctx, acme, quota.Target{Kind: quota.Endpoint, Name: "line-1"}, f.event(acme, "quota.remove")))
	f.setQuota(quota.Target{Kind: quota.Endpoint, Name: "line-1"}, 9)
	f.countQuotas(2)
	f.same(f.used(), map[string]int64{"endpoint:line-1": 3, "endpoint:line-2": 1})
	_, err := f.act("a", registry.Decommission)
	f.ok(err)
	f.same(f.used(), map[string]int64{"endpoint:line-1": 2, "endpoint:line-2": 0})
}

// testQuotasAtRandom does all of it in any order, and compares with what the model and
// the store's own rows say.
func testQuotasAtRandom(f *fixture) {
	seed := uint64(time.Now().UnixNano())
	f.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	targets := f.quotaTargets()
	f.borrow()
	lines := map[pki.DeviceID]string{} // of acme's devices
	gone := map[pki.DeviceID]bool{}
	var open []*issuance.Intent
	var made []*issuance.Item
	record := func(in *issuance.Intent) {
		for _, it := range in.Items {
			if rng.IntN(4) > 0 {
				sign(it)
				made = append(made, it)
				if it.Owner == acme && it.Placement.ProductLine != "" {
					lines[it.Device] = it.Placement.ProductLine
				}
			}
		}
		f.record(in)
	}
	for range 200 {
		switch rng.IntN(8) {
		case 0:
			f.setQuota(targets[rng.IntN(len(targets))], int64(5+rng.IntN(60)))
		case 1:
			_ = f.RemoveQuota(f.ctx, acme, targets[rng.IntN(len(targets))], f.event(acme, "quota.remove")) // there may be none
		case 2:
			_, err := f.CountQuotas(f.ctx, 1+rng.IntN(20))
			f.ok(err)
		case 3:
			id := pki.DeviceID(fmt.Sprint("m-", rng.IntN(20)))
			if _, err := f.act(id, registry.Decommission); err == nil {
				gone[id] = true
			}
		case 4:
			f.reopen()
		default:
			in := f.intent()
			for range 1 + rng.IntN(5) {
				it := f.asked(pki.DeviceID(fmt.Sprint("m-", rng.IntN(20))))
				it.Placement.ProductLine = []string{"", "meters", "valves"}[rng.IntN(3)]
				it.Profile.Name = []string{"meter", "gateway"}[rng.IntN(2)]
				it.Endpoint = []string{"", "line-1", "line-2"}[rng.IntN(3)]
				it.Owner = []pki.TenantID{acme, acme, partner}[rng.IntN(3)]
				if rng.IntN(5) == 0 {
					it.Actor = ""
				}
				in.Items = append(in.Items, it)
			}
			before, err := f.Quotas(f.ctx, acme)
			f.ok(err)
			want := expectQuotas(before, in.Items, lines)
			f.intend(in)
			var got []bool
			for _, it := range in.Items {
				got = append(got, pki.KindOf(it.Refused) == pki.QuotaExceeded && it.Refused != nil)
			}
			f.same(got, want)
			if in.Items = live(in.Items); len(in.Items) > 0 {
				open = append(open, in)
			}
		}
		for len(open) > 0 && rng.IntN(2) == 0 {
			n := rng.IntN(len(open))
			record(open[n])
			open = append(open[:n], open[n+1:]...)
		}
		f.used()
		f.later(time.Second)
	}
	for _, in := range open {
		record(in)
	}
	for _, t := range targets {
		f.setQuota(t, 1)
	}
	f.countQuotas(7)
	want := map[string]int64{}
	for _, t := range targets {
		want[t.String()] = 0
	}
	for _, it := range made {
		if it.Owner != acme || it.Actor == "" || gone[it.Device] {
			continue
		}
		c, err := f.Certificate(f.ctx, acme, f.issuer.ID, it.Serial)
		f.ok(err)
		for _, t := range []quota.Target{{Kind: quota.Tenant}, {Kind: quota.Authority, Name: "manufacturing"}, {Kind: quota.Profile, Name: c.Profile.Name}, {Kind: quota.ProductLine, Name: c.ProductLine}, {Kind: quota.Endpoint, Name: it.Endpoint}} {
			if t.Kind == quota.Tenant || t.Name != "" {
				want[t.String()]++
			}
		}
	}
	f.same(f.used(), want)
}

// expectQuotas returns which items are refused.
func expectQuotas(quotas []*quota.Quota, items []*issuance.Item, lines map[pki.DeviceID]string) (refused []bool) {
	for _, it := range items {
		line := it.Placement.ProductLine
		if line == "" {
			line = lines[it.Device]
		}
		var counts []*quota.Quota
		full := false
		for _, q := range quotas {
			if it.Owner != acme || it.Actor == "" {
				continue
			}
			switch {
			case q.Kind == quota.Profile && q.Name != it.Profile.Name, q.Kind == quota.ProductLine && q.Name != line, q.Kind == quota.Endpoint && q.Name != it.Endpoint:
				continue
			}
			counts = append(counts, q)
			full = full || q.Used >= q.Limit
		}
		if !full {
			for _, q := range counts {
				q.Used++
			}
		}
		refused = append(refused, full)
	}
	return refused
}
