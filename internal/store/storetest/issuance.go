package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

func testIssue(f *fixture) {
	a, b := f.item("meter-1"), f.item("")
	b.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	b.Placement = pki.Placement{}
	in := f.intent(a, b)
	f.intend(in)
	f.isOpen(in, true)
	_, err := f.Certificate(f.ctx, acme, in.Issuer, a.Serial)
	f.is(pki.NotFound, err)
	status, err := f.Status(f.ctx, in.Issuer, a.Serial)
	f.ok(err)
	f.same(status.Known, false) // signed perhaps, but not issued

	sign(a, b)
	f.record(in)
	f.isOpen(in, false)
	for place, it := range in.Items {
		got, err := f.Certificate(f.ctx, acme, in.Issuer, it.Serial)
		f.ok(err)
		f.same(got, f.certificate(in, place))
		status, err := f.Status(f.ctx, in.Issuer, it.Serial)
		f.ok(err)
		f.same(status.Known, true)
		f.same(status.NotAfter, it.NotAfter)
		_, err = f.Certificate(f.ctx, stranger, in.Issuer, it.Serial)
		f.is(pki.NotFound, err)
	}
	_, err = f.Certificate(f.ctx, acme, "unknown", a.Serial)
	f.is(pki.NotFound, err)

	// A record that comes twice changes nothing.
	sign(a)
	f.ok(f.Commit(f.ctx, f.now, []*issuance.Intent{in}, nil))
	f.same(errors.Is(in.Err, issuance.ErrFenced), true)

	// Neither does one of other bytes than were intended.
	c := f.item("meter-2")
	in = f.intent(c)
	f.intend(in)
	c.TBS[40]++
	sign(c)
	f.ok(f.Commit(f.ctx, f.now, []*issuance.Intent{in}, nil))
	f.same(errors.Is(in.Err, issuance.ErrFenced), true)
	f.isOpen(in, true)

	f.ok(f.Commit(f.ctx, f.now, nil, []*issuance.Intent{f.intent()})) // an empty one is nothing
}

// testPlace says that a certificate keeps the place that its device had when it was
// issued.
func testPlace(f *fixture) {
	in := f.issue(f.item("meter-1"))
	first := f.certificate(in, 0)

	silent := f.item("meter-1") // a renewal that says nothing of the place
	silent.Placement = pki.Placement{}
	in = f.issue(silent)
	second := f.certificate(in, 0)
	second.Placement = first.Placement

	moved := f.item("meter-1")
	moved.Placement = pki.Placement{Lot: "returns"}
	in = f.issue(moved)
	third := f.certificate(in, 0)
	third.Placement = pki.Placement{ProductLine: first.ProductLine, Lot: "returns", Site: first.Site}

	all, _ := f.certificates(acme, "meter-1", nil, 10)
	f.same(all, []*pki.Certificate{third, second, first})
}

// testPlaceInGroup says the same of the certificates of one group, of which several
// are of one device; and that a group keeps the order of its items, however many
// they are.
func testPlaceInGroup(f *fixture) {
	silent, moved := f.item("meter-1"), f.item("meter-1")
	silent.Placement, moved.Placement = pki.Placement{}, pki.Placement{Lot: "returns"}
	items := []*issuance.Item{f.item("meter-1"), silent, moved}
	for i := range 100 {
		items = append(items, f.item(pki.DeviceID("meter-2-"+strconv.Itoa(i))))
	}
	in := f.issue(items...)
	want := f.certificate(in, 1)
	want.Placement = items[0].Placement
	f.same(f.have(in, 1), want)
	want = f.certificate(in, 2)
	want.Placement = pki.Placement{ProductLine: items[0].Placement.ProductLine, Lot: "returns", Site: items[0].Placement.Site}
	f.same(f.have(in, 2), want)
	for place := 3; place < len(items); place++ {
		f.same(f.have(in, place), f.certificate(in, place))
	}
}

// have returns what the store has of an item.
func (f *fixture) have(in *issuance.Intent, place int) *pki.Certificate {
	f.Helper()
	c, err := f.Certificate(f.ctx, acme, in.Issuer, in.Items[place].Serial)
	f.ok(err)
	return c
}

func testLent(f *fixture) {
	it := f.item("their-1")
	f.borrow(it)
	in := f.issue(it)
	for _, tenant := range []pki.TenantID{acme, partner} {
		got, err := f.Certificate(f.ctx, tenant, in.Issuer, it.Serial)
		f.ok(err)
		f.same(got, f.certificate(in, 0))
		for _, device := range []pki.DeviceID{"", "their-1"} {
			all, _ := f.certificates(tenant, device, nil, 10)
			f.same(all, []*pki.Certificate{got})
		}
	}
	_, err := f.Certificate(f.ctx, stranger, in.Issuer, it.Serial)
	f.is(pki.NotFound, err)

	// Devices and keys are those of their owner.
	mine := f.item("their-1")
	mine.KeyHash = it.KeyHash
	f.issue(mine)
}

func testUnknownIssuer(f *fixture) {
	in, other := f.intent(f.item("meter-1")), f.intent(f.item("meter-2"))
	in.Issuer = "unknown"
	f.ok(f.Commit(f.ctx, f.now, nil, []*issuance.Intent{in, other}))
	f.is(pki.NotFound, in.Err)
	f.ok(other.Err)
	f.isOpen(in, false)
	f.isOpen(other, true)
}

// testPair has pairs in one intent: both are in, or neither, and what is refused
// claims nothing.
func testPair(f *fixture) {
	pair := func(device pki.DeviceID, order string) (a, b *issuance.Item) {
		a, b = f.item(device), f.item(device)
		a.With, b.With = b, a
		if order != "" {
			a.Idempotency, b.Idempotency = order, order+"\npair"
			a.RequestHash, b.RequestHash = hash(order), hash(order)
		}
		return a, b
	}
	a, b := pair("meter-1", "order-1")
	in := f.intent(a, b)
	f.intend(in)
	sign(a, b)
	f.record(in)
	for _, it := range in.Items {
		_, err := f.Certificate(f.ctx, acme, in.Issuer, it.Serial)
		f.ok(err)
	}

	same, samePair := pair("meter-1", "order-1")
	c, d := pair("meter-2", "order-2")
	d.KeyHash = b.KeyHash // of another device: d is refused, and c with it
	e, g := pair("meter-3", "order-3")
	e.KeyHash = c.KeyHash // free, since c claimed nothing
	single := f.item("meter-4")
	mixed := f.intent(same, samePair, c, d, e, g, single)
	f.intend(mixed)
	f.same(same.Earlier, &issuance.Earlier{Intent: in.ID, Issuer: in.Issuer, Serial: a.Serial})
	f.same(samePair.Earlier, &issuance.Earlier{Intent: in.ID, Issuer: in.Issuer, Serial: b.Serial})
	f.is(pki.DuplicateKey, c.Refused)
	f.is(pki.DuplicateKey, d.Refused)
	f.ok(e.Refused)
	f.ok(g.Refused)
	f.ok(single.Refused)

	// A void pair gives up what both claimed.
	mixed.Items = []*issuance.Item{e, g, single}
	sign(single)
	f.record(mixed)
	again, againPair := pair("meter-3", "order-3")
	again.KeyHash, againPair.KeyHash = e.KeyHash, g.KeyHash
	f.intend(f.intent(again, againPair))
	f.ok(again.Refused)
	f.same(again.Earlier, (*issuance.Earlier)(nil))
	f.same(againPair.Earlier, (*issuance.Earlier)(nil))
}

func testIdempotency(f *fixture) {
	keyed := func(device pki.DeviceID, request string) *issuance.Item {
		it := f.item(device)
		it.Idempotency, it.RequestHash = "order-1", hash(request)
		return it
	}
	first, same, other := keyed("meter-1", "request"), keyed("meter-1", "request"), keyed("meter-2", "other request")
	in, collides := f.intent(first), f.intent(same, other)
	f.intend(in, collides)
	want := &issuance.Earlier{Intent: in.ID, Issuer: in.Issuer, Serial: first.Serial}
	f.same(same.Earlier, want)
	f.is(pki.Conflict, other.Refused)
	f.isOpen(collides, false) // nothing is left of it
	sign(first)
	f.record(in)

	again := keyed("meter-1", "request")
	f.intend(f.intent(again))
	f.same(again.Earlier, want)
	earlier, request, err := f.Claimed(f.ctx, acme, "order-1")
	f.ok(err)
	f.same([]any{earlier, request}, []any{*want, hash("request")})
	for tenant, key := range map[pki.TenantID]string{acme: "order-9", stranger: "order-1"} {
		_, _, err := f.Claimed(f.ctx, tenant, key)
		f.is(pki.NotFound, err)
	}

	// What did not make it into an intent is not recorded with the rest.
	fresh := f.item("meter-3")
	mixed := f.intent(keyed("meter-1", "request"), fresh)
	f.intend(mixed)
	sign(fresh)
	f.record(mixed)
	_, err = f.Certificate(f.ctx, acme, mixed.Issuer, fresh.Serial)
	f.ok(err)
	status, err := f.Status(f.ctx, mixed.Issuer, mixed.Items[0].Serial)
	f.ok(err)
	f.same(status.Known, false)

	// The key is the owner's.
	theirs := keyed("meter-1", "request")
	f.borrow(theirs)
	f.issue(theirs)

	// A request that is refused for its key gives its idempotency key back.
	reused := f.item("meter-9")
	reused.KeyHash, reused.Idempotency = first.KeyHash, "order-2"
	f.intend(f.intent(reused))
	f.is(pki.DuplicateKey, reused.Refused)
	better := f.item("meter-9")
	better.Idempotency = "order-2"
	f.issue(better)
	f.same(better.Earlier == nil, true)
}

func testPurge(f *fixture) {
	start := f.now
	var items []*issuance.Item
	issuer := f.item("")
	issuer.Idempotency = enroll.IssuerKey("next")
	f.issue(issuer)
	for n := range 5 {
		it := f.item(pki.DeviceID(fmt.Sprint("meter-", n)))
		it.Idempotency = fmt.Sprint("order-", n)
		in := f.intent(it)
		f.intend(in)
		if n > 0 { // the first stays open
			sign(it)
			f.record(in)
		}
		items = append(items, it)
		f.later(time.Hour)
	}
	var counts []int
	for range 3 {
		n, err := f.PurgeIdempotency(f.ctx, start.Add(210*time.Minute), 2)
		f.ok(err)
		counts = append(counts, n)
	}
	f.same(counts, []int{2, 1, 0})
	for n, it := range items {
		again := f.item(it.Device)
		again.Idempotency, again.SharedKey = it.Idempotency, true
		f.intend(f.intent(again))
		if kept, want := again.Earlier != nil, n == 0 || n == 4; kept != want {
			f.Errorf("order-%d is kept: %t, want %t", n, kept, want)
		}
	}
	found, _, err := f.Claimed(f.ctx, acme, issuer.Idempotency)
	f.ok(err)
	f.same(found.Serial, issuer.Serial)
}

// testRace lets many ask for the same thing at once, over and over: one of them
// gets it.
func testRace(f *fixture) {
	const rounds, racers = 50, 8
	for round := range rounds {
		items := make([]*issuance.Item, racers)
		var wg sync.WaitGroup
		for i := range items {
			it := f.item(pki.DeviceID(fmt.Sprint("meter-", round)))
			it.Idempotency = fmt.Sprint("order-", round)
			items[i] = it
			in := f.intent(it)
			wg.Go(func() {
				if err := f.Commit(f.ctx, f.now, nil, []*issuance.Intent{in}); err != nil {
					f.Error(err)
				}
				if it.Earlier != nil {
					return
				}
				sign(it)
				if err := f.Commit(f.ctx, f.now, []*issuance.Intent{in}, nil); err != nil || in.Err != nil {
					f.Error(err, in.Err)
				}
			})
		}
		wg.Wait()
		var winner *issuance.Item
		for _, it := range items {
			if it.Earlier == nil && it.Refused == nil {
				if winner != nil {
					f.Fatal("two requests with one idempotency key were both taken")
				}
				winner = it
			}
		}
		if winner == nil {
			f.Fatal("no request was taken")
		}
		for _, it := range items {
			if it != winner && (it.Refused != nil || it.Earlier.Serial != winner.Serial) {
				f.Errorf("a repeated request got %v and %v", it.Earlier, it.Refused)
			}
		}
		all, _ := f.certificates(acme, winner.Device, nil, 10)
		f.same(len(all), 1)
	}
}

func testKeyUse(f *fixture) {
	first := f.item("meter-1")
	f.issue(first)
	nameless := f.item("")
	f.issue(nameless)
	for _, test := range []struct {
		name   string
		key    [32]byte
		device pki.DeviceID
		shared bool
		renew  bool
		refuse string // part of the detail; "" where the item is taken
	}{
		{"another device", first.KeyHash, "meter-2", false, false, "another device"},
		{"another device, with renewal", first.KeyHash, "meter-2", false, true, "another device"},
		{"another device, shared", first.KeyHash, "meter-2", true, false, ""},
		{"no device", first.KeyHash, "", false, true, "another device"},
		{"the same device", first.KeyHash, "meter-1", false, false, "renew: same-key"},
		{"the same device, with renewal", first.KeyHash, "meter-1", false, true, ""},
		{"no device twice", nameless.KeyHash, "", false, false, "renew: same-key"},
		{"no device twice, with renewal", nameless.KeyHash, "", false, true, ""},
	} {
		it := f.item(test.device)
		it.KeyHash, it.SharedKey, it.RenewSameKey = test.key, test.shared, test.renew
		f.intend(f.intent(it))
		switch {
		case test.refuse == "" && it.Refused != nil:
			f.Errorf("%s: refused: %v", test.name, it.Refused)
		case test.refuse != "" && (pki.KindOf(it.Refused) != pki.DuplicateKey || !strings.Contains(it.Refused.Error(), test.refuse)):
			f.Errorf("%s: got %v, want a DuplicateKey that says %q", test.name, it.Refused, test.refuse)
		}
	}

	device, used, err := f.KeyUse(f.ctx, acme, first.KeyHash)
	f.ok(err)
	f.same(device, pki.DeviceID("meter-1"))
	f.same(used, true)
	_, used, err = f.KeyUse(f.ctx, stranger, first.KeyHash)
	f.ok(err)
	f.same(used, false)

	// Of two in one commit the first wins.
	a, b := f.item("meter-5"), f.item("meter-6")
	b.KeyHash = a.KeyHash
	in := f.intent(a, b)
	f.intend(in)
	f.same(a.Refused, nil)
	f.is(pki.DuplicateKey, b.Refused)
	sign(a)
	f.record(in)
}

func testVoid(f *fixture) {
	good, bad := f.item("meter-1"), f.item("meter-2")
	bad.Idempotency = "order-1"
	in := f.intent(good, bad)
	f.intend(in)
	sign(good)
	f.record(in)

	_, err := f.Certificate(f.ctx, acme, in.Issuer, good.Serial)
	f.ok(err)
	_, err = f.Certificate(f.ctx, acme, in.Issuer, bad.Serial)
	f.is(pki.NotFound, err)
	status, err := f.Status(f.ctx, in.Issuer, bad.Serial)
	f.ok(err)
	f.same(status.Known, true)
	f.same(status.NotAfter, bad.NotAfter)
	f.same(status.Revocation, &pki.Revocation{Issuer: in.Issuer, Serial: bad.Serial, N: 1, Reason: pki.Unspecified, At: f.now,
		Shard: bad.Serial.Shard(shards), NotAfter: bad.NotAfter})
	_, used, err := f.KeyUse(f.ctx, acme, bad.KeyHash)
	f.ok(err)
	f.same(used, false)

	// The same request and key come again, for another device even, in the very
	// commit that gives them up.
	again := f.item("meter-3")
	again.KeyHash, again.Idempotency = bad.KeyHash, bad.Idempotency
	void, next := f.intent(again), f.item("meter-4")
	f.intend(void)
	next.KeyHash, next.Idempotency = again.KeyHash, again.Idempotency
	f.ok(f.Commit(f.ctx, f.now, []*issuance.Intent{void}, []*issuance.Intent{f.intent(next)}))
	f.ok(void.Err)
	f.same(next.Refused, nil)
	f.same(next.Earlier == nil, true)
}

// testVoidTwice: a serial that comes from elsewhere, as that of a certificate
// signed in a ceremony, can be intended again and become void again.
func testVoidTwice(f *fixture) {
	it := f.item("meter-1")
	for range 2 {
		in := f.intent(it, f.item("meter-2"))
		f.intend(in)
		f.record(in)
	}
	states, err := f.Shards(f.ctx, f.issuer.ID)
	f.ok(err)
	newest := int64(0)
	for _, s := range states {
		newest = max(newest, s.Newest)
	}
	f.same(newest, int64(3)) // one entry for it, one for each of the others
}

// testVoidAfterRenewal: a device renews with the key whose first intent is open
// still and becomes void then; the key stays the device's.
func testVoidAfterRenewal(f *fixture) {
	first, renewal := f.item("meter-1"), f.item("meter-1")
	renewal.KeyHash, renewal.RenewSameKey = first.KeyHash, true
	in, second := f.intent(first), f.intent(renewal)
	f.intend(in, second)
	sign(renewal)
	f.record(in, second)
	thief := f.item("meter-2")
	thief.KeyHash = first.KeyHash
	f.intend(f.intent(thief))
	f.is(pki.DuplicateKey, thief.Refused)
}

func testPaging(f *fixture) {
	const total, size = 57, 10
	want := map[pki.Serial]bool{}
	for n := range total {
		it := f.item(pki.DeviceID(fmt.Sprint("meter-", n)))
		f.issue(it)
		want[it.Serial] = true
	}
	seen := 0
	for cursor := []byte(nil); ; {
		page, next := f.certificates(acme, "", cursor, size)
		for _, c := range page {
			if !want[c.Serial] {
				f.Errorf("certificate %s comes twice, or was issued after the list began", c.Serial)
			}
			delete(want, c.Serial)
			seen++
		}
		f.issue(f.item(pki.DeviceID(fmt.Sprint("later-", seen)))) // newer than the cursor: not in the list
		if next == nil {
			break
		}
		cursor = next
	}
	f.same(seen, total)
	f.same(len(want), 0)
	none, next := f.certificates(stranger, "", nil, size)
	f.same(len(none), 0)
	f.same(len(next), 0)
}

func testOfDevice(f *fixture) {
	old, other, renewed := f.item("meter-1"), f.item("meter-2"), f.item("meter-1")
	f.issue(old)
	f.issue(other)
	in := f.issue(renewed)
	first, cursor := f.certificates(acme, "meter-1", nil, 1)
	f.same(first, []*pki.Certificate{f.certificate(in, 0)})
	second, cursor := f.certificates(acme, "meter-1", cursor, 1)
	f.same(len(second), 1)
	f.same(second[0].Serial, old.Serial)
	f.same(len(cursor), 0)
	none, _ := f.certificates(stranger, "meter-1", nil, 1)
	f.same(len(none), 0)
}

// testScan computes the digests of intents from what the checker is given.
func testScan(f *fixture) {
	a, b, c := f.item("meter-1"), f.item("meter-2"), f.item("meter-3")
	closed := f.intent(a, b, c)
	f.intend(closed)
	sign(a, c)
	f.record(closed)
	f.later(time.Second)
	void := f.intent(f.item("meter-4"))
	f.intend(void)
	f.record(void)
	f.later(time.Second)
	open := f.intent(f.item("meter-5"))
	f.intend(open)

	certs := map[int]*pki.Certificate{}
	var last int64
	for {
		page, next, err := f.ScanCertificates(f.ctx, last, 1)
		f.ok(err)
		if len(page) == 0 {
			f.same(next, last)
			break
		}
		certs[page[0].Place] = page[0]
		last = next
	}
	f.same(len(certs), 2)

	sum := func(it *issuance.Item) [32]byte { return sha256.Sum256(it.TBS) }
	digest := func(items ...*issuance.Item) [32]byte {
		h := sha256.New()
		for _, it := range items {
			s := sum(it)
			h.Write(s[:])
		}
		return [32]byte(h.Sum(nil))
	}
	want := []check.IntentRecord{
		{ID: closed.ID, Issuer: closed.Issuer, State: check.IntentClosed, Count: 3, Digest: digest(a, b, c),
			Voided: []check.VoidedItem{{Place: 1, Serial: b.Serial, TBSHash: sum(b)}}},
		{ID: void.ID, Issuer: void.Issuer, State: check.IntentVoid, Count: 1, Digest: digest(void.Items[0]),
			Voided: []check.VoidedItem{{Place: 0, Serial: void.Items[0].Serial, TBSHash: sum(void.Items[0])}}},
		{ID: open.ID, Issuer: open.Issuer, State: check.IntentOpen, Count: 1, Digest: digest(open.Items[0])},
	}
	first, err := f.ScanIntents(f.ctx, "", 2)
	f.ok(err)
	rest, err := f.ScanIntents(f.ctx, first[1].ID, 2)
	f.ok(err)
	if diff := cmp.Diff(want, append(first, rest...)); diff != "" {
		f.Error(diff)
	}
}
