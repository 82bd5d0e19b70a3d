package enrolauth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trust"
)

// A house is a stack with a tenant acme whose endpoints meter and tls take EST, and a
// clock that the test owns.
type house struct {
	*stack.Stack
	t     *testing.T
	clock *pandotest.Clock
}

func newHouse(t *testing.T, endpoints ...string) *house {
	t.Helper()
	clock := pandotest.NewClock(pandotest.Now())
	h := &house{stack.New(t, stack.Config{Now: clock.Now}), t, clock}
	h.AddTenant(t, "acme", endpoints...)
	for _, name := range endpoints {
		h.update(enroll.NewEndpoint{Name: name, Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolEST}})
	}
	return h
}

func (h *house) update(n enroll.NewEndpoint) {
	h.t.Helper()
	if _, err := h.Enroll.UpdateEndpoint(h.t.Context(), h.Permit(h.t, "acme", access.ManageEndpoints), n); err != nil {
		h.t.Fatal(err)
	}
}

// secret makes a secret of acme.
func (h *house) secret(n enrolauth.NewSecret) (*enrolauth.Secret, pki.Secret) {
	h.t.Helper()
	made, text, err := h.Secrets.Create(h.t.Context(), h.Permit(h.t, "acme", access.ManageSecrets), n)
	if err != nil {
		h.t.Fatal(err)
	}
	return made, text
}

// plan makes a device known to the registry.
func (h *house) plan(device string) {
	h.t.Helper()
	rows := strings.NewReader(`{"device": "` + device + `"}` + "\n")
	if _, err := h.Registry.ImportDevices(h.t.Context(), h.Permit(h.t, "acme", access.ManageRegistry), registry.NDJSON, pki.Placement{}, rows); err != nil {
		h.t.Fatal(err)
	}
}

// prove proves by what is presented at an endpoint of acme.
func (h *house) prove(endpoint string, p enrolauth.Presented) (access.Principal, error) {
	return h.Secrets.Prove(h.t.Context(), "acme."+endpoint, p)
}

// enrol has whoever was proved enrol by EST.
func (h *house) enrol(who access.Principal, endpoint string, csr []byte) (*pki.Enrollment, error) {
	g, err := who.Authorize(access.Enroll, "acme")
	if err != nil {
		return nil, err
	}
	return h.Enroll.Enroll(h.t.Context(), enroll.Request{Grant: g, Endpoint: "acme." + endpoint, Protocol: pki.ProtocolEST, Subject: enroll.Subject{CSR: csr}})
}

// ask proves and enrols.
func (h *house) ask(endpoint string, p enrolauth.Presented, csr []byte) (*pki.Enrollment, error) {
	who, err := h.prove(endpoint, p)
	if err != nil {
		return nil, err
	}
	return h.enrol(who, endpoint, csr)
}

// is reports an error unless err is of the kind.
func (h *house) is(what string, err error, want pki.Kind) {
	h.t.Helper()
	if err == nil || pki.KindOf(err) != want {
		h.t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// ok reports an error.
func (h *house) ok(what string, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Errorf("%s: %v", what, err)
	}
}

// meterCSR returns the request of a meter with a key of its own.
func meterCSR(t testing.TB, device string) []byte {
	t.Helper()
	return pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device})
}

// trust trusts an authority of acme's, or one that is imported.
func (h *house) trust(n trust.NewAnchor) {
	h.t.Helper()
	if _, err := h.Trust.Add(h.t.Context(), h.Permit(h.t, "acme", access.ManageTrust), n); err != nil {
		h.t.Fatal(err)
	}
}

func endpoint(name string) []access.Scope { return []access.Scope{{Endpoint: name}} }

// A maker is another's hierarchy.
type maker struct{ *pandotest.CA }

// birth returns the certificate that a maker gave to a device.
func (m maker) birth(t testing.TB, serialNumber string) []*x509.Certificate {
	t.Helper()
	return m.sign(t, pkix.Name{SerialNumber: serialNumber}, pandotest.Key(t, pki.P256))
}

func (m maker) sign(t testing.TB, subject pkix.Name, key crypto.Signer) []*x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return []*x509.Certificate{pandotest.Parse(t, m.Sign(t, &x509.Certificate{Subject: subject, SerialNumber: serial, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, key.Public()))}
}
