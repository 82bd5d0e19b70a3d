package storetest

import (
	"bytes"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// testLatestEntries asks for the entries of some serials among very many.
func testLatestEntries(f *fixture) {
	const shard = 1
	var items []*issuance.Item
	for len(items) < 4 {
		if it := f.item("meter-1"); it.Serial.Shard(shards) == shard {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b *issuance.Item) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
	items[2].NotAfter = f.now.Add(time.Minute)
	f.issue(items...)
	f.later(time.Hour) // one has expired, and stays
	var want []pki.Revocation
	for i, reasons := range [][]pki.Reason{{pki.KeyCompromise}, {pki.CertificateHold, pki.RemoveFromCRL}, {pki.Superseded}} {
		for n, reason := range reasons {
			e := f.entry(acme, items[i], reason)
			f.ok(f.revoke(e))
			if n == len(reasons)-1 {
				want = append(want, e.Revocation)
			}
		}
	}
	serials := []pki.Serial{items[0].Serial, items[1].Serial, items[2].Serial, items[3].Serial}
	latest := func(issuer pki.IssuerID) []pki.Revocation {
		got, err := f.LatestEntries(f.ctx, issuer, shard, serials)
		f.ok(err)
		return got
	}
	f.same(latest(f.issuer.ID), want)
	f.same(len(latest("unknown")), 0)
	for len(serials) < 1000 {
		if s := pki.NewSerial(pki.SerialShort, f.now); s.Shard(shards) == shard {
			serials = append(serials, s)
		}
	}
	slices.SortFunc(serials, func(a, b pki.Serial) int { return bytes.Compare(a[:], b[:]) })
	f.same(latest(f.issuer.ID), want)
	serials = serials[:0]
	f.same(len(latest(f.issuer.ID)), 0)
	serials = []pki.Serial{items[2].Serial}
	f.same(latest(f.issuer.ID), want[2:])
}

// testSampleSerial finds certificates of an issuer from anywhere among the serials.
func testSampleSerial(f *fixture) {
	first, err := f.SampleSerial(f.ctx, f.issuer.ID, pki.Serial{})
	f.is(pki.NotFound, err)
	f.same(first, pki.Serial{})
	a, b := f.item("meter-1"), f.item("meter-1")
	f.issue(a, b)
	if bytes.Compare(a.Serial[:], b.Serial[:]) > 0 {
		a, b = b, a
	}
	last := pki.Serial{0x7f} // beyond every class
	for from, want := range map[pki.Serial]pki.Serial{{}: a.Serial, a.Serial: a.Serial, b.Serial: b.Serial, last: a.Serial} {
		got, err := f.SampleSerial(f.ctx, f.issuer.ID, from)
		f.ok(err)
		f.same(got, want)
	}
	_, err = f.SampleSerial(f.ctx, "unknown", pki.Serial{})
	f.is(pki.NotFound, err)
}
