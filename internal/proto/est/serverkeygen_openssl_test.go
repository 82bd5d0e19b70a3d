//go:build system

package est

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestServerKeyGenOpenSSL: what is encrypted for a client, openssl opens.
func TestServerKeyGenOpenSSL(t *testing.T) {
	rsaKey, rsaClient := identity(t, pki.RSA2048, x509.KeyUsageKeyEncipherment, true)
	ecKey, ecClient := identity(t, pki.P256, x509.KeyUsageKeyAgreement, true)
	forKey := func(c *x509.Certificate) client {
		return client{certificate: c, attributes: []pandotest.Attribute{named(der.OIDAsymmetricDecryptKeyIdentifier, c.SubjectKeyId)}}
	}
	for what, test := range map[string]struct {
		c   client
		key crypto.Signer
	}{
		"RSA":      {forKey(rsaClient), rsaKey},
		"P-256":    {forKey(ecClient), ecKey},
		"a secret": {client{user: "SM-1", secret: "hunter2", attributes: []pandotest.Attribute{named(der.OIDDecryptKeyIdentifier, []byte("SM-1"))}}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			w, m := test.c.ask(t)
			dir := t.TempDir()
			write := func(name string, content []byte) {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("message", keyPart(t, w, "application/pkcs7-mime; smime-type=server-generated-key"))
			open := exec.Command("openssl", "cms", "-decrypt", "-inform", "DER", "-in", "message", "-pwri_password", test.c.secret)
			if test.key != nil {
				private, err := x509.MarshalPKCS8PrivateKey(test.key)
				if err != nil {
					t.Fatal(err)
				}
				write("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
				write("certificate", pandotest.PEM(test.c.certificate.Raw))
				open = exec.Command("openssl", "cms", "-decrypt", "-inform", "DER", "-in", "message", "-inkey", "key", "-recip", "certificate")
			}
			open.Dir = dir
			key, err := open.Output()
			if err != nil || !bytes.Equal(key, m.sent) {
				t.Fatalf("%d octets, want %d: %v", len(key), len(m.sent), err)
			}
		})
	}
}
