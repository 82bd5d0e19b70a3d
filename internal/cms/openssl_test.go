//go:build system

package cms

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenSSL lets openssl read a certs-only message.
func TestOpenSSL(t *testing.T) {
	message, err := CertsOnly([][]byte{newCertificate(t, 1), newCertificate(t, 2)})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "certs.p7c")
	if err := os.WriteFile(path, message, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", "pkcs7", "-inform", "DER", "-in", path, "-print_certs", "-noout").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.Count(string(out), "a certificate"); got != 4 { // two subjects, two issuers
		t.Errorf("openssl prints\n%s", out)
	}
}
