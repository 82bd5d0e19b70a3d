package hierarchy_test

import (
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestNameConstraints: the name constraints of an authority hold for what it issues. A
// profile that says another name gets no endpoint, and a request for one that the
// endpoint authorises gets no certificate.
func TestNameConstraints(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	publish := func(text string) {
		t.Helper()
		if _, err := s.Hierarchy.PublishProfile(t.Context(), s.Permit(t, "acme", access.ManageProfiles), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	reference := func(name string) string {
		text, err := packs.Document(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	publish(reference("issuing-ca") + "nameConstraints: {permitted: [{dns: example.com}]}\n")
	s.AddAuthority(t, "acme", "constrained")
	publish(strings.NewReplacer("profile: tls-server", "profile: elsewhere", "{dns: {from: csr.san.dns, authorized: true}}", "{dns: www.example.org}").Replace(reference("tls-server")))
	names := &pki.Names{DNS: []string{"*.example.com", "*.example.org"}}
	create := func(name, profile string) error {
		_, err := s.Enroll.CreateEndpoint(t.Context(), s.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: name, Authority: "constrained", Profile: profile, Names: names})
		return err
	}
	if err := create("elsewhere", "elsewhere"); pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "name constraints") {
		t.Errorf("an endpoint for a name outside: %v", err)
	}
	if err := create("inside", "tls-server"); err != nil {
		t.Fatal(err)
	}
	key := pandotest.Key(t, pki.P256)
	for host, want := range map[string]bool{"www.example.org": false, "www.example.com": true} {
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{host}}, key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Enroll.Enroll(t.Context(), enroll.Request{
			Grant: s.Permit(t, "acme", access.Enroll), Endpoint: "inside", Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr},
		})
		if (err == nil) != want || err != nil && (pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), host)) {
			t.Errorf("%s: %v", host, err)
		}
	}
}
