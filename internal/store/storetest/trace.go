package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/trace"
)

func testTraces(f *fixture) {
	single, other := f.item("a"), f.item("b")
	single.Request, single.Actor = []byte("the request"), "token:0abc (line 3)"
	f.issue(single, other)
	for _, test := range []struct {
		serial      pki.Serial
		cut, actor  string
		wantEntries []pki.Reason
	}{
		{single.Serial, "the request", "token:0abc (line 3)", []pki.Reason{pki.CertificateHold, pki.RemoveFromCRL, pki.KeyCompromise}},
		{other.Serial, "", "", nil},
	} {
		for _, reason := range test.wantEntries {
			f.ok(f.revoke(f.entry(acme, single, reason)))
		}
		cut, actor, err := f.Request(f.ctx, f.issuer.ID, test.serial)
		f.ok(err)
		f.same([]string{string(cut), actor}, []string{test.cut, test.actor})
		entries, err := f.Entries(f.ctx, acme, f.issuer.ID, test.serial)
		f.ok(err)
		var got []pki.Reason
		for i, e := range entries {
			f.same(e.N, i+1)
			got = append(got, e.Reason)
		}
		f.same(got, test.wantEntries)
		place, err := f.LogPlace(f.ctx, f.issuer.ID, test.serial)
		f.ok(err)
		f.same(place, trace.LogPlace{Index: -1}) // nobody has sequenced it
	}
	_, _, err := f.Request(f.ctx, f.issuer.ID, pki.NewSerial(pki.SerialLong, f.now))
	f.is(pki.NotFound, err)

	// What an open intent holds is there after another node took it over.
	taken := f.item("c")
	taken.Request, taken.Actor = []byte("another"), "token:0def"
	f.intend(f.intent(taken))
	f.enter()
	adopted, err := f.Adopt(f.ctx, f.node, f.epoch, f.now, 10)
	f.ok(err)
	f.same([]string{string(adopted[0].Items[0].Request), adopted[0].Items[0].Actor}, []string{"another", "token:0def"})

	for _, target := range []string{"device:a", "device:b", "device:a"} {
		e := f.event(acme, "device.activate")
		e.Target = target
		f.ok(f.SetStrict(f.ctx, acme, false, e))
	}
	for _, test := range []struct {
		tenant  pki.TenantID
		targets []string
		limit   int
		want    []string
	}{
		{acme, []string{"device:a"}, 10, []string{"device:a", "device:a"}},
		{acme, []string{"device:b", "device:a"}, 10, []string{"device:a", "device:b", "device:a"}},
		{acme, []string{"device:b", "device:a"}, 2, []string{"device:a", "device:b"}},
		{stranger, []string{"device:a"}, 10, nil},
	} {
		events, err := f.EventsOn(f.ctx, test.tenant, test.targets, test.limit)
		f.ok(err)
		var got []string
		for _, e := range events {
			got = append(got, e.Target)
		}
		f.same(got, test.want)
	}
}

// testAuthorityCertificates: a tenant's authorities are listed with the certificates that
// they have, not those that wait for one, and to nobody else.
func testAuthorityCertificates(f *fixture) {
	for tenant, want := range map[pki.TenantID][]string{acme: {f.authority.Name}, stranger: nil} {
		all, err := f.AuthorityCertificates(f.ctx, tenant)
		f.ok(err)
		var got []string
		for _, a := range all {
			f.same([]bool{a.ID != "", len(a.DER) > 0}, []bool{true, true})
			got = append(got, a.Name)
		}
		f.same(got, want)
	}
}

// testEntriesOfJobs: an entry says which job made it, to the job's tenant, whether it is
// the first of its certificate or a later one. Of one that was taken over nobody knows.
func testEntriesOfJobs(f *fixture) {
	lent, own := f.placed(partner, "a", "lot-1"), f.placed(acme, "b", "lot-1")
	f.issue(lent, own)
	run := func(tenant pki.TenantID, by revocation.Selector, name string, reason pki.Reason) string {
		j := f.createJob(f.job(tenant, by, name, reason))
		f.advance(j, 10)
		return string(j.ID)
	}
	hold := run(partner, revocation.ByLot, "lot-1", pki.CertificateHold)
	f.ok(f.revoke(f.entry(partner, lent, pki.RemoveFromCRL)))
	revoked := run(acme, revocation.ByIssuer, string(f.issuer.ID), pki.Superseded)
	for _, test := range []struct {
		tenant pki.TenantID
		of     *issuance.Item
		want   []string
	}{
		{partner, lent, []string{hold, "", ""}},
		{acme, lent, []string{"", "", revoked}},
		{acme, own, []string{revoked}},
		{stranger, lent, []string{"", "", ""}},
	} {
		entries, err := f.Entries(f.ctx, test.tenant, f.issuer.ID, test.of.Serial)
		f.ok(err)
		var got []string
		for _, e := range entries {
			f.same(e.Unknown, false)
			got = append(got, string(e.Job))
		}
		f.same(got, test.want)
	}

	unknown := f.item("d")
	_, err := f.Recover(f.ctx, revocation.Recovery{List: revocation.List{Issuer: f.issuer.ID, Shard: unknown.Serial.Shard(f.issuer.Shards)}, Number: 1,
		Entries: []pki.Revocation{{Issuer: f.issuer.ID, Serial: unknown.Serial, Reason: pki.KeyCompromise, At: f.now, NotAfter: f.now.Add(time.Hour)}}, Last: true}, f.event(acme, "crl.recovered"))
	f.ok(err)
	entries, err := f.Entries(f.ctx, acme, f.issuer.ID, unknown.Serial)
	f.ok(err)
	f.same([]bool{len(entries) == 1, entries[0].Unknown, entries[0].Job == ""}, []bool{true, true, true})
}
