package hierarchy_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
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

func (f *falteringRA) Subordinate(ctx context.Context, g access.Permit, parent pki.AuthorityID, profile pki.ProfileRef, commonName string, issuer *pki.Issuer) (*pki.Certificate, error) {
	if f.before != nil {
		return nil, f.before
	}
	got, err := f.RA.Subordinate(ctx, g, parent, profile, commonName, issuer)
	if err == nil {
		f.issued = append(f.issued, got.DER)
		err = f.after
	}
	return got, err
}

// A closing is a gate that lets nothing pass once it is closed.
type closing struct {
	hierarchy.Gate
	closed bool
}

func (c *closing) Pass(ctx context.Context, g access.Permit, r approval.Request) error {
	if c.closed {
		return pki.Errorf(pki.Forbidden, "%s waits for approval", r.Kind)
	}
	return c.Gate.Pass(ctx, g, r)
}

// A faltering is a stack whose rollovers are cut off, with an authority "below" an online one.
type faltering struct {
	*rolling
	ra        *falteringRA
	gate      *closing
	hierarchy *hierarchy.Service
}

func newFaltering(t *testing.T) *faltering {
	r := newRolling(t)
	g := manage(t, r.Stack)
	addMiddle(t, r.Stack, g)
	if _, err := r.Hierarchy.CreateAuthority(t.Context(), g, hierarchy.NewAuthority{Name: "below", CommonName: "Below", Kind: pki.Issuing, Parent: "middle", StatusURL: stack.StatusURL}); err != nil {
		t.Fatal(err)
	}
	ra, gate := &falteringRA{RA: r.Enroll}, &closing{Gate: r.Approvals}
	return &faltering{r, ra, gate, hierarchy.New(hierarchy.Config{Store: r.Store, Revocations: r.Store, CRLs: r.Revocation, Keys: r.Signer, RA: ra, CA: r.Issuance, Gate: gate, Now: r.Now})}
}

// roll asks for a rollover, and sees which kind of error it ends with and which issuers there are.
func (f *faltering) roll(when string, o hierarchy.Rollover, kind pki.Kind, now ...pki.IssuerState) {
	f.Helper()
	_, err := f.hierarchy.Rollover(f.Context(), manage(f.T, f.Stack), "below", o)
	f.is(when, err, kind, now...)
}

func (f *faltering) is(when string, err error, kind pki.Kind, now ...pki.IssuerState) {
	f.Helper()
	if err == nil || pki.KindOf(err) != kind {
		f.Errorf("%s: %v", when, err)
	}
	if diff := cmp.Diff(now, states(f.view("below"))); diff != "" {
		f.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// goOn ends a rollover that was cut off, and returns the issuer.
func (f *faltering) goOn(o hierarchy.Rollover) *pki.Issuer {
	f.Helper()
	begun := f.view("below").Issuers[0]
	if _, err := f.hierarchy.Rollover(f.Context(), manage(f.T, f.Stack), "below", o); err != nil {
		f.Fatal(err)
	}
	next := f.view("below").Issuers[0]
	if next.ID != begun.ID || next.Key != begun.Key || next.State != pki.IssuerNext {
		f.Errorf("issuer %s is %s, with the key %s: begun was %s with %s", next.ID, next.State, next.Key, begun.ID, begun.Key)
	}
	if len(f.ra.issued) != 1 || !bytes.Equal(next.Certificate, f.ra.issued[0]) {
		f.Errorf("%d certificates were issued, or it has another", len(f.ra.issued))
	}
	return next
}

// publish publishes the profile of "below" with a change.
func (f *faltering) publish(from, to string) {
	f.Helper()
	v, err := f.Store.Profile(f.Context(), pki.ProfileRef{Tenant: "acme", Name: "issuing-ca"})
	if err != nil {
		f.Fatal(err)
	}
	changed := strings.Replace(v.Source, from, to, 1)
	if changed == v.Source {
		f.Fatalf("no %q in the profile:\n%s", from, v.Source)
	}
	if _, err := f.Hierarchy.PublishProfile(f.Context(), f.Permit(f, "acme", access.ManageProfiles), []byte(changed)); err != nil {
		f.Fatal(err)
	}
}

var lost = pki.Errorf(pki.Unavailable, "lost")

// TestRolloverCutOff: a rollover below an online parent that was cut off before its
// certificate was issued, or after, goes on where it is asked for again, with the key and the
// certificate that it has; one that was refused leaves nothing in the way.
func TestRolloverCutOff(t *testing.T) {
	f := newFaltering(t)
	ctx, g := t.Context(), manage(t, f.Stack)
	f.ra.before = lost
	f.roll("before it was issued", hierarchy.Rollover{CommonName: "Other"}, pki.Unavailable, pki.IssuerPending, pki.IssuerActive)
	f.ra.before = pki.Errorf(pki.PolicyRefused, "no")
	f.roll("refused later", hierarchy.Rollover{}, pki.PolicyRefused, pki.IssuerPending, pki.IssuerActive)
	f.ra.before, f.ra.after = nil, lost
	f.roll("after it was issued", hierarchy.Rollover{}, pki.Unavailable, pki.IssuerPending, pki.IssuerActive)
	f.roll("as another", hierarchy.Rollover{CommonName: "Third"}, pki.Conflict, pki.IssuerPending, pki.IssuerActive)
	_, err := f.Hierarchy.Switch(ctx, g, "below")
	f.is("switched", err, pki.NotReady, pki.IssuerPending, pki.IssuerActive)
	_, err = f.Hierarchy.Request(ctx, g, "below")
	f.is("carried to a ceremony", err, pki.NotReady, pki.IssuerPending, pki.IssuerActive)
	f.ra.after = nil
	next := f.goOn(hierarchy.Rollover{CommonName: "Other"})
	if name := pandotest.Parse(t, next.Certificate).Subject.CommonName; name != "Other" {
		t.Errorf("it is called %q", name)
	}
	if _, err := f.Hierarchy.Switch(ctx, g, "below"); err != nil {
		t.Fatal(err)
	}
	f.ra.before = pki.Errorf(pki.PolicyRefused, "no")
	f.roll("refused at once", hierarchy.Rollover{}, pki.PolicyRefused, pki.IssuerDropped, pki.IssuerActive, pki.IssuerEarlier)
	f.ra.before = nil
	if _, err := f.hierarchy.Rollover(ctx, g, "below", hierarchy.Rollover{}); err != nil {
		t.Error(err)
	}
}

// TestRolloverGoesOnMuchLater: the certificate that was issued is found when idempotency keys
// of its time are forgotten, the profile would refuse it by now, and the authority above is
// retired. It was approved, and needs that once.
func TestRolloverGoesOnMuchLater(t *testing.T) {
	f := newFaltering(t)
	ctx, g := t.Context(), manage(t, f.Stack)
	f.ra.after = lost
	f.roll("after it was issued", hierarchy.Rollover{}, pki.Unavailable, pki.IssuerPending, pki.IssuerActive)
	if _, err := f.Store.PurgeIdempotency(ctx, f.Now().AddDate(0, 0, 40), 1000); err != nil {
		t.Fatal(err)
	}
	f.publish("keys: {allow: [p256]}", "keys: {allow: [p384]}")
	if err := f.Hierarchy.Retire(ctx, g, "middle"); err != nil {
		t.Fatal(err)
	}
	f.gate.closed = true
	f.goOn(hierarchy.Rollover{})
}

// TestRolloverGoesOnAsApproved: a certificate that was not issued yet is made by the version
// of the profile with which the rollover was begun.
func TestRolloverGoesOnAsApproved(t *testing.T) {
	f := newFaltering(t)
	f.ra.before = lost
	f.roll("before it was issued", hierarchy.Rollover{}, pki.Unavailable, pki.IssuerPending, pki.IssuerActive)
	f.publish("validity: 15y", "validity: 3y")
	f.ra.before = nil
	c := pandotest.Parse(t, f.goOn(hierarchy.Rollover{}).Certificate)
	if years := c.NotAfter.Sub(c.NotBefore).Hours() / 24 / 365; years < 10 {
		t.Errorf("it is valid for %.1f years", years)
	}
}

// TestDropCutOff: what was issued for an issuer that is dropped is stored with it.
func TestDropCutOff(t *testing.T) {
	f := newFaltering(t)
	ctx, g := t.Context(), manage(t, f.Stack)
	for name, issued := range map[string]bool{"issued": true, "not issued": false} {
		f.ra.before, f.ra.after, f.ra.issued = nil, lost, nil
		if !issued {
			f.ra.before = lost
		}
		if _, err := f.hierarchy.Rollover(ctx, g, "below", hierarchy.Rollover{}); pki.KindOf(err) != pki.Unavailable {
			t.Fatal(err)
		}
		v, err := f.Hierarchy.DropNext(ctx, g, "below")
		if err != nil {
			t.Fatal(err)
		}
		dropped := v.Issuers[0]
		if dropped.State != pki.IssuerDropped || issued != (len(dropped.Certificate) > 0) || issued && !bytes.Equal(dropped.Certificate, f.ra.issued[0]) {
			t.Errorf("%s: the issuer is %s, with a certificate of %d octets", name, dropped.State, len(dropped.Certificate))
		}
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
