//go:build system

package ceremony_test

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
)

// TestOpenSSL lets openssl judge what a root signs, on its strictest.
func TestOpenSSL(t *testing.T) {
	sealed, root := newRoot(t)
	csr, _ := newCSR(t, pki.P256)
	certificate, err := ceremony.Sign(t.Context(), signConfig(sealed, certificateRequest(t, root, csr)))
	if err != nil {
		t.Fatal(err)
	}
	crl, err := ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, 1, ceremony.Revocation{Serial: "42aa", At: testTime, Reason: "cACompromise"})))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"root.pem": {Type: "CERTIFICATE", Bytes: root.Raw},
		"ca.pem":   {Type: "CERTIFICATE", Bytes: certificate.Certificate},
		"crl.pem":  {Type: "X509 CRL", Bytes: crl.CRL},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := "1790899200" // 2026-10-02: within all that was signed
	for _, args := range [][]string{
		{"verify", "-x509_strict", "-check_ss_sig", "-attime", at, "-CAfile", "root.pem", "root.pem"},
		{"verify", "-x509_strict", "-attime", at, "-crl_check", "-extended_crl", "-CRLfile", "crl.pem", "-CAfile", "root.pem", "ca.pem"},
		{"crl", "-in", "crl.pem", "-CAfile", "root.pem", "-noout"},
	} {
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("openssl %v: %v\n%s", args, err, out)
		}
	}
}
