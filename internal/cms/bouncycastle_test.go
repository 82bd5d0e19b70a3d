//go:build system

package cms

import (
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// bouncyCastle is where Debian's libbcpkix-java has its classes.
const bouncyCastle = "/usr/share/java/bcpkix.jar:/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar"

// TestBouncyCastle has what OpenSSL 3.0 cannot judge: Ed25519, X25519, and GCM with
// authenticated attributes, both ways. What Bouncy Castle writes is BER.
func TestBouncyCastle(t *testing.T) {
	classes := t.TempDir()
	if out, err := exec.Command("javac", "-cp", bouncyCastle, "-d", classes, "testdata/Peer.java", "testdata/Agree.java").CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	as := func(class string, p testParty, act string, in []byte) []byte {
		t.Helper()
		dir := t.TempDir()
		key, err := x509.MarshalPKCS8PrivateKey(p.key)
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{"key.der": key, "cert.der": p.certificate, "in": in} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("java", "-cp", strings.Join([]string{classes, bouncyCastle}, ":"), class, act)
		cmd.Dir = dir
		var problems bytes.Buffer
		cmd.Stderr = &problems
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", class, act, err, problems.Bytes())
		}
		return out
	}
	peer := func(p testParty, act string, in []byte) []byte {
		t.Helper()
		return as("Peer", p, act, in)
	}
	ed, p := newParty(t, pki.Ed25519), newParty(t, pki.RSA2048)
	content := []byte("content")

	message := sign(t, Message{Content: content}, Signer{Key: ed.signer(), Certificate: ed.certificate, Attributes: []Attribute{transactionID}})
	if got := peer(ed, "verify", message); !bytes.Equal(got, content) {
		t.Errorf("verified there: %q", got)
	}
	d := parseSigned(t, peer(ed, "sign", content))
	if _, err := d.Verify(0, VerifyOptions{}); err != nil || !bytes.Equal(d.Content, content) {
		t.Errorf("verified here: %v", err)
	}
	message = encrypt(t, Envelope{ContentType: der.OIDSignedData, Content: content, Cipher: AES256GCM}, Recipient{Certificate: p.certificate})
	if got := peer(p, "open", message); !bytes.Equal(got, content) {
		t.Errorf("opened there: %q", got)
	}
	opened, err := Open(peer(p, "seal", content), OpenOptions{}, p.opener(t))
	if err != nil || !bytes.Equal(opened.Content, content) || opened.ContentType != der.OIDSignedData {
		t.Errorf("opened here: %+v, %v", opened, err)
	}

	x := newParty(t, x25519)
	for _, cipher := range []Cipher{AES128CBC, AES256CBC} {
		message = encrypt(t, Envelope{Content: content, Cipher: cipher}, Recipient{Certificate: x.certificate})
		if got := as("Agree", x, "open", message); !bytes.Equal(got, content) {
			t.Errorf("X25519, cipher %d, opened there: %q", cipher, got)
		}
	}
	opened, err = Open(as("Agree", x, "seal", content), OpenOptions{}, x.opener(t))
	if err != nil || !bytes.Equal(opened.Content, content) || opened.Cipher != AES256CBC {
		t.Errorf("X25519, opened here: %+v, %v", opened, err)
	}
}
