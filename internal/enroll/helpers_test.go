package enroll_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// A house is a stack with the RA under test and grants to its tenant acme.
type house struct {
	*stack.Stack
	t *testing.T
}

func newHouse(t *testing.T, endpoints ...string) *house {
	t.Helper()
	return newHouseAt(t, time.Now, endpoints...)
}

// newHouseAt returns a house whose time it is by a clock.
func newHouseAt(t *testing.T, now pki.Clock, endpoints ...string) *house {
	t.Helper()
	h := &house{stack.New(t, stack.Config{Now: now}), t}
	h.AddTenant(t, "acme", endpoints...)
	return h
}

// grant returns the permit of a permission in acme to its administrator, for some
// endpoints or all.
func (h *house) grant(p access.Permission, endpoints ...string) access.Permit {
	h.t.Helper()
	who := access.Principal{Tenant: "acme", ID: "token:test", Name: "test", Grants: access.Given(access.TenantAdministrator, at(endpoints...)...)}
	g, err := who.Authorize(p, "acme")
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

// at returns the scopes of some endpoints.
func at(endpoints ...string) []access.Scope {
	var all []access.Scope
	for _, e := range endpoints {
		all = append(all, access.Scope{Endpoint: e})
	}
	return all
}

// request returns a request of acme's at an endpoint over REST.
func (h *house) request(endpoint string, csr []byte) enroll.Request {
	return enroll.Request{Grant: h.grant(access.Enroll), Endpoint: endpoint, Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr}}
}

// get enrols and returns the certificate, parsed too.
func (h *house) get(r enroll.Request) (*pki.Enrollment, *x509.Certificate) {
	h.t.Helper()
	got, err := h.Enroll.Enroll(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	return got, pandotest.Parse(h.t, got.Certificate.DER)
}

// refused reports an error unless err is of the kind and gives a reason.
func refused(t *testing.T, err error, want pki.Kind) {
	t.Helper()
	if err == nil || pki.KindOf(err) != want || pki.DetailOf(err) == "" {
		t.Errorf("%v (%s), want %s with a reason", err, pki.KindOf(err), want)
	}
}

// meterCSR returns the request of a meter with a key of its own.
func meterCSR(t *testing.T, device string) []byte {
	t.Helper()
	return pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device})
}

// A names is what a request asks for in its SAN.
type names struct {
	dns, ip, uri []string
}

// csrWith returns a request with names.
func csrWith(t *testing.T, key crypto.Signer, cn string, n names) []byte {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}, DNSNames: n.dns}
	for _, text := range n.ip {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(text))
	}
	for _, text := range n.uri {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
