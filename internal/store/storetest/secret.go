package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
)

func testSecrets(f *fixture) {
	for _, name := range []string{"meter", "door"} {
		f.ok(f.PutEndpoint(f.ctx, &pki.Endpoint{Tenant: acme, Name: name, Authority: f.authority.ID, Profile: f.profile, Created: f.now}, nil, f.event(acme, "endpoint.create")))
	}
	random := &enrolauth.Secret{ID: "1", Tenant: acme, Endpoint: "meter", Name: "line 1", Device: "SM-1", Subject: "CN=SM-1", Once: true, Hash: []byte("hash"),
		Maker: "token:0abc", Created: f.now, Expires: f.now.Add(time.Hour)}
	chosen := &enrolauth.Secret{ID: "2", Tenant: acme, Endpoint: "meter", Salt: []byte("salt"), Hash: []byte("hash"), Maker: "token:0abc", Created: f.now, Expires: f.now.Add(2 * time.Hour)}
	door := &enrolauth.Secret{ID: "3", Tenant: acme, Endpoint: "door", Device: "SM-1", Salt: []byte("salt"), Hash: []byte("hash"), Created: f.now, Expires: f.now.Add(time.Hour)}
	for _, k := range []*enrolauth.Secret{random, chosen, door} {
		f.ok(f.PutSecret(f.ctx, k, f.event(acme, "secret.create")))
	}
	nowhere := *random
	nowhere.ID, nowhere.Endpoint = "4", "none"
	f.is(pki.NotFound, f.PutSecret(f.ctx, &nowhere, f.event(acme, "secret.create")))
	nowhere.Tenant, nowhere.Endpoint = stranger, "meter"
	f.is(pki.NotFound, f.PutSecret(f.ctx, &nowhere, f.event(stranger, "secret.create")))

	got, err := f.Secret(f.ctx, acme, "1")
	f.ok(err)
	f.same(got, random)
	_, err = f.Secret(f.ctx, stranger, "1")
	f.is(pki.NotFound, err)
	for _, want := range []struct {
		tenant pki.TenantID
		filter enrolauth.Filter
		before pki.SecretID
		limit  int
		all    []*enrolauth.Secret
	}{
		{acme, enrolauth.Filter{}, "", 10, []*enrolauth.Secret{door, chosen, random}},
		{acme, enrolauth.Filter{}, "3", 1, []*enrolauth.Secret{chosen}},
		{acme, enrolauth.Filter{Endpoint: "meter"}, "", 10, []*enrolauth.Secret{chosen, random}},
		{acme, enrolauth.Filter{Device: "SM-1"}, "", 10, []*enrolauth.Secret{door, random}},
		{acme, enrolauth.Filter{Endpoint: "door", Device: "SM-1"}, "", 10, []*enrolauth.Secret{door}},
		{acme, enrolauth.Filter{Endpoint: "none"}, "", 10, nil},
		{stranger, enrolauth.Filter{}, "", 10, nil},
	} {
		all, err := f.Secrets(f.ctx, want.tenant, want.filter, want.before, want.limit)
		f.ok(err)
		f.same(all, want.all)
	}
	for at, want := range map[time.Time][]*enrolauth.Secret{f.now: {chosen}, chosen.Expires: nil} {
		all, err := f.ChosenSecrets(f.ctx, acme, "meter", at)
		f.ok(err)
		f.same(all, want)
	}
	all, err := f.ChosenSecrets(f.ctx, stranger, "meter", f.now)
	f.ok(err)
	f.same(len(all), 0)

	at := f.now.Add(time.Minute)
	f.is(pki.NotFound, f.RevokeSecret(f.ctx, stranger, "2", at, f.event(stranger, "secret.revoke")))
	for range 2 { // the second changes nothing
		f.ok(f.RevokeSecret(f.ctx, acme, "2", at, f.event(acme, "secret.revoke")))
		at = at.Add(time.Minute)
	}
	got, err = f.Secret(f.ctx, acme, "2")
	f.ok(err)
	chosen.Revoked = f.now.Add(time.Minute)
	f.same(got, chosen)
	all, err = f.ChosenSecrets(f.ctx, acme, "meter", f.now)
	f.ok(err)
	f.same(len(all), 0)
	for _, want := range []int{1, 1, 0} { // the third still holds
		n, err := f.PurgeSecrets(f.ctx, random.Expires.Add(time.Second), 1)
		f.ok(err)
		f.same(n, want)
	}
	all, err = f.Secrets(f.ctx, acme, enrolauth.Filter{}, "", 10)
	f.ok(err)
	f.same(all, []*enrolauth.Secret{chosen})
	f.same(f.actions(acme)[:2], []string{"secret.revoke", "secret.create"})
	f.same(f.actions(stranger), []string{"tenant.create"})
}
