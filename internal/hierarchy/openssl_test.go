//go:build system

package hierarchy_test

import (
	"crypto/x509/pkix"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestPoliciesOnThePath: a verifier that demands a meter's policy refuses what is
// below an authority of the reference profile, and takes what is below one whose
// certificate names that policy too (docs/adr/0011-policies-one-a-profile.md).
func TestPoliciesOnThePath(t *testing.T) {
	const own, meters = "1.3.6.1.4.1.32473.2.2", "1.3.6.1.4.1.32473.2.3"
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	reference, err := packs.Document("issuing-ca")
	if err != nil {
		t.Fatal(err)
	}
	both := strings.Replace(string(reference), "["+own+"]", "["+own+", "+meters+"]", 1)
	if _, err := s.Hierarchy.PublishProfile(t.Context(), s.Permit(t, "acme", access.ManageProfiles), []byte(both)); err != nil {
		t.Fatal(err)
	}
	s.AddAuthority(t, "acme", "with-policies")
	_, err = s.Enroll.CreateEndpoint(t.Context(), s.Permit(t, "acme", access.ManageEndpoints),
		enroll.NewEndpoint{Name: "with-policies", Authority: "with-policies", Profile: "meter"})
	if err != nil {
		t.Fatal(err)
	}
	root, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "root")
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, want := range map[string]bool{"meter": false, "with-policies": true} {
		got, err := s.Enroll.Enroll(t.Context(), enroll.Request{
			Grant: s.Permit(t, "acme", access.Enroll), Endpoint: endpoint, Protocol: pki.ProtocolREST,
			Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})},
		})
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{
			"root.pem": pandotest.PEM(root.Issuers[0].Certificate), "chain.pem": pandotest.PEM(got.Chain...), "meter.pem": pandotest.PEM(got.Certificate.DER),
		}
		if out, err := verify(t, files); err != nil {
			t.Errorf("at %s, without a demand: %v\n%s", endpoint, err, out)
		}
		if out, err := verify(t, files, "-policy_check", "-explicit_policy", "-policy", meters); (err == nil) != want {
			t.Errorf("at %s, where the policy is demanded: %v\n%s", endpoint, err, out)
		}
	}
}

// verify has openssl verify the meter's certificate.
func verify(t *testing.T, files map[string][]byte, options ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", slices.Concat([]string{"verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "chain.pem"}, options, []string{"meter.pem"})...)
	cmd.Dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(cmd.Dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cmd.CombinedOutput()
}
