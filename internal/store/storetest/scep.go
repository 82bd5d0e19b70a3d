package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/proto/scep"
)

// testSCEP: a transaction is of the keys that it began with, at its endpoint.
func testSCEP(f *fixture) {
	begun := &scep.Transaction{Tenant: acme, Endpoint: "meter", ID: "1", Signer: [32]byte{1}, Key: [32]byte{2}, Begun: f.now, Principal: "secret:1"}
	begin := func(t scep.Transaction) (*scep.Transaction, error) { return f.BeginSCEP(f.ctx, &t) }
	got, err := begin(*begun)
	f.ok(err)
	f.same(got, begun)
	again := *begun
	again.Begun = f.now.Add(time.Hour)
	got, err = begin(again)
	f.ok(err)
	f.same(got, begun)
	for _, change := range []func(*scep.Transaction){
		func(t *scep.Transaction) { t.Signer[0]++ },
		func(t *scep.Transaction) { t.Signer[0]++; t.Key[0]++ },
		func(t *scep.Transaction) { t.Key[0]++ },
	} {
		other := *begun
		change(&other)
		_, err = begin(other)
		f.is(pki.Conflict, err)
	}
	for _, other := range []scep.Transaction{
		{Tenant: acme, Endpoint: "meter", ID: "1", Signer: [32]byte{9}, Key: [32]byte{2}, Begun: f.now.Add(time.Second), Principal: "secret:2"}, // of the same identifier
		{Tenant: acme, Endpoint: "other", ID: "1", Key: [32]byte{3}, Begun: f.now},
		{Tenant: stranger, Endpoint: "meter", ID: "1", Key: [32]byte{4}, Begun: f.now},
		{Tenant: acme, Endpoint: "meter", ID: "2", Key: [32]byte{5}, Begun: f.now.Add(time.Second)},
	} {
		got, err = begin(other)
		f.ok(err)
		f.same(got, &other)
	}

	waits := *begun
	waits.Request, waits.Renews, waits.Principal = []byte("request"), true, "secret:1"
	f.ok(f.KeepSCEP(f.ctx, &waits))
	got, err = f.SCEPTransaction(f.ctx, acme, "meter", "1", [32]byte{1})
	f.ok(err)
	f.same(got, &waits)
	got, err = f.SCEPTransaction(f.ctx, stranger, "meter", "1", [32]byte{})
	f.ok(err)
	f.same(got.Key, [32]byte{4})
	_, err = f.SCEPTransaction(f.ctx, stranger, "meter", "2", [32]byte{})
	f.is(pki.NotFound, err)
	_, err = f.SCEPTransaction(f.ctx, acme, "meter", "1", [32]byte{2})
	f.is(pki.NotFound, err)
	none := waits
	none.ID = "none"
	f.is(pki.NotFound, f.KeepSCEP(f.ctx, &none))
	none = waits
	none.Signer[0]++
	f.is(pki.NotFound, f.KeepSCEP(f.ctx, &none))
	none = waits
	none.Tenant, none.ID = stranger, "2"
	f.is(pki.NotFound, f.KeepSCEP(f.ctx, &none))

	purge := func(before time.Time, limit, want int) {
		f.Helper()
		n, err := f.PurgeSCEP(f.ctx, before, limit)
		f.ok(err)
		f.same(n, want)
	}
	purge(f.now, 10, 0)
	purge(f.now.Add(time.Second), 2, 2)
	purge(f.now.Add(time.Second), 10, 1)
	_, err = f.SCEPTransaction(f.ctx, acme, "meter", "1", [32]byte{1})
	f.is(pki.NotFound, err)
	_, err = f.SCEPTransaction(f.ctx, acme, "meter", "2", [32]byte{})
	f.ok(err)
}

// testRenewalOf: what a request renewed a certificate by is found by the request and the
// certificate, and not by a certificate that came after it.
func testRenewalOf(f *fixture) {
	item := func(device pki.DeviceID, request string) *issuance.Item {
		it := f.item(device)
		it.Request = []byte(request)
		return it
	}
	in := f.issue(item("SM-1", "first"), item("SM-2", "second"))
	old, others := f.certificate(in, 0), f.certificate(in, 1)
	renewal := func(of *pki.Certificate, request string) (*pki.Certificate, error) {
		return f.RenewalOf(f.ctx, of, []byte(request))
	}
	_, err := renewal(old, "second")
	f.is(pki.NotFound, err)
	in = f.issue(item("SM-1", "second"))
	next := f.certificate(in, 0)
	got, err := renewal(old, "second")
	f.ok(err)
	f.same(got, next)
	for _, of := range []*pki.Certificate{next, others} {
		_, err = renewal(of, "second")
		f.is(pki.NotFound, err)
	}
	_, err = renewal(old, "first")
	f.is(pki.NotFound, err)
	foreign := *old
	foreign.Owner = stranger
	_, err = renewal(&foreign, "second")
	f.is(pki.NotFound, err)
}
