package enroll_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

const day = 24 * time.Hour

// weekly is a profile whose certificates last for a week and are asked for again with their
// own key, which a device that sends the same octets does.
const weekly = `profile: weekly
keys: {allow: [p256], renew: {key: same-key}}
validity: 7d
subject: [{type: serialNumber, from: device.id}]
extendedKeyUsage: {use: [clientAuth]}
keyIdentifiers: [subject, authority]
`

// publishes binds a profile at an endpoint of its name that takes every protocol of
// single requests.
func (h *house) publishes(name, document string) {
	h.t.Helper()
	if _, err := h.Hierarchy.PublishProfile(h.t.Context(), h.grant(access.ManageProfiles), []byte(document)); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.Enroll.CreateEndpoint(h.t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: name, Authority: "issuing", Profile: name,
		Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolEST, pki.ProtocolSCEP, pki.ProtocolSCEPLegacy}}); err != nil {
		h.t.Fatal(err)
	}
}

// TestRepeatAfterTheEnd: what a device sends again gets the certificate that it led to until
// that ends, and then one that is new, once for all who repeat it; a key that a client chose,
// and a secret that is good for one certificate, lead to that one for ever.
func TestRepeatAfterTheEnd(t *testing.T) {
	for what, test := range map[string]struct {
		protocol pki.Protocol
		once     string
		anew     bool
	}{
		"EST":                      {pki.ProtocolEST, "", true},
		"SCEP":                     {pki.ProtocolSCEP, "", true},
		"legacy SCEP":              {pki.ProtocolSCEPLegacy, "", true},
		"REST":                     {pki.ProtocolREST, "", false},
		"a secret for one, by EST": {pki.ProtocolEST, "secret\none", false},
	} {
		t.Run(what, func(t *testing.T) {
			clock := pandotest.NewClock(pandotest.Now())
			h := newHouseAt(t, clock.Now)
			h.publishes("weekly", weekly)
			who := access.Principal{Tenant: "acme", ID: "secret:test", Grants: access.Given(access.TenantAdministrator), Once: test.once}
			g, err := who.Authorize(access.Enroll, "acme")
			if err != nil {
				t.Fatal(err)
			}
			r := enroll.Request{Grant: g, Endpoint: "weekly", Protocol: test.protocol, Idempotency: "k", Subject: enroll.Subject{CSR: meterCSR(t, "SM-1")}}
			got, _ := h.get(r)
			for round := range 3 {
				clock.Advance(6 * day)
				if again, _ := h.get(r); !again.Repeated || again.Certificate.Serial != got.Certificate.Serial {
					t.Fatalf("round %d, on the sixth day: %+v", round, again.Certificate)
				}
				clock.Advance(2 * day)
				if known, err := h.Enroll.Issued(t.Context(), g, test.protocol, "", "k"); pki.KindOf(err) != pki.NotFound {
					t.Errorf("round %d, after the end it led to %+v, %v", round, known, err)
				}
				both, errs := make([]*pki.Enrollment, 2), make([]error, 2)
				var wg sync.WaitGroup
				for i := range both {
					wg.Go(func() { both[i], errs[i] = h.Enroll.Enroll(t.Context(), r) })
				}
				wg.Wait()
				if err := errors.Join(errs...); err != nil {
					t.Fatalf("round %d, after the end: %v", round, err)
				}
				next := both[0].Certificate
				if both[1].Certificate.Serial != next.Serial || test.anew == (next.Serial == got.Certificate.Serial) || test.anew != next.NotAfter.After(clock.Now()) {
					t.Fatalf("round %d, after the end: %s and %s, until %s", round, next.Serial, both[1].Certificate.Serial, next.NotAfter)
				}
				if !test.anew {
					return
				}
				if known, err := h.Enroll.Issued(t.Context(), g, test.protocol, "", "k"); err != nil || known.Serial != next.Serial {
					t.Errorf("round %d, it led to %+v, %v", round, known, err)
				}
				got = both[0]
			}
		})
	}
}

// TestRepeatOfRevoked: what led to a certificate that was revoked is refused, also after the
// end of that; one that is on hold is the answer again when it is released.
func TestRepeatOfRevoked(t *testing.T) {
	clock := pandotest.NewClock(pandotest.Now())
	h := newHouseAt(t, clock.Now)
	h.publishes("weekly", weekly)
	r := h.request("weekly", meterCSR(t, "SM-1"))
	r.Protocol, r.Idempotency = pki.ProtocolSCEP, "k"
	h.get(r)
	clock.Advance(8 * day)
	got, _ := h.get(r) // a second, so that the key of that is looked at too
	revoke := func(reason pki.Reason) {
		t.Helper()
		if _, err := h.Revocation.Revoke(t.Context(), h.grant(access.Revoke), got.Certificate.Issuer, got.Certificate.Serial, reason); err != nil {
			t.Fatal(err)
		}
	}
	isRefused := func() {
		t.Helper()
		_, err := h.Enroll.Enroll(t.Context(), r)
		refused(t, err, pki.PolicyRefused)
		if !strings.Contains(pki.DetailOf(err), "revoked") {
			t.Error(err)
		}
		if known, err := h.Enroll.Issued(t.Context(), r.Grant, r.Protocol, "", "k"); err != nil || known.Serial != got.Certificate.Serial {
			t.Errorf("it led to %+v, %v", known, err)
		}
	}
	revoke(pki.CertificateHold)
	isRefused()
	if _, err := h.Revocation.Release(t.Context(), h.grant(access.Revoke), got.Certificate.Issuer, got.Certificate.Serial); err != nil {
		t.Fatal(err)
	}
	if again, _ := h.get(r); again.Certificate.Serial != got.Certificate.Serial {
		t.Errorf("after the release: %+v", again.Certificate)
	}
	revoke(pki.Superseded)
	isRefused()
	clock.Advance(8 * day)
	isRefused()
}

// TestRepeatOfApproved: a change whose certificate has ended is no answer, and neither is
// one whose certificate is revoked, also when the idempotency key is forgotten, which a
// change never is: the same request waits for approval anew.
func TestRepeatOfApproved(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		clock := pandotest.NewClock(pandotest.Now())
		b := boardOf(newHouseAt(t, clock.Now, "meter"))
		b.publishes("asked", strings.Replace(weekly, "profile: weekly\n", "profile: asked\napprovals: {steps: [1 of ra-operator, 1 of security-officer]}\n", 1))
		r := b.by("asks", meterCSR(t, "SM-1"))
		r.Endpoint, r.Protocol, r.Idempotency = "asked", pki.ProtocolEST, "k"
		forget := func() {
			if forgotten {
				_, err := b.Store.PurgeIdempotency(t.Context(), clock.Now().Add(time.Second), 100)
				b.ok(err)
			}
		}
		var last approval.Certificate
		var before pki.ChangeID
		for range 3 {
			c := b.waits(r)
			if c.ID == before || b.waits(r).ID != c.ID {
				t.Fatalf("forgotten %v: change %s after %s", forgotten, c.ID, before)
			}
			before, last = c.ID, b.approve(c, approval.Executed).Certificates[0]
			clock.Advance(6 * day)
			forget()
			if got, _ := b.get(r); got.Certificate.Serial != last.Serial {
				t.Errorf("forgotten %v: on the sixth day another certificate", forgotten)
			}
			clock.Advance(2 * day)
		}
		last = b.approve(b.waits(r), approval.Executed).Certificates[0]
		_, err := b.Revocation.Revoke(t.Context(), b.grant(access.Revoke), last.Issuer, last.Serial, pki.Superseded)
		b.ok(err)
		clock.Advance(day)
		forget()
		b.says(r, pki.PolicyRefused, "is revoked")
		if n := b.certificates("SM-1"); n != 4 {
			t.Errorf("forgotten %v: %d certificates", forgotten, n)
		}
	}
}
