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

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/trust"
)

// TestCurlWithCertificate: what a plant's script does, with a client that is not ours.
func TestCurlWithCertificate(t *testing.T) {
	s, _, meter, _ := trusting(t)
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	dir := t.TempDir()
	chain, private := writeIdentity(t, meter, dir)
	curl := func(args ...string) string {
		t.Helper()
		args = append([]string{"--silent", "--show-error", "--cacert", filepath.Join(s.cfg.Data, BootstrapFile), "--write-out", " %{http_code}"}, args...)
		out, err := exec.Command("curl", append(args, s.URL("devices")+"/api/v1/whoami")...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v\n%s", err, out)
		}
		return string(out)
	}
	if got := curl("--cert", chain, "--key", private); !strings.HasSuffix(got, " 200") || !strings.Contains(got, `"role":"device"`) {
		t.Error(got)
	}
	if got := curl(); !strings.HasSuffix(got, " 401") {
		t.Error(got)
	}
}

// writeIdentity writes a caller's chain and key into a directory.
func writeIdentity(t *testing.T, c caller, dir string) (chain, private string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	chain, private = filepath.Join(dir, "meter.pem"), filepath.Join(dir, "meter.key")
	for path, text := range map[string][]byte{
		chain: pandotest.PEM(c.chain...), private: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return chain, private
}
