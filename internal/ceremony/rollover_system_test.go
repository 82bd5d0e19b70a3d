//go:build system

package ceremony_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestOpenSSLRollover: openssl, on its strictest, gets from a device of the old hierarchy
// to the new root by OldWithNew, and from one of the new hierarchy to the old root by
// NewWithOld, and no way without; the CRLs of both roots stand for what each signed.
func TestOpenSSLRollover(t *testing.T) {
	for _, kinds := range [][2]pki.KeyKind{{pki.P384, pki.P384}, {pki.RSA3072, pki.RSA4096}, {pki.RSA3072, pki.P256}} {
		t.Run(string(kinds[0])+" to "+string(kinds[1]), func(t *testing.T) {
			sealed, old := rootOf(t, kinds[0])
			cfg := rolloverConfig(t, sealed, old, kinds[1])
			got, err := ceremony.Rollover(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			write := func(name, kind string, blocks ...[]byte) {
				t.Helper()
				var text []byte
				for _, der := range blocks {
					text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
				}
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// furnish has a root sign an authority, which signs a device, and a CRL.
			furnish := func(path, passphrase string, root []byte) (authority, device, crl []byte) {
				t.Helper()
				by := pandotest.Parse(t, root)
				sign := func(req *ceremony.Request) *ceremony.Response {
					t.Helper()
					c := signConfig(path, req)
					c.Passphrase, c.Now = pki.NewSecret(passphrase), clockAt(testTime.Add(2*time.Hour))
					answer, err := ceremony.Sign(t.Context(), c)
					if err != nil {
						t.Fatal(err)
					}
					return answer
				}
				csr, key := newCSR(t, pki.P256)
				authority = sign(certificateRequest(t, by, csr)).Certificate
				return authority, deviceBelow(t, authority, key), sign(crlRequest(by, 1)).CRL
			}
			oldCA, oldDevice, oldCRL := furnish(sealed, testPassphrase, old)
			newCA, newDevice, newCRL := furnish(cfg.New, newPassphrase, got.Certificate)
			const certificate = "CERTIFICATE"
			write("old.pem", certificate, old)
			write("new.pem", certificate, got.Certificate)
			write("old-device.pem", certificate, oldDevice)
			write("new-device.pem", certificate, newDevice)
			write("old-ca.pem", certificate, oldCA)
			write("new-ca.pem", certificate, newCA)
			write("old-with-new.pem", certificate, oldCA, got.OldWithNew)
			write("new-with-old.pem", certificate, newCA, got.NewWithOld)
			write("crls.pem", "X509 CRL", oldCRL, newCRL)
			verify := func(good bool, args ...string) {
				t.Helper()
				args = append([]string{"verify", "-x509_strict", "-attime", strconv.FormatInt(testTime.Add(24*time.Hour).Unix(), 10), "-no-CApath", "-no-CAstore"}, args...)
				cmd := exec.CommandContext(t.Context(), "openssl", args...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); (err == nil) != good {
					t.Errorf("openssl %v: %v\n%s", args, err, out)
				}
			}
			verify(true, "-CAfile", "old.pem", "-untrusted", "old-ca.pem", "old-device.pem")
			verify(true, "-CAfile", "new.pem", "-untrusted", "new-ca.pem", "new-device.pem")
			verify(true, "-CAfile", "new.pem", "-untrusted", "old-with-new.pem", "old-device.pem")
			verify(true, "-CAfile", "old.pem", "-untrusted", "new-with-old.pem", "new-device.pem")
			verify(false, "-CAfile", "new.pem", "-untrusted", "old-ca.pem", "old-device.pem")
			verify(false, "-CAfile", "old.pem", "-untrusted", "new-ca.pem", "new-device.pem")
			verify(true, "-crl_check_all", "-CRLfile", "crls.pem", "-CAfile", "new.pem", "-untrusted", "old-with-new.pem", "old-ca.pem")
			verify(true, "-crl_check_all", "-CRLfile", "crls.pem", "-CAfile", "old.pem", "-untrusted", "new-with-old.pem", "new-ca.pem")
		})
	}
}

// deviceBelow returns a device's certificate, signed by an authority's key.
func deviceBelow(t *testing.T, authority []byte, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		Subject: pkix.Name{CommonName: "device"}, NotBefore: testTime.Add(3 * time.Hour), NotAfter: testTime.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, pandotest.Parse(t, authority), pandotest.Key(t, pki.P256).Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
