package storetest

import (
	"bytes"
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
	it.Owner = partner
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
	f.same(f.actions(partner), []string{"certificate.keyCompromise", "tenant.create"})
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
		changed, err := f.Changed(f.ctx, f.issuer.ID, shard, earlier, newest, f.now, pki.Serial{}, 100)
		f.ok(err)
		f.same(changed, []pki.Revocation{e.Revocation})
		changed, err = f.Changed(f.ctx, f.issuer.ID, shard, 0, newest, f.now, pki.Serial{}, 100)
		f.ok(err)
		f.same(ofSerial(changed, it.Serial), []pki.Revocation{e.Revocation})
		changed, err = f.Changed(f.ctx, f.issuer.ID, shard, newest, newest, f.now, pki.Serial{}, 100)
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
	page, err := f.Revoked(f.ctx, f.issuer.ID, shard, upto, f.now, pki.Serial{}, 100)
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
			page, err := f.Revoked(f.ctx, f.issuer.ID, shard, states[shard].Newest, f.now.Add(time.Hour), after, 3)
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
		page, err := f.Revoked(f.ctx, f.issuer.ID, shard, math.MaxInt64, now, pki.Serial{}, 100)
		f.ok(err)
		return slices.ContainsFunc(page, func(r pki.Revocation) bool { return r.Serial == short.Serial })
	}
	f.same(has(short.NotAfter), true)
	f.same(has(short.NotAfter.Add(time.Second)), false)
	none, err := f.Revoked(f.ctx, "unknown", 0, math.MaxInt64, f.now, pki.Serial{}, 100)
	f.ok(err)
	f.same(len(none), 0)
}

func testCRLs(f *fixture) {
	const shard = 2
	_, err := f.CRL(f.ctx, f.issuer.ID, shard)
	f.is(pki.NotFound, err)
	_, err = f.CRLNumber(f.ctx, f.issuer.ID, shard)
	f.is(pki.NotFound, err)
	crl := func(number int64) *revocation.CRL {
		return &revocation.CRL{Issuer: f.issuer.ID, Shard: shard, Number: number, Covers: 7, Entries: 3, ThisUpdate: f.now,
			NextUpdate: f.now.AddDate(0, 0, 7), DER: []byte{byte(number)}}
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
	got, err := f.CRL(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	f.same(got, crl(3))
	number, err = f.CRLNumber(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	f.same(number, int64(3))
	_, err = f.CRLNumber(f.ctx, "unknown", shard)
	f.is(pki.NotFound, err)
	f.ok(f.PutCRL(f.ctx, crl(4), &install))
	f.same(f.actions(acme), []string{"crl.install", "authority.activate", "authority.create", "tenant.create"})

	states, err := f.Shards(f.ctx, f.issuer.ID)
	f.ok(err)
	want := []revocation.ShardState{{Shard: 0}, {Shard: 1}, {Shard: 2, Covers: 7, Number: 4, ThisUpdate: got.ThisUpdate, NextUpdate: got.NextUpdate}, {Shard: 3}}
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
