package hierarchy_test

import (
	"bytes"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// newcomer is what the authority "new" below an online one is asked for with.
var newcomer = hierarchy.NewAuthority{Name: "new", CommonName: "New", Kind: pki.Issuing, Parent: "middle", StatusURL: stack.StatusURL}

// create asks for an authority, and sees which kind of error it ends with, and that it is
// pending from then on, or not there.
func (f *faltering) create(when string, n hierarchy.NewAuthority, kind pki.Kind, there bool) {
	f.Helper()
	_, err := f.hierarchy.CreateAuthority(f.Context(), manage(f.T, f.Stack), n)
	f.pends(when, err, kind, there)
}

func (f *faltering) pends(when string, err error, kind pki.Kind, there bool) {
	f.Helper()
	if err == nil || pki.KindOf(err) != kind {
		f.Errorf("%s: %v", when, err)
	}
	v, err := f.Hierarchy.Authority(f.Context(), f.Permit(f, "acme", access.ReadConfiguration), "new")
	switch {
	case !there && pki.KindOf(err) != pki.NotFound:
		f.Errorf("%s it is there: %v", when, err)
	case there && (err != nil || v.State != pki.AuthorityPending || len(v.Issuers) != 1 || v.Issuers[0].State != pki.IssuerPending):
		f.Errorf("%s it is %+v, %v", when, v, err)
	}
}

// goOnCreating ends a creation that was cut off, and returns the issuer.
func (f *faltering) goOnCreating() *pki.Issuer {
	f.Helper()
	begun := f.view("new")
	if _, err := f.hierarchy.CreateAuthority(f.Context(), manage(f.T, f.Stack), newcomer); err != nil {
		f.Fatal(err)
	}
	v := f.view("new")
	first := v.Issuers[0]
	if v.ID != begun.ID || v.State != pki.AuthorityActive || len(v.Issuers) != 1 || first.ID != begun.Issuers[0].ID || first.Key != begun.Issuers[0].Key || first.State != pki.IssuerActive {
		f.Errorf("begun was %+v with %+v; it is %+v with %+v", begun.Authority, begun.Issuers[0], v.Authority, first)
	}
	if len(f.ra.issued) != 1 || !bytes.Equal(first.Certificate, f.ra.issued[0]) {
		f.Errorf("%d certificates were issued, or it has another", len(f.ra.issued))
	}
	return first
}

// TestCreateCutOff: the creation of an authority below an online one that was cut off before
// its certificate was issued, or after, goes on where it is asked for again, and no other has
// its name; one that was refused leaves nothing.
func TestCreateCutOff(t *testing.T) {
	f := newFaltering(t)
	ctx, g := t.Context(), manage(t, f.Stack)
	f.ra.before = pki.Errorf(pki.PolicyRefused, "no")
	f.create("refused at once", newcomer, pki.PolicyRefused, false)
	f.ra.before = lost
	f.create("before it was issued", newcomer, pki.Unavailable, true)
	f.ra.before = pki.Errorf(pki.PolicyRefused, "no")
	f.create("refused later", newcomer, pki.PolicyRefused, true)
	f.ra.before, f.ra.after = nil, lost
	f.create("after it was issued", newcomer, pki.Unavailable, true)
	f.ra.after = nil
	for what, change := range map[string]func(*hierarchy.NewAuthority){
		"common name": func(n *hierarchy.NewAuthority) { n.CommonName = "Other" },
		"parent":      func(n *hierarchy.NewAuthority) { n.Parent = "root" },
		"kind":        func(n *hierarchy.NewAuthority) { n.Kind = pki.Intermediate },
		"profile":     func(n *hierarchy.NewAuthority) { n.Profile = "intermediate-ca" },
		"key":         func(n *hierarchy.NewAuthority) { n.KeyKind = pki.P384 },
		"status URL":  func(n *hierarchy.NewAuthority) { n.StatusURL = "http://127.0.0.1:99" },
		"shards":      func(n *hierarchy.NewAuthority) { n.Shards = 2 },
		"sign check":  func(n *hierarchy.NewAuthority) { n.SignCheck = pki.CheckAlways },
		"serials":     func(n *hierarchy.NewAuthority) { n.RandomSerials = true },
		"deltas":      func(n *hierarchy.NewAuthority) { n.Deltas = true },
		"indexes":     func(n *hierarchy.NewAuthority) { n.Indexes = pki.SearchIndexes() },
	} {
		n := newcomer
		change(&n)
		f.create("with another "+what, n, pki.Conflict, true)
	}
	_, err := f.Hierarchy.Request(ctx, g, "new")
	f.pends("carried to a ceremony", err, pki.NotReady, true)
	_, err = f.hierarchy.Rollover(ctx, g, "new", hierarchy.Rollover{})
	f.pends("rolled over", err, pki.Conflict, true)
	_, err = f.hierarchy.ImportRoot(ctx, g, hierarchy.NewRoot{Name: "new", Mode: pki.Test, StatusURL: stack.StatusURL, Certificate: pandotest.NewRoot(t, "Another", f.Now()).Certificate.Raw})
	f.pends("a root of its name", err, pki.Conflict, true)
	f.goOnCreating()
	if _, err := f.hierarchy.CreateAuthority(ctx, g, newcomer); pki.KindOf(err) != pki.Conflict {
		t.Errorf("once more: %v", err)
	}
}

// TestCreateGoesOnMuchLater: as TestRolloverGoesOnMuchLater.
func TestCreateGoesOnMuchLater(t *testing.T) {
	f := newFaltering(t)
	f.ra.after = lost
	f.create("after it was issued", newcomer, pki.Unavailable, true)
	if _, err := f.Store.PurgeIdempotency(t.Context(), f.Now().AddDate(0, 0, 40), 1000); err != nil {
		t.Fatal(err)
	}
	f.publish("keys: {allow: [p256]}", "keys: {allow: [p384]}")
	if err := f.Hierarchy.Retire(t.Context(), manage(t, f.Stack), "middle"); err != nil {
		t.Fatal(err)
	}
	f.ra.after, f.gate.closed = nil, true
	f.goOnCreating()
}

// TestCreateGoesOnAsApproved: as TestRolloverGoesOnAsApproved.
func TestCreateGoesOnAsApproved(t *testing.T) {
	f := newFaltering(t)
	f.ra.before = lost
	f.create("before it was issued", newcomer, pki.Unavailable, true)
	f.publish("validity: 15y", "validity: 3y")
	f.ra.before = nil
	c := pandotest.Parse(t, f.goOnCreating().Certificate)
	if years := c.NotAfter.Sub(c.NotBefore).Hours() / 24 / 365; years < 10 {
		t.Errorf("it is valid for %.1f years", years)
	}
}

// TestDropBegun: a pending authority that has no certificate is gone when it is dropped, and
// its name is free; one that was issued its certificate is retired with it.
func TestDropBegun(t *testing.T) {
	f := newFaltering(t)
	ctx, g := t.Context(), manage(t, f.Stack)
	f.ra.before = lost
	f.create("before it was issued", newcomer, pki.Unavailable, true)
	if err := f.Hierarchy.Retire(ctx, g, "middle"); err != nil {
		t.Fatal(err)
	}
	f.ra.before = nil
	f.create("below one that was retired", newcomer, pki.Conflict, true)
	endpoint := enroll.NewEndpoint{Name: "by-new", Authority: "new", Profile: "meter"}
	_, err := f.Enroll.CreateEndpoint(ctx, f.Permit(t, "acme", access.ManageEndpoints), endpoint)
	f.pends("an endpoint", err, pki.NotReady, true) // or it would be left
	gone := f.view("new").Issuers[0].ID
	if _, err := f.hierarchy.DropNext(ctx, g, "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.hierarchy.DropNext(ctx, g, "new"); pki.KindOf(err) != pki.NotFound {
		t.Errorf("dropped twice: %v", err)
	}
	if _, err := f.Store.Issuer(ctx, gone); pki.KindOf(err) != pki.NotFound {
		t.Errorf("its issuer is there: %v", err)
	}

	// Its name is another's, below the offline root, and that of another after that.
	below := newcomer
	below.Parent, below.CommonName = "root", "Other"
	for range 2 {
		if _, err := f.hierarchy.CreateAuthority(ctx, g, below); err != nil {
			t.Fatal(err)
		}
		if _, err := f.hierarchy.DropNext(ctx, g, "new"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRetireBegun: what was issued for an authority that is retired before it has it is
// stored with it, and is not dropped.
func TestRetireBegun(t *testing.T) {
	f := newFaltering(t)
	ctx, g := t.Context(), manage(t, f.Stack)
	f.ra.after = lost
	f.create("after it was issued", newcomer, pki.Unavailable, true)
	_, err := f.hierarchy.DropNext(ctx, g, "new")
	f.pends("dropped", err, pki.Conflict, true)
	if err := f.hierarchy.Retire(ctx, g, "new"); err != nil {
		t.Fatal(err)
	}
	v := f.view("new")
	if first := v.Issuers[0]; v.State != pki.AuthorityRetired || first.State != pki.IssuerActive || !bytes.Equal(first.Certificate, f.ra.issued[0]) {
		t.Errorf("it is %s, with an issuer that is %s and has a certificate of %d octets", v.State, first.State, len(first.Certificate))
	}
	if _, err := f.hierarchy.CreateAuthority(ctx, g, newcomer); pki.KindOf(err) != pki.Conflict {
		t.Errorf("created again: %v", err)
	}
}

// TestRequestAsApproved: a ceremony is asked for a certificate by the version of the profile
// with which the authority or its rollover was approved, also of a root.
func TestRequestAsApproved(t *testing.T) {
	f := newFaltering(t)
	ctx, g := t.Context(), manage(t, f.Stack)
	n := newcomer
	n.Parent = "root"
	if _, err := f.Hierarchy.CreateAuthority(ctx, g, n); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"issuing", "root"} {
		if _, err := f.Hierarchy.Rollover(ctx, g, name, hierarchy.Rollover{}); err != nil {
			t.Fatal(err)
		}
	}
	latest := func(profile string) *pki.ProfileVersion {
		t.Helper()
		v, err := f.Store.Profile(ctx, pki.ProfileRef{Tenant: "acme", Name: profile})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, test := range []struct{ authority, profile string }{{"new", "issuing-ca"}, {"issuing", "issuing-ca"}, {"root", "root"}} {
		approved := latest(test.profile)
		source := append([]byte(approved.Source), "# changed for "+test.authority+"\n"...)
		if _, err := f.Hierarchy.PublishProfile(ctx, f.Permit(t, "acme", access.ManageProfiles), source); err != nil {
			t.Fatal(err)
		}
		request, err := f.Hierarchy.Request(ctx, g, test.authority)
		if err != nil {
			t.Fatal(err)
		}
		if test.authority == "issuing" {
			approved.Version-- // published for "new", after the rollover
		}
		if request.ProfileVersion != approved.Version || latest(test.profile).Version == approved.Version {
			t.Errorf("%s: asked for by version %d, approved was %d", test.authority, request.ProfileVersion, approved.Version)
		}
	}
}
