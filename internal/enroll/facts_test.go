package enroll_test

import (
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestFacts: a profile sees who asks, where, by which way and for which place.
func TestFacts(t *testing.T) {
	h := newHouse(t, "meter")
	const profile = `profile: facts
keys: {allow: [p256]}
validity: 30d
keyIdentifiers: [authority]
rules:
  - {require: "lot.name.startsWith('LOT-')", because: its lot is one of ours}
subject:
  - {type: CN, from: "[tenant.id, request.endpoint, request.protocol, device.id, lot.name, product_line.name, site.name].join('/')", check: name}
  - {type: OU, from: "requester.id + '/' + requester.name + '/' + requester.role + '.'", check: name}
`
	if _, err := h.Hierarchy.PublishProfile(t.Context(), h.grant(access.ManageProfiles), []byte(profile)); err != nil {
		t.Fatal(err)
	}
	_, err := h.Enroll.CreateEndpoint(t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "facts", Authority: "issuing", Profile: "facts"})
	if err != nil {
		t.Fatal(err)
	}
	r := h.request("acme.facts", pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"}))
	r.Placement = pki.Placement{ProductLine: "E350", Lot: "LOT-7", Site: "Graz"}
	_, cert := h.get(r)
	if want := "CN=acme/acme.facts/rest/SM-1/LOT-7/E350/Graz,OU=token:test/test/tenant-administrator."; cert.Subject.String() != want {
		t.Errorf("subject %s, want %s", cert.Subject, want)
	}
	r.Placement.Lot = "7"
	_, err = h.Enroll.Enroll(t.Context(), r)
	refused(t, err, pki.PolicyRefused)
	if !strings.Contains(pki.DetailOf(err), "its lot is one of ours") {
		t.Errorf("%v does not say which rule", err)
	}

	lane, err := h.Enroll.OpenPinned(t.Context(), h.grant(access.ManageBatches), enroll.Pinned{Endpoint: "facts", Profile: pki.ProfileRef{Tenant: "acme", Name: "facts", Version: 1}}, enroll.Pinned{}, "token:9 (line 1)", nil)
	if err != nil {
		t.Fatal(err)
	}
	csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-2"})
	rows := []enroll.Row{{No: 1, Subject: enroll.Subject{CSR: csr, Placement: pki.Placement{Lot: "LOT-8"}}}}
	if refusals, err := h.Enroll.CheckChunk(t.Context(), lane, enroll.Chunk{Rows: rows}, new(enroll.Seen)); err != nil || len(refusals) > 0 {
		t.Errorf("%v, %v", refusals, err)
	}
}
