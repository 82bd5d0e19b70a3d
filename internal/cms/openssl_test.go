//go:build system

package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// An opensslDir is a directory in which openssl runs.
type opensslDir struct {
	t   *testing.T
	dir string
}

func newOpenSSL(t *testing.T) opensslDir { return opensslDir{t, t.TempDir()} }

// write stores a file.
func (o opensslDir) write(name string, content []byte) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), content, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// party stores the key and certificate of p as key.pem and cert.pem.
func (o opensslDir) party(p testParty) {
	o.t.Helper()
	key := p.key
	if pss, ok := key.(pssKey); ok {
		key = pss.PrivateKey
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	o.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate}))
}

// run runs openssl and returns what it writes to standard output.
func (o opensslDir) run(args string) ([]byte, error) {
	cmd := exec.Command("openssl", strings.Fields(args)...)
	cmd.Dir = o.dir
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if err != nil {
		o.t.Logf("openssl %s: %s", args, problems.Bytes())
	}
	return out.Bytes(), err
}

// must runs openssl, which succeeds.
func (o opensslDir) must(args string) []byte {
	o.t.Helper()
	out, err := o.run(args)
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// TestOpenSSL lets openssl read a certs-only message.
func TestOpenSSL(t *testing.T) {
	message, err := CertsOnly([][]byte{newParty(t, pki.P256).certificate, newParty(t, pki.P256).certificate})
	if err != nil {
		t.Fatal(err)
	}
	o := newOpenSSL(t)
	o.write("certs.p7c", message)
	out := o.must("pkcs7 -inform DER -in certs.p7c -print_certs -noout")
	if got := strings.Count(string(out), "a certificate"); got != 4 { // two subjects, two issuers
		t.Errorf("openssl prints\n%s", out)
	}
}

// TestOpenSSLVerify lets openssl verify what Sign makes. OpenSSL 3.0 has no Ed25519 in
// CMS.
func TestOpenSSLVerify(t *testing.T) {
	content := bytes.Repeat([]byte("line\r\n"), 1000)
	for _, kind := range signingKinds {
		if kind == pki.Ed25519 {
			continue
		}
		for _, keyID := range []bool{false, true} {
			p := newParty(t, kind)
			o := newOpenSSL(t)
			o.party(p)
			o.write("message", sign(t, Message{Content: content, Certificates: [][]byte{p.certificate}}, Signer{
				Key: p.signer(), Certificate: p.certificate, KeyID: keyID, SigningTime: time.Now(), Attributes: []Attribute{transactionID},
			}))
			if got := o.must("cms -verify -inform DER -in message -binary -noverify"); !bytes.Equal(got, content) {
				t.Errorf("%s: %d octets", kind, len(got))
			}
		}
	}
}

// TestOpenSSLSign verifies what openssl signs, with definite lengths and as a stream.
func TestOpenSSLSign(t *testing.T) {
	content := bytes.Repeat([]byte("line\r\n"), 10_000)
	for _, c := range []struct {
		kind    pki.KeyKind
		options string
		legacy  bool
	}{
		{pki.RSA2048, "-md sha256", false},
		{pki.RSA2048, "-md sha512 -keyid", false},
		{pki.RSA2048, "-md sha1", true},
		{pki.RSA2048, "-md sha256 -noattr", false},
		{pki.RSA2048, "-md sha256 -keyopt rsa_padding_mode:pss", false},
		{pki.RSA2048, "-md sha384 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:digest", false},
		{pki.RSA2048, "-md sha256 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:0", false},
		{pki.P256, "-md sha256", false},
		{pki.P256, "-md sha1", true},
		{pki.P384, "-md sha384 -keyid", false},
		{pki.P521, "-md sha512", false},
	} {
		for _, stream := range []string{"", " -stream"} {
			if stream != "" && strings.Contains(c.options, "pss") {
				continue // OpenSSL 3.0 fails: "illegal zero content"
			}
			p := newParty(t, c.kind)
			o := newOpenSSL(t)
			o.party(p)
			o.write("content", content)
			message := o.must("cms -sign -binary -nodetach -in content -signer cert.pem -inkey key.pem -outform DER " + c.options + stream)
			if streamed := message[1] == 0x80; streamed != (stream != "") {
				t.Fatalf("%s%s begins with %x", c.options, stream, message[:4])
			}
			d := parseSigned(t, message)
			got, err := d.Verify(0, VerifyOptions{Legacy: c.legacy})
			if err != nil || !bytes.Equal(got, p.certificate) || !bytes.Equal(d.Content, content) {
				t.Errorf("%s %s%s: %v, %d octets", c.kind, c.options, stream, err, len(d.Content))
			}
			if c.legacy {
				_, err := d.Verify(0, VerifyOptions{})
				wantKind(t, err, pki.BadKey)
			}
		}
	}
}

// TestOpenSSLSeveral verifies a message with two signers, both ways.
func TestOpenSSLSeveral(t *testing.T) {
	p, q := newParty(t, pki.RSA2048), newParty(t, pki.P256)
	o := newOpenSSL(t)
	o.party(p)
	o.write("content", []byte("content"))
	o.write("one", o.must("cms -sign -binary -nodetach -in content -signer cert.pem -inkey key.pem -outform DER"))
	o.party(q)
	message := o.must("cms -resign -binary -in one -inform DER -signer cert.pem -inkey key.pem -outform DER")
	d := parseSigned(t, message)
	if len(d.Signers) != 2 {
		t.Fatalf("%d signers", len(d.Signers))
	}
	for i := range d.Signers {
		if _, err := d.Verify(i, VerifyOptions{}); err != nil {
			t.Errorf("signer %d: %v", i, err)
		}
	}
	// And openssl verifies what two sign here.
	o.write("message", sign(t, Message{Content: []byte("content"), Certificates: [][]byte{p.certificate, q.certificate}},
		Signer{Key: p.signer(), Certificate: p.certificate}, Signer{Key: q.signer(), Certificate: q.certificate, KeyID: true}))
	if got := o.must("cms -verify -inform DER -in message -binary -noverify"); string(got) != "content" {
		t.Errorf("%q", got)
	}
}
