package enrolauth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// TestWaits: what is asked for by a secret, alone or with a certificate, waits where the
// profile says so, and is proved again by both when it is done.
func TestWaits(t *testing.T) {
	h := newHouse(t)
	const document = `profile: guarded
approvals: {steps: [1 of security-officer]}
keys: {allow: [p256]}
validity: 1y
subject: [{type: serialNumber, from: device.id}]
keyIdentifiers: [subject, authority]
`
	_, err := h.Hierarchy.PublishProfile(t.Context(), h.Permit(t, "acme", access.ManageProfiles), []byte(document))
	h.ok("publishing", err)
	_, err = h.Enroll.CreateEndpoint(t.Context(), h.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Authority: "issuing", Profile: "guarded", Protocols: []pki.Protocol{pki.ProtocolEST}})
	h.ok("creating", err)
	makers := maker{pandotest.NewRoot(t, "Maker CA", time.Now().Add(-time.Hour))}
	h.trust(trust.NewAnchor{Name: "maker", Certificate: makers.Certificate.Raw, Role: access.Device, Scopes: endpoint("guarded")})
	officer, err := h.Appoint(t, "acme", "officer", access.SecurityOfficer).Authorize(access.DecideApprovals, "acme")
	h.ok("authorising", err)

	for _, test := range []struct {
		name          string
		certificate   bool
		once, revoked bool
		state         approval.State
	}{
		{"a secret", false, false, false, approval.Executed},
		{"a secret for one certificate", false, true, false, approval.Executed},
		{"a secret with a certificate", true, true, false, approval.Executed},
		{"a secret that was revoked meanwhile", false, false, true, approval.Failed},
		{"a secret with a certificate, that was revoked meanwhile", true, false, true, approval.Failed},
	} {
		made, text := h.secret(enrolauth.NewSecret{Endpoint: "guarded", Device: "SM-1", Once: test.once})
		p := enrolauth.Presented{Secret: text}
		if test.certificate {
			p.Certificates = makers.birth(t, "SM-1")
		}
		csr := meterCSR(t, "SM-1")
		_, err := h.ask("guarded", p, csr)
		w, waits := errors.AsType[*approval.Waiting](err)
		if !waits {
			t.Errorf("%s: it does not wait: %v", test.name, err)
			continue
		}
		if test.revoked {
			h.ok("revoking", h.Secrets.Revoke(t.Context(), h.Permit(t, "acme", access.ManageSecrets), made.ID))
		}
		if _, err := h.Approvals.Decide(t.Context(), officer, w.Change.ID, approval.Approve, w.Change.Hash, ""); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		c, err := h.Store.Change(t.Context(), "acme", w.Change.ID)
		if err != nil || c.State != test.state {
			t.Errorf("%s: it is %s (%s): %v", test.name, c.State, c.Outcome, err)
		}
		if test.revoked {
			continue
		}
		got, err := h.ask("guarded", p, csr)
		if err != nil || !got.Repeated {
			t.Errorf("%s: asked again: %+v, %v", test.name, got, err)
		}
		// As SCEP asks again, to whom the secret does not come twice.
		polled, err := h.ask("guarded", enrolauth.Presented{Asked: made.Principal(), Certificates: p.Certificates}, csr)
		if err != nil || polled.Certificate.Serial != got.Certificate.Serial {
			t.Errorf("%s: polled: %+v, %v", test.name, polled, err)
		}
		if test.once {
			_, err = h.ask("guarded", p, meterCSR(t, "SM-1"))
			h.is(test.name+" asks for a second", err, pki.Conflict)
		}
	}
}

// TestMakerDoesNotApprove: whoever made a secret does not approve what is asked for with
// it.
func TestMakerDoesNotApprove(t *testing.T) {
	h := newHouse(t, "meter")
	maker := h.Appoint(t, "acme", "maker", access.TenantAdministrator)
	g, err := maker.Authorize(access.ManageSecrets, "acme")
	h.ok("authorising", err)
	made, _, err := h.Secrets.Create(t.Context(), g, enrolauth.NewSecret{Endpoint: "meter"})
	h.ok("making", err)
	principals := &enrolauth.Principals{Tokens: h.Tokens, Secrets: h.Secrets}
	got, err := principals.Maker(t.Context(), "acme", made.Principal())
	if err != nil || got != maker.ID {
		t.Errorf("it was made by %q: %v", got, err)
	}
	for _, tenant := range []pki.TenantID{"acme", "globex"} {
		id := made.Principal()
		if tenant == "acme" {
			id = "secret:none"
		}
		if got, err := principals.Maker(t.Context(), tenant, id); err != nil || got != "" {
			t.Errorf("%s of %s was made by %q: %v", id, tenant, got, err)
		}
		_, err := principals.Principal(t.Context(), tenant, id)
		h.is(string(tenant), err, pki.Unauthenticated)
	}
}
