package storetest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

func testTokens(f *fixture) {
	token := func(id, text string) *access.Token {
		return &access.Token{ID: pki.TokenID(id), Tenant: acme, Name: "ops laptop", Maker: "token:0",
			Hash: sha256.Sum256([]byte(text)), Created: f.now, Expires: f.now.AddDate(0, 3, 0)}
	}
	create := f.event(acme, "token.create")
	first, second := token("0a", "first"), token("0b", "second")
	for i, scope := range []access.Scope{{}, {Authority: "a", ProductLine: "l", Site: "s", Endpoint: "e"}} {
		first.Grants = append(first.Grants, access.Grant{ID: fmt.Sprint("g", i), Tenant: acme, Principal: first.Principal(),
			Role: access.TenantAdministrator, Scope: scope, Actor: "token:0 (x)", Created: f.now})
	}
	f.ok(f.PutToken(f.ctx, first, create))
	f.ok(f.PutToken(f.ctx, second, create))
	f.is(pki.Conflict, f.PutToken(f.ctx, token("0a", "third"), create))
	f.is(pki.Conflict, f.PutToken(f.ctx, token("0c", "first"), create))

	got, err := f.TokenByHash(f.ctx, first.Hash)
	f.ok(err)
	f.same(got, first)
	_, err = f.TokenByHash(f.ctx, sha256.Sum256([]byte("none")))
	f.is(pki.NotFound, err)
	all, err := f.Tokens(f.ctx, acme)
	f.ok(err)
	f.same(all, []*access.Token{second, first})
	all, err = f.Tokens(f.ctx, stranger)
	f.ok(err)
	f.same(len(all), 0)
	got, err = f.Token(f.ctx, acme, first.ID)
	f.ok(err)
	f.same(got, first)
	_, err = f.Token(f.ctx, stranger, first.ID)
	f.is(pki.NotFound, err)

	revoke := f.event(acme, "token.revoke")
	f.is(pki.NotFound, f.RevokeToken(f.ctx, stranger, first.ID, f.now, revoke))
	f.ok(f.RevokeToken(f.ctx, acme, first.ID, f.now, revoke))
	f.ok(f.RevokeToken(f.ctx, acme, first.ID, f.now.Add(time.Hour), revoke))
	first.Revoked = f.now // the first time stays
	got, err = f.TokenByHash(f.ctx, first.Hash)
	f.ok(err)
	f.same(got, first)
}

func testSealedKeys(f *fixture) {
	k := &keystore.SealedKey{ID: "0abc", Tenant: acme, Kind: pki.P256, Use: keystore.UseCA, KEK: "kek", SPKI: []byte("spki"),
		Sealed: []byte("sealed"), Created: f.now}
	f.ok(f.PutKey(f.ctx, k))
	f.is(pki.Conflict, f.PutKey(f.ctx, k))
	got, err := f.Key(f.ctx, "0abc")
	f.ok(err)
	f.same(got, k)
	_, err = f.Key(f.ctx, "none")
	f.is(pki.NotFound, err)
}

func testCredentials(f *fixture) {
	c := &keystore.Credential{Tenant: acme, Name: "tls", Source: "acme.tls", Key: "software:0abc", Issuer: f.issuer.ID,
		Chain: [][]byte{[]byte("certificate"), []byte("issuer")}}
	f.ok(f.PutCredential(f.ctx, c))
	got, err := f.Credential(f.ctx, acme, "tls")
	f.ok(err)
	f.same(got, c)
	c.Source, c.Key, c.Issuer, c.Chain = "acme.tls-2", "software:0def", "0abc", c.Chain[1:]
	f.ok(f.PutCredential(f.ctx, c))
	got, err = f.Credential(f.ctx, acme, "tls")
	f.ok(err)
	f.same(got, c)
	_, err = f.Credential(f.ctx, stranger, "tls")
	f.is(pki.NotFound, err)
	_, err = f.Credential(f.ctx, acme, "none")
	f.is(pki.NotFound, err)
}

func testEndpoints(f *fixture) {
	ep := &pki.Endpoint{Tenant: acme, Name: "line-1", Authority: f.authority.ID, Profile: f.profile,
		Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolBatch}, Names: pki.Names{DNS: []string{"*.example.com"}}, Created: f.now}
	f.ok(f.PutEndpoint(f.ctx, ep, nil, f.event(acme, "endpoint.create")))
	f.is(pki.Conflict, f.PutEndpoint(f.ctx, ep, nil, f.event(acme, "endpoint.create")))
	got, err := f.Endpoint(f.ctx, acme, "line-1")
	f.ok(err)
	f.same(got, ep)

	changed := *ep
	changed.Profile.Version, changed.Protocols, changed.Names = 2, nil, pki.Names{}
	changed.Auth, changed.Networks = []pki.Proofs{pki.BySecret, pki.ByCertificate | pki.BySecret}, []string{"10.0.0.0/8", "2001:db8::/32"}
	changed.Approvals = &pki.Approvals{Steps: []pki.ApprovalStep{{Role: "ra-operator", N: 2}, {Role: "line-lead", N: 1}}, Life: 36 * time.Hour}
	f.ok(f.UpdateEndpoint(f.ctx, ep, &changed, nil, f.event(acme, "endpoint.update")))
	f.is(pki.Conflict, f.UpdateEndpoint(f.ctx, ep, ep, nil, f.event(acme, "endpoint.update"))) // it is another by now
	for _, alter := range []func(*pki.Endpoint){
		func(was *pki.Endpoint) { was.Profile.Version = 1 },
		func(was *pki.Endpoint) { was.Protocols = []pki.Protocol{pki.ProtocolEST} },
		func(was *pki.Endpoint) { was.Names = ep.Names },
		func(was *pki.Endpoint) { was.Auth = nil },
		func(was *pki.Endpoint) { was.Networks = nil },
		func(was *pki.Endpoint) { was.Validator = "intune" },
		func(was *pki.Endpoint) { was.Approvals = nil },
	} {
		was := changed
		alter(&was)
		f.is(pki.Conflict, f.UpdateEndpoint(f.ctx, &was, ep, nil, f.event(acme, "endpoint.update")))
	}
	all, err := f.Endpoints(f.ctx, acme)
	f.ok(err)
	f.same(all, []*pki.Endpoint{&changed})

	// A quota is set with it, and not raised.
	limit := func(n int64) *quota.Quota {
		return &quota.Quota{Tenant: acme, Target: quota.Target{Kind: quota.Endpoint, Name: "line-1"}, Limit: n, Actor: "token:0abc", Changed: f.now}
	}
	f.ok(f.UpdateEndpoint(f.ctx, &changed, &changed, limit(7), f.event(acme, "endpoint.update")))
	f.same(slices.Sorted(slices.Values(f.actions(acme)[:2])), []string{"endpoint.update", "quota.set"}) // of one moment
	f.is(pki.Conflict, f.UpdateEndpoint(f.ctx, &changed, ep, limit(8), f.event(acme, "endpoint.update")))
	got, err = f.Endpoint(f.ctx, acme, "line-1")
	f.ok(err)
	changed.Quota = new(int64(7))
	f.same(got, &changed)
	second := changed
	second.Name = "line-2"
	q := limit(0)
	q.Name = "line-2"
	f.ok(f.PutEndpoint(f.ctx, &second, q, f.event(acme, "endpoint.create")))
	got, err = f.Endpoint(f.ctx, acme, "line-2")
	f.ok(err)
	f.same(*got.Quota, int64(0))

	_, err = f.Endpoint(f.ctx, stranger, "line-1")
	f.is(pki.NotFound, err)
	all, err = f.Endpoints(f.ctx, stranger)
	f.ok(err)
	f.same(len(all), 0)
	theirs := changed
	theirs.Tenant = stranger
	f.is(pki.Conflict, f.UpdateEndpoint(f.ctx, &theirs, &theirs, nil, f.event(stranger, "endpoint.update")))
}

func testBlockList(f *fixture) {
	a, b, c := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b")), sha256.Sum256([]byte("c"))
	blocked, err := f.KeyBlocked(f.ctx, a) // what was known of an empty list ends with it
	f.ok(err)
	f.same(blocked, false)
	n, err := f.BlockKeys(f.ctx, [][32]byte{a, b, a}, f.event(pki.Platform, "blocklist.add"))
	f.ok(err)
	f.same(n, 2)
	n, err = f.BlockKeys(f.ctx, [][32]byte{b}, f.event(pki.Platform, "blocklist.add"))
	f.ok(err)
	f.same(n, 0)
	for hash, want := range map[[32]byte]bool{a: true, b: true, c: false} {
		got, err := f.KeyBlocked(f.ctx, hash)
		f.ok(err)
		f.same(got, want)
	}
	f.same(f.actions(pki.Platform), []string{"blocklist.add", "blocklist.add"})
}
