//go:build system

package scep

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pandotest"
)

// TestNextByOpenSSL: openssl verifies the answer to GetNextCACert by the RA's certificate,
// and reads the certificates in it.
func TestNextByOpenSSL(t *testing.T) {
	r := &rolled{fake: newFake(t)}
	r.next, _ = newRA(t, "next")
	dir := t.TempDir()
	for name, text := range map[string][]byte{
		"next.der": call(r.server(), http.MethodGet, prefix+label+"?operation=GetNextCACert", nil).Body.Bytes(),
		"ra.pem":   pandotest.PEM(r.signer.certificate),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	run("cms", "-verify", "-inform", "DER", "-in", "next.der", "-CAfile", "ra.pem", "-purpose", "any", "-binary", "-out", "content.der")
	if n := bytes.Count(run("pkcs7", "-inform", "DER", "-in", "content.der", "-print_certs"), []byte("BEGIN CERTIFICATE")); n != 3 {
		t.Errorf("openssl reads %d certificates", n)
	}
}
