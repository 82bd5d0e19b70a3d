package hierarchy_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// A rolling is a stack whose authority "issuing" gets further issuers.
type rolling struct {
	*testing.T
	*stack.Stack
	devices int
}

func newRolling(t *testing.T) *rolling {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	return &rolling{T: t, Stack: s}
}

// enrol enrols a device, and checks that the certificate verifies by its chain.
func (r *rolling) enrol() *x509.Certificate {
	r.Helper()
	r.devices++
	got, err := r.Enroll.Enroll(r.Context(), enroll.Request{
		Grant: r.Permit(r, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(r, pandotest.Key(r, pki.P256), pkix.Name{SerialNumber: fmt.Sprintf("SM-%d", r.devices)})},
	})
	if err != nil {
		r.Fatal(err)
	}
	root := r.view("root").Active().Certificate
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: r.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	opts.Roots.AddCert(pandotest.Parse(r, root))
	for _, c := range got.Chain {
		opts.Intermediates.AddCert(pandotest.Parse(r, c))
	}
	c := pandotest.Parse(r, got.Certificate.DER)
	if _, err := c.Verify(opts); err != nil {
		r.Error(err)
	}
	return c
}

func (r *rolling) view(name string) *hierarchy.View {
	r.Helper()
	v, err := r.Hierarchy.Authority(r.Context(), r.Permit(r, "acme", access.ReadConfiguration), name)
	if err != nil {
		r.Fatal(err)
	}
	return v
}

// next makes the next issuer of the authority "issuing", with its certificate.
func (r *rolling) next(o hierarchy.Rollover) *hierarchy.View {
	r.Helper()
	if _, err := r.Hierarchy.Rollover(r.Context(), manage(r.T, r.Stack), "issuing", o); err != nil {
		r.Fatal(err)
	}
	request, err := r.Hierarchy.Request(r.Context(), manage(r.T, r.Stack), "issuing")
	if err != nil {
		r.Fatal(err)
	}
	return r.Sign(r, "acme", request)
}

func states(v *hierarchy.View) (states []pki.IssuerState) {
	for _, i := range v.Issuers {
		states = append(states, i.State)
	}
	return states
}

// TestRollover: a next issuer is published and signs nothing for others; from the switch
// on it signs, and both chains verify.
func TestRollover(t *testing.T) {
	r := newRolling(t)
	ctx, g := t.Context(), manage(t, r.Stack)
	old := r.enrol()

	waits, err := r.Hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]pki.IssuerState{pki.IssuerPending, pki.IssuerActive}, states(waits)); diff != "" {
		t.Error(diff)
	}
	if _, err := r.Hierarchy.Switch(ctx, g, "issuing"); pki.KindOf(err) != pki.NotReady {
		t.Errorf("switched to a pending issuer: %v", err)
	}
	if _, err := r.Hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a second next issuer: %v", err)
	}
	request, err := r.Hierarchy.Request(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	v := r.Sign(t, "acme", request)
	if diff := cmp.Diff([]pki.IssuerState{pki.IssuerNext, pki.IssuerActive}, states(v)); diff != "" {
		t.Error(diff)
	}
	next := pandotest.Parse(t, v.Issuers[0].Certificate)
	if next.Subject.CommonName != "Test issuing G2" {
		t.Errorf("the next issuer is called %q", next.Subject.CommonName)
	}
	if c := r.enrol(); c.Issuer.String() != old.Issuer.String() {
		t.Errorf("%s signs before the switch", c.Issuer)
	}
	above, err := r.Hierarchy.Above(ctx, "acme", v.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{v.Issuers[0].Certificate, v.Issuers[1].Certificate, r.view("root").Issuers[0].Certificate}
	if diff := cmp.Diff(want, above); diff != "" {
		t.Errorf("published: %s", diff)
	}

	v, err = r.Hierarchy.Switch(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]pki.IssuerState{pki.IssuerActive, pki.IssuerEarlier}, states(v)); diff != "" {
		t.Error(diff)
	}
	if v.CommonName != "Test issuing G2" {
		t.Errorf("the authority is called %q", v.CommonName)
	}
	if c := r.enrol(); c.Issuer.String() != next.Subject.String() || string(c.AuthorityKeyId) != string(next.SubjectKeyId) {
		t.Errorf("after the switch %s signs", c.Issuer)
	}
	if _, err := r.Hierarchy.Switch(ctx, g, "issuing"); pki.KindOf(err) != pki.Conflict {
		t.Errorf("switched to nothing: %v", err)
	}
	// What is below the old one stands, and it is found under its issuer.
	serial, err := pki.SerialFromBytes(old.SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Revocation.Revoke(ctx, r.Permit(t, "acme", access.Revoke), v.Issuers[1].ID, serial, pki.Superseded); err != nil {
		t.Error(err)
	}
	if third := r.next(hierarchy.Rollover{CommonName: "Test issuing"}); third.Issuers[0].State != pki.IssuerNext {
		t.Errorf("the third issuer is %s", third.Issuers[0].State)
	}
}

// TestSameName: an issuer of the same name as the one before has another key, and what
// it signs is told from what that signed by the key's identifier.
func TestSameName(t *testing.T) {
	r := newRolling(t)
	old := r.enrol()
	r.next(hierarchy.Rollover{CommonName: "Test issuing"})
	if _, err := r.Hierarchy.Switch(t.Context(), manage(t, r.Stack), "issuing"); err != nil {
		t.Fatal(err)
	}
	if c := r.enrol(); c.Issuer.String() != old.Issuer.String() || string(c.AuthorityKeyId) == string(old.AuthorityKeyId) {
		t.Errorf("issuer %s, key %x", c.Issuer, c.AuthorityKeyId)
	}
}

// TestDropNext: what was never switched to can be dropped, pending or with a certificate;
// it is published no more, and a late certificate finds no place.
func TestDropNext(t *testing.T) {
	r := newRolling(t)
	ctx, g := t.Context(), manage(t, r.Stack)
	if _, err := r.Hierarchy.DropNext(ctx, g, "issuing"); pki.KindOf(err) != pki.Conflict {
		t.Errorf("dropped nothing: %v", err)
	}
	if _, err := r.Hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); err != nil {
		t.Fatal(err)
	}
	request, err := r.Hierarchy.Request(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Hierarchy.DropNext(ctx, g, "issuing"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Hierarchy.Request(ctx, g, "issuing"); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a request for what was dropped: %v", err)
	}
	answer := r.Answer(t, "acme", request)
	if _, err := r.Hierarchy.Install(ctx, g, answer); pki.KindOf(err) != pki.Conflict {
		t.Errorf("installed what was dropped: %v", err)
	}
	r.next(hierarchy.Rollover{})
	v, err := r.Hierarchy.DropNext(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]pki.IssuerState{pki.IssuerDropped, pki.IssuerDropped, pki.IssuerActive}, states(v)); diff != "" {
		t.Error(diff)
	}
	above, err := r.Hierarchy.Above(ctx, "acme", v.ID)
	if err != nil || len(above) != 2 {
		t.Errorf("%d certificates are published: %v", len(above), err)
	}
	r.enrol()
}

// TestRolloverOnline: below an online parent the next issuer has its certificate at once,
// by the parent's active issuer; one whose certificate was revoked is not switched to.
func TestRolloverOnline(t *testing.T) {
	r := newRolling(t)
	ctx, g := t.Context(), manage(t, r.Stack)
	addMiddle(t, r.Stack, g)
	if _, err := r.Hierarchy.CreateAuthority(ctx, g, hierarchy.NewAuthority{Name: "below", CommonName: "Below", Kind: pki.Issuing, Parent: "middle", StatusURL: stack.StatusURL}); err != nil {
		t.Fatal(err)
	}
	v, err := r.Hierarchy.Rollover(ctx, g, "below", hierarchy.Rollover{})
	if err != nil {
		t.Fatal(err)
	}
	middle := r.view("middle").Issuers[0]
	next := v.Issuers[0]
	if next.State != pki.IssuerNext || next.Parent != middle.ID {
		t.Errorf("the next issuer is %s, below %s", next.State, next.Parent)
	}
	certificate := pandotest.Parse(t, next.Certificate)
	if err := certificate.CheckSignatureFrom(pandotest.Parse(t, middle.Certificate)); err != nil {
		t.Error(err)
	}
	serial, err := pki.SerialFromBytes(certificate.SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Revocation.Revoke(ctx, r.Permit(t, "acme", access.Revoke), middle.ID, serial, pki.CACompromise); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Hierarchy.Switch(ctx, g, "below"); pki.KindOf(err) != pki.Conflict {
		t.Errorf("switched to an issuer whose certificate is revoked: %v", err)
	}
}

// A falteringRA issues the certificates of authorities, and answers what the test says.
type falteringRA struct {
	hierarchy.RA
	before, after error
	issued        [][]byte
}

func (f *falteringRA) Subordinate(ctx context.Context, g access.Permit, parent pki.AuthorityID, profile pki.ProfileRef, commonName string, csr []byte, issuer pki.IssuerID) (*pki.Enrollment, error) {
	if f.before != nil {
		return nil, f.before
	}
	got, err := f.RA.Subordinate(ctx, g, parent, profile, commonName, csr, issuer)
	if err == nil {
		f.issued = append(f.issued, got.Certificate.DER)
		err = f.after
	}
	return got, err
}

// TestRolloverCutOff: a rollover below an online parent that was cut off before its
// certificate was issued, or after, goes on where it is asked for again, with the key and the
// certificate that it has; one that was refused leaves nothing in the way.
func TestRolloverCutOff(t *testing.T) {
	r := newRolling(t)
	ctx, g := t.Context(), manage(t, r.Stack)
	addMiddle(t, r.Stack, g)
	if _, err := r.Hierarchy.CreateAuthority(ctx, g, hierarchy.NewAuthority{Name: "below", CommonName: "Below", Kind: pki.Issuing, Parent: "middle", StatusURL: stack.StatusURL}); err != nil {
		t.Fatal(err)
	}
	ra := &falteringRA{RA: r.Enroll}
	faltering := hierarchy.New(hierarchy.Config{Store: r.Store, Revocations: r.Store, CRLs: r.Revocation, Keys: r.Signer, RA: ra, CA: r.Issuance, Gate: r.Approvals, Now: r.Now})
	want := func(when string, err error, kind pki.Kind, now ...pki.IssuerState) {
		t.Helper()
		if pki.KindOf(err) != kind {
			t.Errorf("%s: %v", when, err)
		}
		if diff := cmp.Diff(now, states(r.view("below"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	lost := pki.Errorf(pki.Unavailable, "lost")
	roll := func(o hierarchy.Rollover) error { _, err := faltering.Rollover(ctx, g, "below", o); return err }
	ra.before = lost
	want("before it was issued", roll(hierarchy.Rollover{CommonName: "Other"}), pki.Unavailable, pki.IssuerPending, pki.IssuerActive)
	begun := r.view("below").Issuers[0]
	ra.before, ra.after = nil, lost
	want("after it was issued", roll(hierarchy.Rollover{}), pki.Unavailable, pki.IssuerPending, pki.IssuerActive)
	want("as another", roll(hierarchy.Rollover{CommonName: "Third"}), pki.Conflict, pki.IssuerPending, pki.IssuerActive)
	_, err := r.Hierarchy.Switch(ctx, g, "below")
	want("switched", err, pki.NotReady, pki.IssuerPending, pki.IssuerActive)
	_, err = r.Hierarchy.Request(ctx, g, "below")
	want("carried to a ceremony", err, pki.NotReady, pki.IssuerPending, pki.IssuerActive)
	ra.after = nil
	if err := roll(hierarchy.Rollover{CommonName: "Other"}); err != nil {
		t.Fatal(err)
	}
	next := r.view("below").Issuers[0]
	if next.ID != begun.ID || next.Key != begun.Key || next.State != pki.IssuerNext || !bytes.Equal(next.Certificate, ra.issued[0]) || !bytes.Equal(ra.issued[0], ra.issued[1]) {
		t.Errorf("issuer %s, which is %s, has not the key and the certificate that were made for %s", next.ID, next.State, begun.ID)
	}
	if name := pandotest.Parse(t, next.Certificate).Subject.CommonName; name != "Other" {
		t.Errorf("it is called %q", name)
	}
	if _, err := r.Hierarchy.Switch(ctx, g, "below"); err != nil {
		t.Fatal(err)
	}
	ra.before = pki.Errorf(pki.PolicyRefused, "no")
	want("refused", roll(hierarchy.Rollover{}), pki.PolicyRefused, pki.IssuerDropped, pki.IssuerActive, pki.IssuerEarlier)
	ra.before = nil
	if err := roll(hierarchy.Rollover{}); err != nil {
		t.Error(err)
	}
}

func TestRolloverRefuses(t *testing.T) {
	r := newRolling(t)
	r.AddTenant(t, "globex")
	ctx, g, theirs := t.Context(), manage(t, r.Stack), r.Permit(t, "globex", access.ManageAuthorities)
	if _, err := r.Hierarchy.CreateAuthority(ctx, g, hierarchy.NewAuthority{Name: "waits", CommonName: "Waits", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, authority string
		permit          access.Permit
		r               hierarchy.Rollover
		want            pki.Kind
	}{
		{"a pending authority", "waits", g, hierarchy.Rollover{}, pki.Conflict},
		{"no authority", "nothing", g, hierarchy.Rollover{}, pki.NotFound},
		{"another tenant's", string(r.view("issuing").ID), theirs, hierarchy.Rollover{}, pki.NotFound},
		{"a kind of key", "issuing", g, hierarchy.Rollover{KeyKind: "rot13"}, pki.BadKey},
		{"a name", "issuing", g, hierarchy.Rollover{CommonName: " x"}, pki.Malformed},
		{"a permit to read", "issuing", r.Permit(t, "acme", access.ReadConfiguration), hierarchy.Rollover{}, pki.Forbidden},
	} {
		if _, err := r.Hierarchy.Rollover(ctx, c.permit, c.authority, c.r); pki.KindOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	r.next(hierarchy.Rollover{})
	for name, permit := range map[string]access.Permit{"read": r.Permit(t, "acme", access.ReadConfiguration), "another tenant": theirs} {
		id := string(r.view("issuing").ID)
		if _, err := r.Hierarchy.Switch(ctx, permit, id); err == nil {
			t.Errorf("%s: switched", name)
		}
		if _, err := r.Hierarchy.DropNext(ctx, permit, id); err == nil {
			t.Errorf("%s: dropped", name)
		}
	}
}

// TestTrustAcrossRevocation: trust in an authority does not reach to an issuer of it that
// is revoked, though what that signed is not.
func TestTrustAcrossRevocation(t *testing.T) {
	r := newRolling(t)
	ctx := t.Context()
	old := r.enrol()
	r.next(hierarchy.Rollover{})
	v, err := r.Hierarchy.Switch(ctx, manage(t, r.Stack), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Trust.Add(ctx, r.Permit(t, "acme", access.ManageTrust), trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}}); err != nil {
		t.Fatal(err)
	}
	again := trust.NewAnchor{Name: "again", Authority: "issuing", Role: access.Auditor}
	for range 2 {
		if _, err := r.Trust.Add(ctx, r.Permit(t, "acme", access.ManageTrust), again); pki.KindOf(err) != pki.Conflict {
			t.Errorf("trusted a second time: %v", err)
		}
		again.Authority, again.Certificate = "", v.Issuers[0].Certificate
	}
	if _, err := r.Trust.Authenticate(ctx, []*x509.Certificate{old}, "acme"); err != nil {
		t.Errorf("one of the issuer before: %v", err)
	}
	serial, err := pki.SerialFromBytes(pandotest.Parse(t, v.Issuers[1].Certificate).SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Revocation.Revoke(ctx, r.Permit(t, "acme", access.Revoke), v.Issuers[1].Parent, serial, pki.CACompromise); err != nil {
		t.Fatal(err)
	}
	r.Trust.Forget()
	if who, err := r.Trust.Authenticate(ctx, []*x509.Certificate{old}, "acme"); pki.KindOf(err) != pki.Unauthenticated {
		t.Errorf("one of an issuer that is revoked proves %s, %v", who.ID, err)
	}
	if _, err := r.Trust.Authenticate(ctx, []*x509.Certificate{r.enrol()}, "acme"); err != nil {
		t.Errorf("one of the issuer after: %v", err)
	}
}
