package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// testRecover takes over what a published CRL has and the store lost.
func testRecover(f *fixture) {
	good, held, revoked, again := f.item("meter-1"), f.item("meter-2"), f.item("meter-3"), f.item("meter-4")
	f.issue(good, held, revoked, again)
	f.ok(f.revoke(f.entry(acme, held, pki.CertificateHold)))
	f.ok(f.revoke(f.entry(acme, revoked, pki.Superseded)))
	f.ok(f.revoke(f.entry(acme, again, pki.CertificateHold)))
	f.ok(f.revoke(f.entry(acme, again, pki.RemoveFromCRL)))
	unknown := pki.NewSerial(pki.SerialLong, f.now)
	at := f.now.Add(time.Minute)
	shard := unknown.Shard(f.issuer.Shards)
	lost := func(serial pki.Serial, reason pki.Reason) pki.Revocation {
		return pki.Revocation{Issuer: f.issuer.ID, Serial: serial, Reason: reason, At: at, NotAfter: f.issuer.NotAfter}
	}
	r := revocation.Recovery{List: revocation.List{Issuer: f.issuer.ID, Shard: shard}, Number: 40, Entries: []pki.Revocation{
		lost(good.Serial, pki.KeyCompromise), lost(held.Serial, pki.KeyCompromise), lost(revoked.Serial, pki.KeyCompromise),
		lost(again.Serial, pki.CertificateHold), lost(unknown, pki.CertificateHold),
	}}
	before, err := f.Shard(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	for want := range []int{3, 0} { // the second finds it so
		taken, err := f.Recover(f.ctx, r, f.event(acme, "crl.recover"))
		f.ok(err)
		f.same(taken, []int{3, 0}[want])
	}
	f.same(f.statusOf(good)+", "+f.statusOf(held)+", "+f.statusOf(revoked)+", "+f.statusOf(again),
		"keyCompromise after 1, keyCompromise after 2, superseded after 1, good after 2")
	status, err := f.Status(f.ctx, f.issuer.ID, unknown)
	f.ok(err)
	f.same(status.Revocation, &pki.Revocation{Issuer: f.issuer.ID, Serial: unknown, N: 1, Reason: pki.CertificateHold, At: at, Shard: shard, NotAfter: f.issuer.NotAfter})
	f.same(f.actions(acme)[0], "crl.recover")

	// Numbers go on above the published one with the last of it, not before.
	state, err := f.Shard(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	f.same(state.Renewed, before.Renewed)
	number, err := f.ReserveCRLNumber(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	f.same(number < r.Number, true)

	// Of a CRL later than all that the store knows of, a hold came after the release.
	r.Ahead, r.Last = true, true
	taken, err := f.Recover(f.ctx, r, f.event(acme, "crl.recover"))
	f.ok(err)
	f.same(taken, 1)
	f.same(f.statusOf(again), "certificateHold after 3")

	number, err = f.ReserveCRLNumber(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	f.same(number, int64(41))
	r.Number, r.Entries = 7, nil
	_, err = f.Recover(f.ctx, r, f.event(acme, "crl.recover"))
	f.ok(err)
	number, err = f.ReserveCRLNumber(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	f.same(number, int64(42))
	state, err = f.Shard(f.ctx, f.issuer.ID, shard)
	f.ok(err)
	f.same(state.Renewed, true)

	// What only the published CRL knew is the issuer's tenant's to release, no other's.
	only := &issuance.Item{Serial: unknown}
	for _, tenant := range []pki.TenantID{stranger, partner} {
		f.is(pki.NotFound, f.revoke(f.entry(tenant, only, pki.RemoveFromCRL)))
	}
	f.ok(f.revoke(f.entry(acme, only, pki.RemoveFromCRL)))
	f.same(f.statusOf(only), "good after 2")
	f.is(pki.NotFound, f.revoke(f.entry(acme, only, pki.KeyCompromise)))

	r.Issuer = "nobody"
	_, err = f.Recover(f.ctx, r, f.event(acme, "crl.recover"))
	f.is(pki.NotFound, err)

	f.sequence(f.sequencer()) // its leaves are in the log
	f.checkLog(acme)
}
