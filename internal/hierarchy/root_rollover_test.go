package hierarchy_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

func (r *rolling) above() [][]byte {
	r.Helper()
	above, err := r.Hierarchy.Above(r.Context(), "acme", r.view("issuing").ID)
	if err != nil {
		r.Fatal(err)
	}
	return above
}

func (r *rolling) serialOf(der []byte) pki.Serial {
	r.Helper()
	p, err := tbs.ParseCertificate(der)
	if err != nil {
		r.Fatal(err)
	}
	return p.Serial
}

// signs checks that one certificate signed another, by their names and key identifiers
// too. It goes for keys that crypto/x509 does not know.
func (r *rolling) signs(by, der []byte) {
	r.Helper()
	p, err := tbs.ParseCertificate(der)
	if err != nil {
		r.Fatal(err)
	}
	above, err := tbs.ParseCertificate(by)
	if err != nil {
		r.Fatal(err)
	}
	if err := p.CheckSignedBy(above); err != nil {
		r.Error(err)
	}
}

// TestRollRoot: a root is followed by one of its name. Until the switch authorities come
// under the old one, from then on under the new; clients are told of both, and of the links
// between them (RFC 7030, 4.1.3), and both have CRLs.
func TestRollRoot(t *testing.T) {
	for _, kind := range []pki.KeyKind{"", pki.RSA3072, pki.MLDSA65} {
		t.Run(string(kind), func(t *testing.T) {
			s := stack.New(t, stack.Config{})
			s.AddTenant(t, "acme", "meter")
			r := &rolling{T: t, Stack: s}
			ctx, g := t.Context(), manage(t, s)
			if kind != "" {
				r.publishRoot(kind)
			}
			old, issuing := r.view("root").Issuers[0], r.view("issuing").Issuers[0]

			answer := s.Follow(t, "acme", kind)
			if _, err := s.Hierarchy.Switch(ctx, g, "root"); pki.KindOf(err) != pki.NotReady {
				t.Errorf("switched to a root without a certificate: %v", err)
			}
			if diff := cmp.Diff([][]byte{issuing.Certificate, old.Certificate}, r.above()); diff != "" {
				t.Errorf("while it is pending: %s", diff)
			}
			v, err := s.Hierarchy.Install(ctx, g, answer)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]pki.IssuerState{pki.IssuerNext, pki.IssuerActive}, states(v)); diff != "" {
				t.Error(diff)
			}
			published := [][]byte{issuing.Certificate, answer.Certificate, answer.NewWithOld, answer.OldWithNew, old.Certificate}
			if diff := cmp.Diff(published, r.above()); diff != "" {
				t.Errorf("while it is next: %s", diff)
			}
			r.signs(old.Certificate, answer.NewWithOld)
			r.signs(answer.Certificate, answer.OldWithNew)
			r.signs(old.Certificate, s.AddAuthority(t, "acme", "before").Issuers[0].Certificate)

			if v, err = s.Hierarchy.Switch(ctx, g, "root"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]pki.IssuerState{pki.IssuerActive, pki.IssuerEarlier}, states(v)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(published, r.above()); diff != "" {
				t.Errorf("after the switch: %s", diff)
			}
			r.signs(answer.Certificate, s.AddAuthority(t, "acme", "after").Issuers[0].Certificate)
			for _, i := range v.Issuers {
				request, err := s.Hierarchy.CRLRequest(ctx, g, "root", i.ID, 30)
				if err != nil {
					t.Fatal(err)
				}
				s.Sign(t, "acme", request)
			}
			if by := r.view("issuing").Active().Parent; by != old.ID {
				t.Errorf("the authority that was there has come under %s", by)
			}
			// The authority goes to the new root by a rollover of its own.
			next := r.next(hierarchy.Rollover{})
			r.signs(answer.Certificate, next.Issuers[0].Certificate)
			if kind != "" && v.KeyKind != kind {
				t.Errorf("the root has a key %s", v.KeyKind)
			}
			for store, want := range map[check.Store]int{s.Store: 0, unlinked{s.Store}: 3} {
				report, err := check.Run(ctx, check.Config{Store: store, Now: time.Now, Relint: &check.Relint{}})
				if err != nil {
					t.Fatal(err)
				}
				found := 0
				for _, f := range report.Findings {
					if f.Invariant == check.Linted || f.Invariant == check.Chain {
						found++
						t.Logf("%s: %s", f.Subject, f.Detail)
					}
				}
				if found != want {
					t.Errorf("pando check finds %d, not %d", found, want)
				}
			}
		})
	}
}

// unlinked has each root that follows another with the links exchanged.
type unlinked struct{ check.Store }

func (u unlinked) AllIssuers(ctx context.Context) ([]*pki.Issuer, error) {
	all, err := u.Store.AllIssuers(ctx)
	for _, i := range all {
		i.Links.NewWithOld, i.Links.OldWithNew = i.Links.OldWithNew, i.Links.NewWithOld
	}
	return all, err
}

// publishRoot publishes the profile of roots for another kind of key, too.
func (r *rolling) publishRoot(kind pki.KeyKind) {
	r.Helper()
	v, err := r.Store.Profile(r.Context(), pki.ProfileRef{Tenant: "acme", Name: "root"})
	if err != nil {
		r.Fatal(err)
	}
	source := bytes.Replace([]byte(v.Source), []byte("[p384]"), []byte("["+string(kind)+"]"), 1)
	if _, err := r.Hierarchy.PublishProfile(r.Context(), r.Permit(r, "acme", access.ManageProfiles), source); err != nil {
		r.Fatal(err)
	}
}

// TestRootRevoked: a link that is revoked revokes the root that it is for, for clients:
// neither it nor a link of it is told of any more, and it is not switched to.
func TestRootRevoked(t *testing.T) {
	r := newRolling(t)
	ctx, g := t.Context(), manage(t, r.Stack)
	old, issuing := r.view("root").Issuers[0], r.view("issuing").Issuers[0]
	answer := r.Follow(t, "acme", "")
	v, err := r.Hierarchy.Install(ctx, g, answer)
	if err != nil {
		t.Fatal(err)
	}
	first := v.Coming()
	revoke := func(by pki.IssuerID, der []byte) {
		t.Helper()
		if _, err := r.Revocation.Revoke(ctx, r.Permit(t, "acme", access.Revoke), by, r.serialOf(der), pki.CACompromise); err != nil {
			t.Fatal(err)
		}
	}
	revoke(old.ID, answer.NewWithOld)
	if diff := cmp.Diff([][]byte{issuing.Certificate, old.Certificate}, r.above()); diff != "" {
		t.Errorf("published: %s", diff)
	}
	if _, err := r.Hierarchy.Switch(ctx, g, "root"); pki.KindOf(err) != pki.Conflict {
		t.Errorf("switched to a revoked root: %v", err)
	}
	if _, err := r.Hierarchy.DropNext(ctx, g, "root"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Hierarchy.CRLRequest(ctx, g, "root", first.ID, 30); err != nil {
		t.Errorf("a CRL of what was dropped: %v", err)
	}

	again := r.Follow(t, "acme", "")
	if _, err := r.Hierarchy.Install(ctx, g, again); err != nil {
		t.Fatal(err)
	}
	if v, err = r.Hierarchy.Switch(ctx, g, "root"); err != nil {
		t.Fatal(err)
	}
	revoke(v.Active().ID, again.OldWithNew)
	if diff := cmp.Diff([][]byte{issuing.Certificate, again.Certificate}, r.above()); diff != "" {
		t.Errorf("published without the old root: %s", diff)
	}

	// The old root revokes the active one: that has its place, and nothing new below it.
	if _, err := r.Hierarchy.CreateAuthority(ctx, g, hierarchy.NewAuthority{Name: "waits", CommonName: "Waits", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL}); err != nil {
		t.Fatal(err)
	}
	revoke(old.ID, again.NewWithOld)
	if diff := cmp.Diff([][]byte{issuing.Certificate, again.Certificate}, r.above()); diff != "" {
		t.Errorf("published with a revoked active root: %s", diff)
	}
	if _, err := r.Hierarchy.CreateAuthority(ctx, g, hierarchy.NewAuthority{Name: "late", CommonName: "Late", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL}); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("an authority under a revoked root: %v", err)
	}
	if _, err := r.Hierarchy.Request(ctx, g, "waits"); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("a request to a revoked root: %v", err)
	}
	if _, err := r.Hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("a next issuer under a revoked root: %v", err)
	}
}

func TestRollRootRefuses(t *testing.T) {
	clock := pandotest.NewClock(time.Now())
	s := stack.New(t, stack.Config{Now: clock.Now})
	s.AddTenant(t, "acme")
	s.AddTenant(t, "globex")
	ctx, g, theirs := t.Context(), manage(t, s), s.Permit(t, "globex", access.ManageAuthorities)
	root, err := s.Hierarchy.Authority(ctx, s.Permit(t, "acme", access.ReadConfiguration), "root")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, authority string
		permit          access.Permit
		r               hierarchy.Rollover
		want            pki.Kind
	}{
		{"another name", "root", g, hierarchy.Rollover{CommonName: "Test Root G2"}, pki.PolicyRefused},
		{"a kind of key", "root", g, hierarchy.Rollover{KeyKind: pki.P521}, pki.BadKey},
		{"another tenant's", string(root.ID), theirs, hierarchy.Rollover{}, pki.NotFound},
		{"a permit to read", "root", s.Permit(t, "acme", access.ReadConfiguration), hierarchy.Rollover{}, pki.Forbidden},
	} {
		if _, err := s.Hierarchy.Rollover(ctx, c.permit, c.authority, c.r); pki.KindOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	answer, other := s.Follow(t, "acme", ""), s.Follow(t, "globex", "")
	changed := func(change func(r *ceremony.Response)) *ceremony.Response {
		r := *answer
		change(&r)
		return &r
	}
	for name, r := range map[string]*ceremony.Response{
		"another tenant's root": changed(func(r *ceremony.Response) {
			r.Certificate, r.NewWithOld, r.OldWithNew = other.Certificate, other.NewWithOld, other.OldWithNew
		}),
		"another root's NewWithOld":   changed(func(r *ceremony.Response) { r.NewWithOld = other.NewWithOld }),
		"another root's OldWithNew":   changed(func(r *ceremony.Response) { r.OldWithNew = other.OldWithNew }),
		"the links exchanged":         changed(func(r *ceremony.Response) { r.NewWithOld, r.OldWithNew = r.OldWithNew, r.NewWithOld }),
		"the old root once more":      changed(func(r *ceremony.Response) { r.Certificate = root.Issuers[0].Certificate }),
		"as an authority's, unlinked": {Kind: ceremony.KindCertificate, Issuer: answer.Issuer, Certificate: answer.Certificate, ProfileVersion: 1},
	} {
		if _, err := s.Hierarchy.Install(ctx, g, r); pki.KindOf(err) != pki.PolicyRefused && pki.KindOf(err) != pki.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Hierarchy.Install(ctx, theirs, answer); pki.KindOf(err) != pki.NotFound {
		t.Errorf("by another tenant: %v", err)
	}
	if _, err := s.Hierarchy.CRLRequest(ctx, theirs, string(root.ID), root.Issuers[0].ID, 30); pki.KindOf(err) != pki.NotFound {
		t.Errorf("another tenant's CRL: %v", err)
	}
	if _, err := s.Hierarchy.CRLRequest(ctx, g, "root", answer.Issuer, 30); pki.KindOf(err) != pki.NotReady {
		t.Errorf("the CRL of a pending root: %v", err)
	}
	if _, err := s.Hierarchy.CRLRequest(ctx, g, "root", other.Issuer, 30); pki.KindOf(err) != pki.NotFound {
		t.Errorf("the CRL of no issuer of the root: %v", err)
	}

	// The old root ends while its follower is made.
	end := root.Issuers[0].NotAfter
	clock.Advance(end.Add(time.Second).Sub(clock.Now()))
	if _, err := s.Hierarchy.Request(ctx, g, "root"); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("a request after the root's end: %v", err)
	}
	if _, err := s.Hierarchy.Install(ctx, g, answer); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("installed after the root's end: %v", err)
	}
	if _, err := s.Hierarchy.DropNext(ctx, g, "root"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hierarchy.Rollover(ctx, g, "root", hierarchy.Rollover{}); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("rolled over after its end: %v", err)
	}
	clock.Advance(-time.Hour)
	if err := s.Hierarchy.Retire(ctx, g, "root"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hierarchy.Rollover(ctx, g, "root", hierarchy.Rollover{}); pki.KindOf(err) != pki.Conflict {
		t.Errorf("rolled over after it was retired: %v", err)
	}
}

// TestRootPaths: crypto/x509, which counts links of one name against the path length as no
// standard asks it to (RFC 5280, 6.1.4), follows a link where the root has room for it.
func TestRootPaths(t *testing.T) {
	r := newRolling(t)
	answer := r.Follow(t, "acme", "")
	if _, err := r.Hierarchy.Install(t.Context(), manage(t, r.Stack), answer); err != nil {
		t.Fatal(err)
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: r.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	opts.Roots.AddCert(pandotest.Parse(t, answer.Certificate))
	opts.Intermediates.AddCert(pandotest.Parse(t, answer.OldWithNew))
	authority := pandotest.Parse(t, r.view("issuing").Issuers[0].Certificate)
	if _, err := authority.Verify(opts); err != nil {
		t.Errorf("the authority of the old root by the new one: %v", err)
	}
	device := r.enrol()
	opts.Intermediates.AddCert(authority)
	if _, err := device.Verify(opts); err == nil {
		t.Error("crypto/x509 counts as RFC 5280 does by now: docs/adr/0066 and docs/operator/rollover.md say that it does not")
	}
}
