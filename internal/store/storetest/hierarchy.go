package storetest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

func testTenants(f *fixture) {
	got, err := f.Tenant(f.ctx, acme)
	f.ok(err)
	want := &pki.Tenant{ID: acme, Organization: "acme Ltd", Created: f.now}
	f.same(got, want)
	_, err = f.Tenant(f.ctx, "nobody")
	f.is(pki.NotFound, err)
	f.is(pki.Conflict, f.PutTenant(f.ctx, &pki.Tenant{ID: acme, Organization: "Other"}, f.event(acme, "tenant.create")))
	all, err := f.Tenants(f.ctx)
	f.ok(err)
	var ids []pki.TenantID
	for _, n := range all {
		ids = append(ids, n.ID)
	}
	f.same(ids, []pki.TenantID{acme, partner, stranger})
	f.same(f.actions(stranger), []string{"tenant.create"}) // the refused one left no event
}

func testTenantSettings(f *fixture) {
	children := 1
	want := pki.TenantSettings{PerSecond: 50, Burst: 100, Children: &children}
	f.ok(f.SetTenant(f.ctx, acme, want, f.event(acme, "tenant.set")))
	f.is(pki.NotFound, f.SetTenant(f.ctx, "nobody", want, f.event("nobody", "tenant.set")))
	for tenant, want := range map[pki.TenantID]pki.TenantSettings{acme: want, stranger: {}} {
		got, err := f.Tenant(f.ctx, tenant)
		f.ok(err)
		f.same(got.TenantSettings, want)
	}
	f.same(f.actions(acme)[0], "tenant.set")
	f.same(f.actions(stranger), []string{"tenant.create"})
}

func testAuthorities(f *fixture) {
	a, i := f.newAuthority(acme, "firmware")
	f.ok(f.PutAuthority(f.ctx, a, i, f.event(acme, "authority.create")))
	got, err := f.Authority(f.ctx, acme, a.ID)
	f.ok(err)
	f.same(got, a)
	got, err = f.AuthorityByName(f.ctx, acme, "firmware")
	f.ok(err)
	f.same(got, a)
	all, err := f.Authorities(f.ctx, acme)
	f.ok(err)
	f.same(len(all), 2)
	f.same(all[0], a)

	again, i2 := f.newAuthority(acme, "firmware")
	f.is(pki.Conflict, f.PutAuthority(f.ctx, again, i2, f.event(acme, "authority.create")))
	theirs, i3 := f.newAuthority(partner, "firmware")
	f.ok(f.PutAuthority(f.ctx, theirs, i3, f.event(partner, "authority.create")))

	_, err = f.Authority(f.ctx, stranger, a.ID)
	f.is(pki.NotFound, err)
	_, err = f.AuthorityByName(f.ctx, stranger, "firmware")
	f.is(pki.NotFound, err)
	all, err = f.Authorities(f.ctx, stranger)
	f.ok(err)
	f.same(len(all), 0)

	retire := f.event(acme, "authority.retire")
	f.is(pki.NotFound, f.SetAuthorityState(f.ctx, stranger, a.ID, pki.AuthorityPending, pki.AuthorityRetired, retire))
	f.is(pki.Conflict, f.SetAuthorityState(f.ctx, acme, a.ID, pki.AuthorityActive, pki.AuthorityRetired, retire))
	f.ok(f.SetAuthorityState(f.ctx, acme, a.ID, pki.AuthorityPending, pki.AuthorityRetired, retire))
	got, err = f.Authority(f.ctx, acme, a.ID)
	f.ok(err)
	f.same(got.State, pki.AuthorityRetired)
	f.same(f.actions(acme), []string{"authority.retire", "authority.create", "authority.activate", "authority.create", "tenant.create"})
}

func testIssuers(f *fixture) {
	a, i := f.newAuthority(acme, "firmware")
	f.ok(f.PutAuthority(f.ctx, a, i, f.event(acme, "authority.create")))
	got, err := f.Issuer(f.ctx, i.ID)
	f.ok(err)
	f.same(got, i)
	ofAuthority, err := f.Issuers(f.ctx, acme, a.ID)
	f.ok(err)
	f.same(ofAuthority, []*pki.Issuer{i})
	all, err := f.AllIssuers(f.ctx)
	f.ok(err)
	f.same(len(all), 1) // that of the fixture: the new one is pending

	from, to := f.now, f.now.AddDate(15, 0, 0)
	activate := f.event(acme, "authority.activate")
	f.is(pki.NotFound, f.InstallIssuer(f.ctx, stranger, i.ID, []byte("certificate"), pki.RootLinks{}, from, to, nil, activate))
	f.ok(f.InstallIssuer(f.ctx, acme, i.ID, []byte("certificate"), pki.RootLinks{}, from, to, nil, activate))
	f.is(pki.Conflict, f.InstallIssuer(f.ctx, acme, i.ID, []byte("other"), pki.RootLinks{}, from, to, nil, activate))
	i.Certificate, i.NotBefore, i.NotAfter, i.State = []byte("certificate"), from, to, pki.IssuerActive
	got, err = f.Issuer(f.ctx, i.ID)
	f.ok(err)
	f.same(got, i)
	all, err = f.AllIssuers(f.ctx)
	f.ok(err)
	f.same(len(all), 2)
	active, err := f.Authority(f.ctx, acme, a.ID)
	f.ok(err)
	f.same(active.State, pki.AuthorityActive)

	_, err = f.Issuer(f.ctx, "unknown")
	f.is(pki.NotFound, err)
	_, err = f.Issuers(f.ctx, stranger, a.ID)
	f.is(pki.NotFound, err)
}

func testProfiles(f *fixture) {
	profile := func(source string) *pki.ProfileVersion {
		return &pki.ProfileVersion{ProfileRef: pki.ProfileRef{Tenant: acme, Name: "meter"}, Hash: sha256.Sum256([]byte(source)),
			Source: source, Created: f.now}
	}
	publish := f.event(acme, "profile.publish")
	publish.Target = "profile:meter"
	first, second, again := profile("one"), profile("two"), profile("two")
	again.Created = f.now.Add(time.Hour)
	f.ok(f.PutProfile(f.ctx, first, nil, publish))
	f.ok(f.PutProfile(f.ctx, second, nil, publish))
	f.ok(f.PutProfile(f.ctx, again, nil, publish))
	for _, version := range []int{2, 4} { // three is the next
		other := profile("another")
		other.Version = version
		f.is(pki.Conflict, f.PutProfile(f.ctx, other, nil, publish))
	}
	f.same([]int{first.Version, second.Version}, []int{1, 2})
	f.same(again.Repeated, true)
	again.Repeated = false
	f.same(again, second)
	events := f.actions(acme)
	f.same(events[:3], []string{"profile.publish", "profile.publish", "authority.activate"})
	// The log says which version was published, and which document that is. Both are of
	// one moment, so that either may be the first.
	stored, _, err := f.Events(f.ctx, acme, hierarchy.EventFilter{}, "", 2)
	f.ok(err)
	details := []string{stored[0].Detail, stored[1].Detail}
	slices.Sort(details)
	f.same(details, []string{"version 1, " + publish.Detail, "version 2, " + publish.Detail})

	got, err := f.Profile(f.ctx, pki.ProfileRef{Tenant: acme, Name: "meter"})
	f.ok(err)
	f.same(got, second)
	got, err = f.Profile(f.ctx, first.ProfileRef)
	f.ok(err)
	f.same(got, first)
	other := profile("three")
	other.Name = "device"
	f.ok(f.PutProfile(f.ctx, other, nil, publish))
	all, err := f.Profiles(f.ctx, acme)
	f.ok(err)
	f.same(all, []*pki.ProfileVersion{other, second})
	versions := func(all ...*pki.ProfileVersion) (want []*pki.ProfileVersion) {
		for _, p := range all {
			v := *p
			v.Source, v.By = "", publish.Actor
			want = append(want, &v)
		}
		return want
	}
	all, err = f.ProfileVersions(f.ctx, acme, "meter")
	f.ok(err)
	f.same(all, versions(second, first))
	for tenant, name := range map[pki.TenantID]string{acme: "none", stranger: "meter"} {
		_, err = f.ProfileVersions(f.ctx, tenant, name)
		f.is(pki.NotFound, err)
	}

	for _, ref := range []pki.ProfileRef{
		{Tenant: stranger, Name: "meter", Version: 1}, {Tenant: stranger, Name: "meter"},
		{Tenant: acme, Name: "meter", Version: 3}, {Tenant: acme, Name: "none"},
	} {
		_, err = f.Profile(f.ctx, ref)
		f.is(pki.NotFound, err)
	}
	all, err = f.Profiles(f.ctx, stranger)
	f.ok(err)
	f.same(len(all), 0)
}

// testProfileQuota: a quota is set with the publication that names it, or both are not.
func testProfileQuota(f *fixture) {
	publish := f.event(acme, "profile.publish")
	put := func(source string, limit int64) error {
		ref := pki.ProfileRef{Tenant: acme, Name: "counted"}
		return f.PutProfile(f.ctx, &pki.ProfileVersion{ProfileRef: ref, Hash: sha256.Sum256([]byte(source)), Source: source, Created: f.now},
			&quota.Quota{Tenant: acme, Target: quota.Target{Kind: quota.Profile, Name: ref.Name}, Limit: limit, Actor: "token:0abc", Changed: f.now}, publish)
	}
	f.ok(put("one", 7))
	f.is(pki.Conflict, put("two", 8))
	_, err := f.Profile(f.ctx, pki.ProfileRef{Tenant: acme, Name: "counted", Version: 2})
	f.is(pki.NotFound, err)
	f.ok(put("three", 6))
	all, err := f.Quotas(f.ctx, acme)
	f.ok(err)
	f.same([]int64{int64(len(all)), all[0].Limit}, []int64{1, 6})
	f.same(slices.Sorted(slices.Values(f.actions(acme)[:4])), []string{"profile.publish", "profile.publish", "quota.set", "quota.set"}) // of one moment
	all, err = f.Quotas(f.ctx, stranger)
	f.ok(err)
	f.same(len(all), 0)
}

func testEvents(f *fixture) {
	for n := range 10 {
		e := f.event(stranger, fmt.Sprintf("act.%d", n))
		e.At = f.now.Add(time.Duration(n+1) * time.Second)
		f.ok(f.PutEndpoint(f.ctx, &pki.Endpoint{Tenant: stranger, Name: fmt.Sprintf("e%d", n)}, nil, e))
	}
	read := func(filter hierarchy.EventFilter) (got []string) {
		for before := ""; ; {
			page, next, err := f.Events(f.ctx, stranger, filter, before, 4)
			f.ok(err)
			for _, e := range page {
				got = append(got, e.Action)
			}
			if before = next; next == "" {
				return got
			}
		}
	}
	got := read(hierarchy.EventFilter{})
	f.same(got, []string{"act.9", "act.8", "act.7", "act.6", "act.5", "act.4", "act.3", "act.2", "act.1", "act.0", "tenant.create"})
	all := hierarchy.EventFilter{Target: "target", Actor: "token:0abc", Action: "act"}
	f.same(read(all), got[:10])
	f.same(read(hierarchy.EventFilter{Action: "act.7"}), []string{"act.7"})
	f.same(read(hierarchy.EventFilter{Target: "target", Actor: "token:0abc (test)"}), got)
	for _, none := range []hierarchy.EventFilter{{Target: "targe"}, {Actor: "token:0ab"}, {Actor: "test"}, {Action: "ac"}, {Action: "act."}} {
		f.same(len(read(none)), 0)
	}
	if slices.Contains(f.actions(acme), "act.0") {
		f.Error("a tenant sees another's events")
	}
}
