package storetest

import (
	"crypto/sha256"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
)

// testRollover gives the fixture's authority a second issuer.
func testRollover(f *fixture) {
	issuer := func(state pki.IssuerState, certificate []byte) *pki.Issuer {
		_, i := f.newAuthority(acme, "unused")
		f.now = f.now.Add(time.Second)
		i.Authority, i.State, i.Certificate, i.Created, i.ProfileVersion = f.authority.ID, state, certificate, f.now, 3
		return i
	}
	states := func() map[pki.IssuerID]pki.IssuerState {
		all, err := f.Issuers(f.ctx, acme, f.authority.ID)
		f.ok(err)
		got := make(map[pki.IssuerID]pki.IssuerState)
		for _, i := range all {
			got[i.ID] = i.State
		}
		return got
	}
	from, to, e := f.now, f.now.AddDate(15, 0, 0), f.event(acme, "authority.rollover")
	first := f.issuer.ID

	// One at a time is pending or next, of an active authority of one's own.
	second := issuer(pki.IssuerPending, nil)
	theirs := *second
	theirs.Tenant = stranger
	f.is(pki.NotFound, f.PutIssuer(f.ctx, &theirs, e))
	f.ok(f.PutIssuer(f.ctx, second, e))
	f.is(pki.Conflict, f.PutIssuer(f.ctx, issuer(pki.IssuerNext, []byte("certificate")), e))
	waits, w := f.newAuthority(acme, "waits")
	f.ok(f.PutAuthority(f.ctx, waits, w, e))
	early := issuer(pki.IssuerPending, nil)
	early.Authority = waits.ID
	f.is(pki.Conflict, f.PutIssuer(f.ctx, early, e))

	// A pending authority is dropped with its issuer, unless something is about it: another
	// has its name then.
	f.is(pki.NotFound, f.DropIssuer(f.ctx, stranger, w.ID, e))
	limited := quota.Target{Kind: quota.Authority, Name: waits.Name}
	_, err := f.SetQuota(f.ctx, quota.Quota{Tenant: acme, Target: limited, Limit: 1, Actor: "token:0abc", Changed: f.now}, true, f.event(acme, "quota.set"))
	f.ok(err)
	f.is(pki.Conflict, f.DropIssuer(f.ctx, acme, w.ID, e))
	f.ok(f.RemoveQuota(f.ctx, acme, limited, f.event(acme, "quota.remove")))
	token := &access.Token{ID: "0a", Tenant: acme, Name: "x", Hash: sha256.Sum256([]byte("x")), Created: f.now, Expires: f.now.AddDate(0, 3, 0)}
	f.ok(f.PutToken(f.ctx, token, f.event(acme, "token.create")))
	given := &access.Grant{ID: "of-waits", Tenant: acme, Principal: token.Principal(), Role: access.Auditor, Scope: access.Scope{Authority: waits.Name}, Created: f.now}
	f.ok(f.PutGrant(f.ctx, given, f.event(acme, "grant.add")))
	f.is(pki.Conflict, f.DropIssuer(f.ctx, acme, w.ID, e))
	f.ok(f.DeleteGrant(f.ctx, acme, given.ID, f.event(acme, "grant.remove")))
	_, _, _, err = f.SearchCertificates(f.ctx, acme, registry.Query{Issuer: w.ID}, f.now, nil, 1)
	f.ok(err)
	f.ok(f.DropIssuer(f.ctx, acme, w.ID, f.event(acme, "authority.drop")))
	f.same(f.actions(acme)[0], "authority.drop")
	_, err = f.Authority(f.ctx, acme, waits.ID)
	f.is(pki.NotFound, err)
	_, err = f.Issuer(f.ctx, w.ID)
	f.is(pki.NotFound, err)
	_, _, _, err = f.SearchCertificates(f.ctx, acme, registry.Query{Issuer: w.ID}, f.now, nil, 1)
	f.is(pki.NotFound, err)
	waits, w = f.newAuthority(acme, "waits")
	f.ok(f.PutAuthority(f.ctx, waits, w, e))

	// It has its certificate before it is switched to, and shards by then.
	f.is(pki.Conflict, f.SwitchIssuer(f.ctx, acme, second.ID, "G2", pki.P384, e))
	f.ok(f.InstallIssuer(f.ctx, acme, second.ID, []byte("certificate"), pki.RootLinks{}, from, to, nil, e))
	f.same(states(), map[pki.IssuerID]pki.IssuerState{first: pki.IssuerActive, second.ID: pki.IssuerNext})
	kept, err := f.Shards(f.ctx, second.ID)
	f.ok(err)
	f.same(len(kept), shards)
	f.is(pki.NotFound, f.SwitchIssuer(f.ctx, stranger, second.ID, "G2", pki.P384, e))
	f.is(pki.Conflict, f.SwitchIssuer(f.ctx, acme, first, "G2", pki.P384, e))
	f.ok(f.SwitchIssuer(f.ctx, acme, second.ID, "G2", pki.P384, f.event(acme, "authority.switch")))
	f.same(states(), map[pki.IssuerID]pki.IssuerState{first: pki.IssuerEarlier, second.ID: pki.IssuerActive})
	a, err := f.Authority(f.ctx, acme, f.authority.ID)
	f.ok(err)
	f.same([]string{a.CommonName, string(a.KeyKind)}, []string{"G2", string(pki.P384)})
	f.same(f.actions(acme)[0], "authority.switch")

	// A root's has the one that it follows, and links with it.
	root, r := f.newAuthority(acme, "anchor")
	root.Kind, root.State, r.State, r.Certificate = pki.Root, pki.AuthorityActive, pki.IssuerActive, []byte("old")
	f.ok(f.PutAuthority(f.ctx, root, r, e))
	next := issuer(pki.IssuerPending, nil)
	next.Authority, next.Follows, next.KeyKind = root.ID, r.ID, pki.P521
	f.ok(f.PutIssuer(f.ctx, next, e))
	got, err := f.Issuer(f.ctx, next.ID)
	f.ok(err)
	f.same(got, next)
	links := pki.RootLinks{NewWithOld: []byte("new with old"), OldWithNew: []byte("old with new")}
	// What the ceremony signed besides is stored with it, all of it or nothing.
	signed := func(by pki.IssuerID) *issuance.Intent {
		it := f.item("")
		sign(it)
		in := f.intent(it)
		in.Issuer = by
		return in
	}
	stored := func(in *issuance.Intent) pki.Kind {
		_, err := f.Certificate(f.ctx, acme, in.Issuer, in.Items[0].Serial)
		return pki.KindOf(err)
	}
	forward, back, nowhere := signed(r.ID), signed(next.ID), signed("nowhere")
	f.is(pki.NotFound, f.InstallIssuer(f.ctx, acme, next.ID, []byte("new"), links, from, to, []*issuance.Intent{forward, nowhere}, e))
	got, err = f.Issuer(f.ctx, next.ID)
	f.ok(err)
	f.same(got, next)
	f.same(stored(forward), pki.NotFound)
	f.ok(f.InstallIssuer(f.ctx, acme, next.ID, []byte("new"), links, from, to, []*issuance.Intent{forward, back}, e))
	got, err = f.Issuer(f.ctx, next.ID)
	f.ok(err)
	f.same(got.Links, links)
	f.same([]pki.Kind{stored(forward), stored(back)}, []pki.Kind{0, 0})

	// One that has its certificate from the beginning, and is dropped.
	third := issuer(pki.IssuerNext, []byte("third"))
	third.NotBefore, third.NotAfter = from, to
	f.ok(f.PutIssuer(f.ctx, third, e))
	got, err = f.Issuer(f.ctx, third.ID)
	f.ok(err)
	f.same(got, third)
	f.is(pki.NotFound, f.DropIssuer(f.ctx, stranger, third.ID, e))
	f.is(pki.Conflict, f.DropIssuer(f.ctx, acme, second.ID, e))
	f.ok(f.DropIssuer(f.ctx, acme, third.ID, f.event(acme, "authority.drop")))
	f.is(pki.Conflict, f.SwitchIssuer(f.ctx, acme, third.ID, "G3", pki.P384, e))
	f.same(states(), map[pki.IssuerID]pki.IssuerState{first: pki.IssuerEarlier, second.ID: pki.IssuerActive, third.ID: pki.IssuerDropped})
	f.same(f.actions(acme)[0], "authority.drop")

	// An authority that has ended is switched no more.
	fourth := issuer(pki.IssuerNext, []byte("fourth"))
	f.ok(f.PutIssuer(f.ctx, fourth, e))
	f.ok(f.SetAuthorityState(f.ctx, acme, f.authority.ID, pki.AuthorityActive, pki.AuthorityRetired, e))
	f.is(pki.Conflict, f.SwitchIssuer(f.ctx, acme, fourth.ID, "G4", pki.P384, e))
	f.is(pki.Conflict, f.PutIssuer(f.ctx, issuer(pki.IssuerNext, []byte("fifth")), e))
}
