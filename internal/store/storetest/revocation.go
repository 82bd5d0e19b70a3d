package storetest

import (
	"bytes"
	"crypto/sha256"
	"math"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// entry returns an entry for the item's serial, by order of the tenant.
func (f *fixture) entry(tenant pki.TenantID, it *issuance.Item, reason pki.Reason) *revocation.Entry {
	return &revocation.Entry{Tenant: tenant, Event: f.event(tenant, "certificate."+reason.String()),
		Revocation: pki.Revocation{Issuer: f.issuer.ID, Serial: it.Serial, Reason: reason, At: f.now}}
}

// revoke stores an entry and returns its outcome.
func (f *fixture) revoke(e *revocation.Entry) error {
	f.Helper()
	f.ok(f.Revoke(f.ctx, []*revocation.Entry{e}))
	return e.Err
}

func testRevoke(f *fixture) {
	it := f.item("meter-1")
	f.borrow(it)
	f.issue(it)
	f.later(time.Hour)
	f.is(pki.NotFound, f.revoke(f.entry(stranger, it, pki.KeyCompromise)))
	f.is(pki.NotFound, f.revoke(f.entry(partner, f.item("meter-2"), pki.KeyCompromise)))
	unknown := f.entry(partner, it, pki.KeyCompromise)
	unknown.Issuer = "unknown"
	f.is(pki.NotFound, f.revoke(unknown))

	// Those of a group have their outcomes each for itself.
	e, again := f.entry(partner, it, pki.KeyCompromise), f.entry(acme, it, pki.KeyCompromise)
	f.ok(f.Revoke(f.ctx, []*revocation.Entry{f.entry(stranger, it, pki.Superseded), e, again}))
	f.ok(e.Err)
	f.is(pki.AlreadyRevoked, again.Err)
	r := &e.Revocation
	f.same(r, &pki.Revocation{Issuer: f.issuer.ID, Serial: it.Serial, N: 1, Reason: pki.KeyCompromise, At: f.now,
		Shard: it.Serial.Shard(shards), NotAfter: it.NotAfter})
	f.same(f.actions(partner), []string{"certificate.keyCompromise", "child.lend", "tenant.create"})
	f.same(f.actions(stranger), []string{"tenant.create"})

	got, err := f.Status(f.ctx, f.issuer.ID, it.Serial)
	f.ok(err)
	f.same(got, revocation.Status{Known: true, Revocation: r, Entries: 1, NotAfter: it.NotAfter})
	for issuer, serial := range map[pki.IssuerID]pki.Serial{"unknown": it.Serial, f.issuer.ID: pki.NewSerial(pki.SerialShort, f.now)} {
		got, err := f.Status(f.ctx, issuer, serial)
		f.ok(err)
		f.same(got, revocation.Status{})
	}
	_, err = f.Certificate(f.ctx, acme, f.issuer.ID, it.Serial)
	f.ok(err) // the certificate stays
}

// testHold: a hold can be released, made again and made final; a final one stays.
func testHold(f *fixture) {
	it, void := f.item("meter-1"), f.intent(f.item("meter-2"))
	f.issue(it)
	f.intend(void)
	f.record(void)
	shard := it.Serial.Shard(shards)
	var newest int64
	for i, step := range []struct {
		reason pki.Reason
		want   pki.Kind // of a refusal; Internal is none
	}{
		{pki.RemoveFromCRL, pki.Conflict},
		{pki.CertificateHold, pki.Internal},
		{pki.CertificateHold, pki.Conflict},
		{pki.RemoveFromCRL, pki.Internal},
		{pki.RemoveFromCRL, pki.Conflict},
		{pki.CertificateHold, pki.Internal},
		{pki.Superseded, pki.Internal},
		{pki.RemoveFromCRL, pki.AlreadyRevoked},
		{pki.CertificateHold, pki.AlreadyRevoked},
		{pki.KeyCompromise, pki.AlreadyRevoked},
	} {
		before, err := f.Status(f.ctx, f.issuer.ID, it.Serial)
		f.ok(err)
		f.later(time.Minute)
		f.is(pki.NotFound, f.revoke(f.entry(stranger, it, step.reason)))
		e := f.entry(acme, it, step.reason)
		err = f.revoke(e)
		got, statusErr := f.Status(f.ctx, f.issuer.ID, it.Serial)
		f.ok(statusErr)
		if step.want != pki.Internal {
			f.is(step.want, err)
			f.same(got, before)
			continue
		}
		f.ok(err)
		want := revocation.Status{Known: true, Entries: before.Entries + 1, NotAfter: it.NotAfter}
		listed := []pki.Revocation(nil)
		if step.reason != pki.RemoveFromCRL {
			want.Revocation, listed = &e.Revocation, []pki.Revocation{e.Revocation}
		}
		f.same(e.N, want.Entries)
		f.same(got, want)

		// The list shows what holds now, and still what held before.
		earlier := newest
		states, err := f.Shards(f.ctx, f.issuer.ID)
		f.ok(err)
		newest = states[shard].Newest
		if newest <= earlier {
			f.Errorf("step %d: the shard's newest entry is %d after %d", i, newest, earlier)
		}
		f.same(f.revokedIn(shard, newest, it), listed)
		changed, _, err := f.Changed(f.ctx, f.issuer.ID, shard, earlier, newest, f.now, 100)
		f.ok(err)
		f.same(ofSerial(changed, it.Serial), []pki.Revocation{e.Revocation})
		changed, _, err = f.Changed(f.ctx, f.issuer.ID, shard, 0, newest, f.now, 100)
		f.ok(err)
		f.same(ofSerial(changed, it.Serial), []pki.Revocation{e.Revocation})
		changed, _, err = f.Changed(f.ctx, f.issuer.ID, shard, newest, newest, f.now, 100)
		f.ok(err)
		f.same(len(changed), 0)
		listed = nil
		if before.Revocation != nil {
			listed = []pki.Revocation{*before.Revocation}
		}
		f.same(f.revokedIn(shard, earlier, it), listed)
	}
	for _, reason := range []pki.Reason{pki.RemoveFromCRL, pki.CertificateHold} {
		f.is(pki.NotFound, f.revoke(f.entry(acme, void.Items[0], reason))) // void is for good
	}
}

// revokedIn returns the entry of the item's serial in a shard's list.
func (f *fixture) revokedIn(shard int, upto int64, it *issuance.Item) []pki.Revocation {
	f.Helper()
	page, err := f.Revoked(f.ctx, f.issuer.ID, shard, upto, f.now, revocation.Span{}, 100)
	f.ok(err)
	return ofSerial(page, it.Serial)
}

func ofSerial(entries []pki.Revocation, serial pki.Serial) (got []pki.Revocation) {
	for _, r := range entries {
		if r.Serial == serial {
			got = append(got, r)
		}
	}
	return got
}

// testRevoked pages through the shards while more is revoked.
func testRevoked(f *fixture) {
	var items []*issuance.Item
	for range 40 {
		items = append(items, f.item("meter-1"))
	}
	short := f.item("meter-1")
	short.NotAfter = f.now.Add(time.Hour)
	f.issue(append(items, short)...)
	for _, it := range append(items[:30:30], short) {
		f.ok(f.revoke(f.entry(acme, it, pki.KeyCompromise)))
	}
	void := f.intent(f.item("meter-2"))
	f.intend(void)
	f.record(void)

	states, err := f.Shards(f.ctx, f.issuer.ID)
	f.ok(err)
	f.same(len(states), shards)
	total, newest := 0, int64(0)
	late := items[30:]
	for shard := range shards {
		var got []pki.Serial
		var after pki.Serial
		for {
			page, err := f.Revoked(f.ctx, f.issuer.ID, shard, states[shard].Newest, f.now.Add(time.Hour), revocation.Span{After: after}, 3)
			f.ok(err)
			for _, r := range page {
				f.same(r.Shard, shard)
				f.same(r.Serial.Shard(shards), shard)
				got, after = append(got, r.Serial), r.Serial
			}
			if len(page) < 3 {
				break
			}
			if len(late) > 0 { // newer than upto: not in the list
				f.ok(f.revoke(f.entry(acme, late[0], pki.KeyCompromise)))
				late = late[1:]
			}
		}
		if !slices.IsSortedFunc(got, func(a, b pki.Serial) int { return bytes.Compare(a[:], b[:]) }) {
			f.Errorf("shard %d is not in order of serial", shard)
		}
		total += len(got)
		newest = max(newest, states[shard].Newest)
	}
	f.same(total, 32)
	f.same(newest, int64(32))

	// An entry leaves the list after the last moment of its certificate.
	shard := short.Serial.Shard(shards)
	has := func(now time.Time) bool {
		page, err := f.Revoked(f.ctx, f.issuer.ID, shard, math.MaxInt64, now, revocation.Span{}, 100)
		f.ok(err)
		return slices.ContainsFunc(page, func(r pki.Revocation) bool { return r.Serial == short.Serial })
	}
	f.same(has(short.NotAfter), true)
	f.same(has(short.NotAfter.Add(time.Second)), false)
	none, err := f.Revoked(f.ctx, "unknown", 0, math.MaxInt64, f.now, revocation.Span{}, 100)
	f.ok(err)
	f.same(len(none), 0)
}

func testCRLs(f *fixture) {
	const shard = 2
	_, err := f.CRL(f.ctx, revocation.List{Issuer: f.issuer.ID, Shard: shard})
	f.is(pki.NotFound, err)
	_, err = f.CRLNumber(f.ctx, revocation.List{Issuer: f.issuer.ID, Shard: shard})
	f.is(pki.NotFound, err)
	crl := func(number int64) *revocation.CRL {
		return &revocation.CRL{List: revocation.List{Issuer: f.issuer.ID, Shard: shard}, Number: number, Covers: 7, Entries: 3, ThisUpdate: f.now,
			NextUpdate: f.now.AddDate(0, 0, 7), DER: []byte{byte(number)}, Due: revocation.Due{At: f.now.AddDate(0, 0, 3), Above: 7}}
	}
	for want := range int64(3) {
		number, err := f.ReserveCRLNumber(f.ctx, f.issuer.ID, shard)
		f.ok(err)
		f.same(number, want+1)
		f.ok(f.PutCRL(f.ctx, crl(number), nil))
	}
	number, err := f.ReserveCRLNumber(f.ctx, f.issuer.ID, shard+1)
	f.ok(err)
	f.same(number, int64(1)) // each shard counts for itself

	f.same(f.actions(acme), []string{"authority.activate", "authority.create", "tenant.create"})
	install := f.event(acme, "crl.install")
	f.is(pki.Conflict, f.PutCRL(f.ctx, crl(3), &install))
	f.is(pki.Conflict, f.PutCRL(f.ctx, crl(2), &install))
	got, err := f.CRL(f.ctx, revocation.List{Issuer: f.issuer.ID, Shard: shard})
	f.ok(err)
	latest := crl(3)
	latest.Due = revocation.Due{} // not for reading
	f.same(got, latest)
	number, err = f.CRLNumber(f.ctx, revocation.List{Issuer: f.issuer.ID, Shard: shard})
	f.ok(err)
	f.same(number, int64(3))
	_, err = f.CRLNumber(f.ctx, revocation.List{Issuer: "unknown", Shard: shard})
	f.is(pki.NotFound, err)
	f.ok(f.PutCRL(f.ctx, crl(4), &install))
	f.same(f.actions(acme), []string{"crl.install", "authority.activate", "authority.create", "tenant.create"})

	states, err := f.Shards(f.ctx, f.issuer.ID)
	f.ok(err)
	edition := func(number int64) revocation.Edition {
		return revocation.Edition{Number: number, Covers: 7, Entries: 3, ThisUpdate: got.ThisUpdate, NextUpdate: got.NextUpdate}
	}
	want := []revocation.ShardState{{Shard: 0, Renewed: true}, {Shard: 1, Renewed: true}, {Shard: 2, Edition: edition(4), Before: edition(3)}, {Shard: 3, Renewed: true}}
	f.same(states, want)

	for _, issuer := range []pki.IssuerID{f.issuer.ID, "unknown"} {
		_, err = f.ReserveCRLNumber(f.ctx, issuer, shards)
		f.is(pki.NotFound, err)
		c := crl(9)
		c.Issuer, c.Shard = issuer, shards
		f.is(pki.NotFound, f.PutCRL(f.ctx, c, &install))
	}
	_, err = f.Shards(f.ctx, "unknown")
	f.is(pki.NotFound, err)
}

// testParts keeps a full CRL in parts, of which the next one has some.
func testParts(f *fixture) {
	const shard = 1
	list := revocation.List{Issuer: f.issuer.ID, Shard: shard}
	serial := func(n byte) pki.Serial { return pki.Serial{0: 0x41, 19: n} }
	part := func(n byte, der string) revocation.Part {
		return revocation.Part{Last: serial(n), Entries: int64(n), Octets: len(der), Hash: sha256.Sum256([]byte(der)), Expires: f.now.Add(time.Duration(n) * time.Hour), DER: []byte(der)}
	}
	put := func(number, of int64, gone []revocation.Span, parts ...revocation.Part) error {
		return f.PutCRL(f.ctx, &revocation.CRL{List: list, Number: number, ThisUpdate: f.now, NextUpdate: f.now.Add(time.Hour),
			Parts: &revocation.Parts{Head: []byte("<"), Tail: []byte(">"), Of: of, Gone: gone, New: parts}}, nil)
	}
	reads := func(want string) {
		f.Helper()
		c, err := f.CRL(f.ctx, list)
		f.ok(err)
		f.same(string(c.DER), want)
	}
	within := func(span revocation.Span, limit int) (read string) {
		parts, err := f.PartsDER(f.ctx, f.issuer.ID, shard, span, limit)
		f.ok(err)
		for _, p := range parts {
			read += string(p.DER)
		}
		return read
	}
	f.ok(put(1, 0, []revocation.Span{{}}, part(10, "ab"), part(20, "cd"), part(30, "ef"), part(40, "gh")))
	reads("<abcdefgh>")
	f.same(within(revocation.Span{After: serial(10), Through: serial(30)}, 9), "cdef")
	f.same(within(revocation.Span{After: serial(10)}, 9), "cdefgh")
	f.same(within(revocation.Span{}, 2), "abcd")
	infos, err := f.Parts(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	want := part(20, "cd")
	want.Number, want.DER = 1, nil
	f.same(len(infos), 4)
	f.same(infos[1], want)

	f.ok(put(2, 1, []revocation.Span{{After: serial(10), Through: serial(30)}, {After: serial(40)}}, part(25, "X"), part(50, "Y")))
	reads("<abXghY>")
	f.is(pki.Conflict, put(4, 1, nil)) // number 1 is not the latest
	reads("<abXghY>")
	f.ok(put(3, 2, nil))
	reads("<abXghY>")
	for _, issuer := range []pki.IssuerID{"unknown", f.issuer.ID} { // nor has another shard any
		parts, err := f.Parts(f.ctx, issuer, shard+1)
		f.ok(err)
		f.same(len(parts), 0)
		parts, err = f.PartsDER(f.ctx, issuer, shard+1, revocation.Span{}, 9)
		f.ok(err)
		f.same(len(parts), 0)
	}
	f.ok(f.PutCRL(f.ctx, &revocation.CRL{List: list, Number: 4, ThisUpdate: f.now, NextUpdate: f.now.Add(time.Hour), DER: []byte("whole")}, nil))
	reads("whole")
	f.same(within(revocation.Span{}, 9), "")
}

// testGoneParts: parts that are no CRL's any more are there until they are dropped, some at
// a time, which changes nothing of what is read: not after a process ended in between, nor
// when more are gone meanwhile, nor of what is staged.
func testGoneParts(f *fixture) {
	serial := func(n int) pki.Serial { return pki.Serial{0: 0x41, 19: byte(n)} }
	parts := func(der string) (all []revocation.Part) {
		for i, c := range []byte(der) {
			all = append(all, revocation.Part{Last: serial(10 * (i + 1)), Entries: 1, Octets: 1, Hash: sha256.Sum256([]byte{c}), Expires: f.now, DER: []byte{c}})
		}
		return all
	}
	for shard := range shards {
		for range 9 {
			_, err := f.ReserveCRLNumber(f.ctx, f.issuer.ID, shard)
			f.ok(err)
		}
	}
	put := func(shard int, number, of int64, gone []revocation.Span, der string) {
		f.Helper()
		f.ok(f.PutCRL(f.ctx, &revocation.CRL{List: revocation.List{Issuer: f.issuer.ID, Shard: shard}, Number: number, ThisUpdate: f.now, NextUpdate: f.now.Add(time.Hour),
			Parts: &revocation.Parts{Head: []byte("<"), Tail: []byte(">"), Of: of, Gone: gone, New: parts(der)}}, nil))
	}
	reads := func(shard int, want string) {
		f.Helper()
		c, err := f.CRL(f.ctx, revocation.List{Issuer: f.issuer.ID, Shard: shard})
		f.ok(err)
		f.same(string(c.DER), "<"+want+">")
		infos, err := f.Parts(f.ctx, f.issuer.ID, shard)
		f.ok(err)
		f.same(len(infos), len(want))
		for from := 0; from <= len(want); from++ { // also by pages of which most parts are gone
			got, err := f.PartsDER(f.ctx, f.issuer.ID, shard, revocation.Span{After: serial(10 * from)}, 2)
			f.ok(err)
			read := ""
			for _, p := range got {
				read += string(p.DER)
			}
			f.same(read, want[from:min(from+2, len(want))])
		}
	}
	drops := func(limit, want int) {
		f.Helper()
		n, err := f.DropParts(f.ctx, limit)
		f.ok(err)
		f.same(n, want)
	}
	all := []revocation.Span{{}}
	drops(5, 0)
	put(0, 1, 0, all, "abcd")
	put(1, 1, 0, all, "efgh")
	drops(5, 0)
	put(0, 2, 0, all, "ijkl") // 4 are gone
	put(1, 2, 1, []revocation.Span{{After: serial(20), Through: serial(30)}}, "")
	reads(0, "ijkl")
	f.ok(f.StageParts(f.ctx, f.issuer.ID, 0, 4, parts("xy")))
	f.ok(f.StageParts(f.ctx, f.issuer.ID, 0, 5, parts("z")))

	drops(3, 3)
	reads(0, "ijkl")
	f.reopen()
	reads(0, "ijkl")
	put(0, 3, 0, all, "mn") // and 4 more before all are dropped
	reads(0, "mn")
	put(0, 5, 0, all, "") // 4 comes no more: 2 that were staged, and 2
	reads(0, "z")
	staged, err := f.StagedDER(f.ctx, f.issuer.ID, 0, 4, revocation.Span{}, 9)
	f.ok(err)
	f.same(len(staged), 0)
	f.ok(f.StageParts(f.ctx, f.issuer.ID, 0, 6, parts("w")))
	drops(8, 8) // of 1 + 1 + 4 + 4
	drops(8, 2)
	drops(8, 0)
	reads(0, "z")
	f.reopen()
	staged, err = f.StagedDER(f.ctx, f.issuer.ID, 0, 6, revocation.Span{}, 9)
	f.ok(err)
	f.same(len(staged), 1)
	c, err := f.CRL(f.ctx, revocation.List{Issuer: f.issuer.ID, Shard: 1})
	f.ok(err)
	f.same(string(c.DER), "<efh>")
}

// testStaged stores parts before the CRL that they are of, by two processes, of which
// each is overtaken, and ends between, at every step.
func testStaged(f *fixture) {
	const shard = 1
	list := revocation.List{Issuer: f.issuer.ID, Shard: shard}
	all := []revocation.Span{{}}
	serial := func(n byte) pki.Serial { return pki.Serial{0: 0x41, 19: n} }
	part := func(n byte, der string) revocation.Part {
		return revocation.Part{Last: serial(n), Entries: 1, Octets: len(der), Hash: sha256.Sum256([]byte(der)), Expires: f.now, DER: []byte(der)}
	}
	for range 20 {
		_, err := f.ReserveCRLNumber(f.ctx, f.issuer.ID, shard)
		f.ok(err)
	}
	stage := func(number int64, parts ...revocation.Part) error {
		return f.StageParts(f.ctx, f.issuer.ID, shard, number, parts)
	}
	put := func(number, of int64, gone []revocation.Span, parts ...revocation.Part) error {
		return f.PutCRL(f.ctx, &revocation.CRL{List: list, Number: number, ThisUpdate: f.now, NextUpdate: f.now.Add(time.Hour),
			Parts: &revocation.Parts{Head: []byte("<"), Tail: []byte(">"), Of: of, Gone: gone, New: parts}}, nil)
	}
	joined := func(parts []revocation.Part, err error) (read string) {
		f.Helper()
		f.ok(err)
		for _, p := range parts {
			read += string(p.DER)
		}
		return read
	}
	staged := func(number int64) string {
		return joined(f.StagedDER(f.ctx, f.issuer.ID, shard, number, revocation.Span{}, 9))
	}
	serves := func(want string, numbers ...int64) {
		f.Helper()
		c, err := f.CRL(f.ctx, list)
		f.ok(err)
		f.same(string(c.DER), want)
		f.same("<"+joined(f.PartsDER(f.ctx, f.issuer.ID, shard, revocation.Span{}, 9))+">", want)
		parts, err := f.Parts(f.ctx, f.issuer.ID, shard)
		f.ok(err)
		var of []int64
		for _, p := range parts {
			of = append(of, p.Number)
		}
		f.same(of, numbers)
	}
	f.ok(stage(1, part(10, "a"), part(20, "b")))
	_, err := f.CRL(f.ctx, list)
	f.is(pki.NotFound, err)
	parts, err := f.Parts(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	f.same(len(parts), 0)
	f.ok(stage(1, part(30, "c")))
	f.ok(put(1, 0, all, part(40, "d")))
	serves("<abcd>", 1, 1, 1, 1)
	f.is(pki.Conflict, stage(1, part(50, "x")))

	// Of the same serials, and in the place of some.
	f.ok(stage(2, part(20, "B"), part(25, "C")))
	serves("<abcd>", 1, 1, 1, 1)
	f.same(staged(2), "BC")
	f.same(joined(f.StagedDER(f.ctx, f.issuer.ID, shard, 2, revocation.Span{After: serial(20), Through: serial(30)}, 9)), "C")
	f.same(joined(f.StagedDER(f.ctx, f.issuer.ID, shard, 2, revocation.Span{}, 1)), "B")
	for _, issuer := range []pki.IssuerID{"unknown", f.issuer.ID} { // nor has another shard any
		f.same(joined(f.StagedDER(f.ctx, issuer, shard+1, 2, revocation.Span{}, 9)), "")
	}
	f.ok(put(2, 1, []revocation.Span{{After: serial(10), Through: serial(30)}}))
	serves("<aBCd>", 1, 2, 2, 1)

	// 3 is left behind, 4 does without it, and 3 comes no more.
	f.ok(stage(3, part(5, "x"), part(20, "y")))
	serves("<aBCd>", 1, 2, 2, 1)
	f.ok(stage(4, part(50, "e")))
	f.ok(put(4, 2, []revocation.Span{{After: serial(40)}}))
	serves("<aBCde>", 1, 2, 2, 1, 4)
	f.same(staged(3), "")
	f.is(pki.Conflict, stage(3, part(5, "x")))
	f.is(pki.Conflict, put(3, 2, all))
	serves("<aBCde>", 1, 2, 2, 1, 4)

	// 6 is being made while 5 is stored: it goes on, and is of a CRL that is not the latest.
	f.ok(stage(6, part(20, "x")))
	f.ok(put(5, 4, nil))
	f.same(staged(6), "x")
	f.ok(stage(6, part(30, "y")))
	f.is(pki.Conflict, put(6, 4, all))
	serves("<aBCde>", 1, 2, 2, 1, 4)
	// Of nothing but entries it would not be.
	f.ok(stage(8, part(20, "f"), part(60, "g")))
	f.ok(put(7, 5, []revocation.Span{{After: serial(40)}}, part(70, "h")))
	serves("<aBCdh>", 1, 2, 2, 1, 7)
	f.same(staged(6), "")
	f.ok(put(8, 0, all, part(80, "i")))
	serves("<fgi>", 8, 8, 8)

	// One that is whole has no parts, and leaves later ones.
	f.ok(stage(9, part(20, "x")))
	f.ok(stage(10, part(20, "y")))
	f.ok(stage(11, part(20, "z")))
	f.ok(f.PutCRL(f.ctx, &revocation.CRL{List: list, Number: 10, ThisUpdate: f.now, NextUpdate: f.now.Add(time.Hour), DER: []byte("<>")}, nil))
	serves("<>")
	f.same(staged(9)+staged(10)+staged(11), "z")
	f.ok(put(11, 0, all))
	serves("<z>", 11)

	f.is(pki.NotFound, f.StageParts(f.ctx, f.issuer.ID, shards, 12, nil))
	f.is(pki.NotFound, f.StageParts(f.ctx, "unknown", shard, 12, nil))
}

// testDeltas keeps delta CRLs beside the full ones, in one sequence of numbers.
func testDeltas(f *fixture) {
	put := func(number, base int64) error {
		list := revocation.List{Issuer: f.issuer.ID, Delta: base > 0}
		return f.PutCRL(f.ctx, &revocation.CRL{List: list, Number: number, Base: base, Covers: number, ThisUpdate: f.now, NextUpdate: f.now.Add(time.Hour), DER: []byte{byte(number)}}, nil)
	}
	full := revocation.List{Issuer: f.issuer.ID}
	delta := revocation.List{Issuer: f.issuer.ID, Delta: true}
	f.ok(put(1, 0))
	_, err := f.CRL(f.ctx, delta)
	f.is(pki.NotFound, err)
	_, err = f.CRLNumber(f.ctx, delta)
	f.is(pki.NotFound, err)
	for number := int64(2); number < 6; number++ {
		f.ok(put(number, 1))
	}
	f.is(pki.Conflict, put(5, 1))
	f.ok(put(6, 0))
	f.ok(put(7, 1))
	for list, want := range map[revocation.List]*revocation.CRL{full: {Number: 6}, delta: {Number: 7, Base: 1}} {
		got, err := f.CRL(f.ctx, list)
		f.ok(err)
		f.same(got, &revocation.CRL{List: list, Number: want.Number, Base: want.Base, Covers: want.Number, ThisUpdate: f.now, NextUpdate: f.now.Add(time.Hour), DER: []byte{byte(want.Number)}})
		number, err := f.CRLNumber(f.ctx, list)
		f.ok(err)
		f.same(number, want.Number)
	}
	state, err := f.Shard(f.ctx, f.issuer.ID, 0)
	f.ok(err)
	f.same([]int64{state.Number, state.Before.Number, state.Delta.Number}, []int64{6, 1, 7})
	_, err = f.Shard(f.ctx, f.issuer.ID, shards)
	f.is(pki.NotFound, err)
	_, err = f.Shard(f.ctx, "unknown", 0)
	f.is(pki.NotFound, err)
}

// testChanged lists what is new since a sequence number, also releases, page by
// page.
func testChanged(f *fixture) {
	var items []*issuance.Item
	for range 30 {
		items = append(items, f.item("meter-1"))
	}
	f.issue(items...)
	enter := func(it *issuance.Item, reason pki.Reason) {
		f.ok(f.revoke(f.entry(acme, it, reason)))
	}
	for _, it := range items[:20] {
		enter(it, pki.CertificateHold)
	}
	shard := items[0].Serial.Shard(shards)
	state, err := f.Shard(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	since := state.Newest
	want := map[pki.Serial]pki.Reason{}
	for i, reason := range map[int]pki.Reason{0: pki.RemoveFromCRL, 1: pki.KeyCompromise, 21: pki.Superseded, 22: pki.CertificateHold, 23: pki.Superseded, 24: pki.Superseded} {
		enter(items[i], reason)
		if items[i].Serial.Shard(shards) == shard {
			want[items[i].Serial] = reason
		}
	}
	state, err = f.Shard(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	enter(items[0], pki.Superseded) // after upto: it does not count
	got := map[pki.Serial]pki.Reason{}
	for since < state.Newest {
		page, last, err := f.Changed(f.ctx, f.issuer.ID, shard, since, state.Newest, f.now, 1)
		f.ok(err)
		for _, r := range page {
			got[r.Serial] = r.Reason
		}
		if last <= since || len(page) > 1 {
			f.Fatalf("a page of %d from %d to %d", len(page), since, last)
		}
		since = last
	}
	f.same(got, want)
	none, last, err := f.Changed(f.ctx, "unknown", 0, 0, 7, f.now, 10)
	f.ok(err)
	f.same(len(none), 0)
	f.same(last, int64(7))
}

// testDue finds the shards that are due and no others.
func testDue(f *fixture) {
	due := func(at time.Time, limit int) (found []int) {
		lists, err := f.DueShards(f.ctx, at, limit)
		f.ok(err)
		for _, l := range lists {
			f.same(l.Issuer, f.issuer.ID)
			found = append(found, l.Shard)
		}
		return found
	}
	f.same(due(f.now, 100), []int{0, 1, 2, 3}) // as soon as the issuer has its certificate
	f.same(due(f.now, 2), []int{0, 1})
	for shard := range shards {
		number, err := f.ReserveCRLNumber(f.ctx, f.issuer.ID, shard)
		f.ok(err)
		f.ok(f.PutCRL(f.ctx, &revocation.CRL{List: revocation.List{Issuer: f.issuer.ID, Shard: shard}, Number: number, ThisUpdate: f.now, NextUpdate: f.now.AddDate(0, 0, 1),
			DER: []byte{1}, Due: revocation.Due{At: f.now.Add(time.Duration(10-shard) * time.Hour)}}, nil))
	}
	f.same(due(f.now, 100), []int(nil))
	f.same(due(f.now.Add(8*time.Hour), 100), []int{3, 2}) // the longest first
	f.same(due(f.now.Add(-time.Minute), 1), []int{3})     // the clock was ahead
	it := f.item("meter-1")
	f.issue(it)
	f.ok(f.revoke(f.entry(acme, it, pki.Superseded)))
	f.same(due(f.now, 100), []int{it.Serial.Shard(shards)})
	renew := f.event(acme, "crl.renew")
	f.ok(f.Renew(f.ctx, f.issuer.ID, (it.Serial.Shard(shards)+1)%shards, renew))
	f.same(f.actions(acme)[0], "crl.renew")
	f.same(len(due(f.now, 100)), 2)
	f.ok(f.Renew(f.ctx, f.issuer.ID, revocation.AllShards, f.event(acme, "crl.renew")))
	f.same(len(due(f.now, 100)), shards)
	// One that was begun before somebody wanted them anew leaves the shard due.
	for keep, want := range map[bool]bool{true: true, false: false} {
		f.ok(f.Renew(f.ctx, f.issuer.ID, 0, f.event(acme, "crl.renew")))
		number, err := f.ReserveCRLNumber(f.ctx, f.issuer.ID, 0)
		f.ok(err)
		f.ok(f.PutCRL(f.ctx, &revocation.CRL{List: revocation.List{Issuer: f.issuer.ID}, Number: number, ThisUpdate: f.now, NextUpdate: f.now.AddDate(0, 0, 1),
			DER: []byte{1}, Due: revocation.Due{At: f.now.Add(time.Hour), KeepRenewed: keep}}, nil))
		state, err := f.Shard(f.ctx, f.issuer.ID, 0)
		f.ok(err)
		f.same(state.Renewed, want)
	}
	f.is(pki.NotFound, f.Renew(f.ctx, f.issuer.ID, shards, renew))
	f.is(pki.NotFound, f.Renew(f.ctx, "unknown", revocation.AllShards, renew))
	f.same(due(f.now.AddDate(20, 0, 0), 100), []int(nil)) // the issuer is over
}
