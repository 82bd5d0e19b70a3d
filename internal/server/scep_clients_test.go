//go:build system

package server

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// A workbench is a directory in which clients that are not ours run against a server.
type workbench struct {
	t   *testing.T
	dir string
}

// run runs a command and returns what it writes to standard output, and all that it says.
func (b workbench) run(command string, args ...string) (out []byte, said string, err error) {
	cmd := exec.CommandContext(b.t.Context(), command, args...)
	cmd.Dir = b.dir
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err = cmd.Output()
	return out, string(out) + problems.String(), err
}

func (b workbench) must(command string, args ...string) []byte {
	b.t.Helper()
	out, said, err := b.run(command, args...)
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", command, strings.Join(args, " "), err, said)
	}
	return out
}

// certificate reads a certificate as PEM.
func (b workbench) certificate(text []byte) *x509.Certificate {
	b.t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		b.t.Fatalf("no certificate in %s", text)
	}
	return pandotest.Parse(b.t, block.Bytes)
}

// read reads a file.
func (b workbench) read(name string) []byte {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// secretOf returns a challenge of the endpoint device that may be used many times.
func secretOf(t *testing.T, s *Server, st *stack.Stack) string {
	t.Helper()
	_, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

// TestStrongSwanSCEP: pki --scepca and --scep of strongSwan get the certificates of the
// authority, which verify, enrol by a challenge and renew.
func TestStrongSwanSCEP(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	caller{t: t, s: s}.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	url := s.URL("http") + "/scep/acme.device"
	b := workbench{t, t.TempDir()}
	_, said, err := b.run("pki", "--scepca", "--url", url, "--caout", "ca.pem", "--raout", "ra.pem", "--outform", "pem")
	if err != nil || strings.Count(said, "RA cert is trusted") != 2 || strings.Count(said, "Sub CA cert is trusted") != 1 {
		t.Fatalf("pki --scepca: %v\n%s", err, said)
	}
	// It numbers what comes as one set, which DER sorts.
	files := make(map[x509.KeyUsage]string)
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var authorities []string
	for _, e := range entries {
		if c := b.certificate(b.read(e.Name())); c.IsCA {
			authorities = append(authorities, "--cacert", e.Name())
		} else {
			files[c.KeyUsage] = e.Name()
		}
	}
	enrol := func(key string, more ...string) []byte {
		t.Helper()
		b.must("openssl", "genrsa", "-out", key, "2048")
		args := []string{"--scep", "--url", url, "--in", key, "--dn", "CN=gateway-1", "--outform", "pem",
			"--cacert-enc", files[x509.KeyUsageKeyEncipherment], "--cacert-sig", files[x509.KeyUsageDigitalSignature]}
		return b.must("pki", append(append(args, authorities...), more...)...)
	}
	first := enrol("first.key", "--password", secretOf(t, s, st))
	if c := b.certificate(first); c.Subject.CommonName != "gateway-1" {
		t.Errorf("a certificate of %s", c.Subject)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "first.pem"), first, 0o600); err != nil {
		t.Fatal(err)
	}
	next := b.certificate(enrol("next.key", "--cert", "first.pem", "--key", "first.key"))
	if next.Subject.CommonName != "gateway-1" || next.Equal(b.certificate(first)) {
		t.Errorf("renewed as %s", next.Subject)
	}
	out, said, err := b.run("pki", append([]string{"--scep", "--url", url, "--in", "next.key", "--dn", "CN=gateway-2", "--password", "wrong",
		"--cacert-enc", files[x509.KeyUsageKeyEncipherment], "--cacert-sig", files[x509.KeyUsageDigitalSignature]}, authorities...)...)
	if err == nil || len(out) > 0 || !strings.Contains(said, "badMessageCheck") {
		t.Errorf("by a wrong challenge: %v\n%s", err, said)
	}
}

// TestSCEPClient: scepclient of Debian's package scep, which signs with SHA-1 and encrypts
// with DES, to all certificates of GetCACert: it needs the legacy switch, and an authority
// with RSA keys up to its root.
func TestSCEPClient(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	t.Chdir(t.TempDir())
	st := &stack.Stack{Store: s.store, Hierarchy: s.hierarchy, Enroll: s.enroll, Now: s.now, CAKey: pki.RSA2048}
	st.AddTenant(t, "acme", "device")
	takesSCEP(t, s, st, "device")
	client := func(name string) (b workbench, said string, err error) {
		b = workbench{t, t.TempDir()} // where it keeps more than it is told to
		_, said, err = b.run("scepclient", "-server-url", s.URL("http")+"/scep/acme.device", "-challenge", secretOf(t, s, st),
			"-cn", name, "-private-key", name+".key", "-certificate", name+".pem")
		return b, said, err
	}
	if _, said, err := client("gateway-1"); err == nil || !strings.Contains(said, "badAlg") {
		t.Errorf("without the switch: %v\n%s", err, said)
	}
	takesSCEP(t, s, st, "device", pki.ProtocolSCEPLegacy)
	b, said, err := client("gateway-2")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if c := b.certificate(b.read("gateway-2.pem")); c.Subject.CommonName != "gateway-2" {
		t.Errorf("a certificate of %s", c.Subject)
	}
}
