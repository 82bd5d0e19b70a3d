//go:build system

package cms

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// opensslKinds are the kinds of key that OpenSSL 3.0 has in envelopes. X25519 is none.
var opensslKinds = []pki.KeyKind{pki.RSA2048, pki.P256, pki.P384, pki.P521}

// TestOpenSSLDecrypt lets openssl open what Encrypt makes.
func TestOpenSSLDecrypt(t *testing.T) {
	content := bytes.Repeat([]byte("content "), 5000)
	for _, kind := range opensslKinds {
		p := newParty(t, kind)
		o := newOpenSSL(t)
		o.party(p)
		for _, cipher := range allCiphers {
			for _, r := range []Recipient{{Certificate: p.certificate}, {Certificate: p.certificate, KeyID: true, OAEP: true}} {
				o.write("message", encrypt(t, Envelope{Content: content, Cipher: cipher}, r))
				if got := o.must("cms -decrypt -binary -inform DER -in message -recip cert.pem -inkey key.pem"); !bytes.Equal(got, content) {
					t.Errorf("%s, cipher %d: %d octets", kind, cipher, len(got))
				}
			}
		}
	}
	o := newOpenSSL(t)
	for _, cipher := range allCiphers {
		derived, err := DerivePassword(pki.NewSecret("horse"), RandomIterations)
		if err != nil {
			t.Fatal(err)
		}
		o.write("message", encrypt(t, Envelope{Content: content, Cipher: cipher}, Recipient{Derived: derived}))
		if got := o.must("cms -decrypt -binary -inform DER -in message -pwri_password horse"); !bytes.Equal(got, content) {
			t.Errorf("password, cipher %d: %d octets", cipher, len(got))
		}
	}
}

// TestOpenSSLDecryptTyped lets openssl open content that is not id-data. With GCM its type
// is an authenticated attribute, whose tag OpenSSL 3.0 does not have as RFC 5083 has it.
func TestOpenSSLDecryptTyped(t *testing.T) {
	p := newParty(t, pki.P256)
	inner := sign(t, Message{Content: []byte("content")}, Signer{Key: p.signer(), Certificate: p.certificate})
	o := newOpenSSL(t)
	o.party(p)
	o.write("message", encrypt(t, Envelope{ContentType: der.OIDSignedData, Content: inner, Cipher: AES256CBC}, Recipient{Certificate: p.certificate}))
	if got := o.must("cms -decrypt -binary -inform DER -in message -recip cert.pem -inkey key.pem"); !bytes.Equal(got, inner) {
		t.Errorf("%d octets", len(got))
	}
}

// TestOpenSSLEncrypt opens what openssl encrypts, with definite lengths and as a stream.
func TestOpenSSLEncrypt(t *testing.T) {
	content := bytes.Repeat([]byte("content "), 5000)
	ciphers := []string{"-aes128", "-aes192", "-aes256", "-aes-128-gcm", "-aes-192-gcm", "-aes-256-gcm", "-des3"}
	for _, kind := range opensslKinds {
		p := newParty(t, kind)
		o := newOpenSSL(t)
		o.party(p)
		o.write("content", content)
		options := []string{"", "-keyopt rsa_padding_mode:oaep", "-keyid -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256 -keyopt rsa_mgf1_md:sha1", "-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha384 -keyopt rsa_mgf1_md:sha384"}
		if kind != pki.RSA2048 {
			options = []string{"", "-keyopt ecdh_kdf_md:sha256", "-keyid -keyopt ecdh_kdf_md:sha384", "-keyopt ecdh_kdf_md:sha512 -aes128-wrap", "-keyopt ecdh_kdf_md:sha256 -aes256-wrap"}
		}
		for i, cipher := range ciphers {
			for _, option := range options {
				if cipher == "-des3" && kind != pki.RSA2048 && !strings.Contains(option, "wrap") {
					continue // the key would be wrapped with 3DES, which is not read
				}
				for _, stream := range []string{"", " -stream"} {
					message := o.must("cms -encrypt -binary -in content -outform DER " + cipher + stream + " -recip cert.pem " + option)
					what := string(kind) + " " + cipher + " " + option + stream
					legacy := cipher == "-des3" || kind != pki.RSA2048 && option == ""
					opened, err := Open(message, OpenOptions{Legacy: legacy}, p.opener(t))
					if err != nil || !bytes.Equal(opened.Content, content) {
						t.Errorf("%s: %v", what, err)
						continue
					}
					if cipher != "-des3" && opened.Cipher != allCiphers[i] || cipher == "-des3" && opened.Cipher != 0 {
						t.Errorf("%s: cipher %d", what, opened.Cipher)
					}
					if legacy {
						_, err := Open(message, OpenOptions{}, p.opener(t))
						wantKind(t, err, pki.BadKey)
					}
				}
			}
		}
	}
}

// TestOpenSSLPassword opens what openssl encrypts under a password, for one or beside a
// certificate.
func TestOpenSSLPassword(t *testing.T) {
	content := []byte("content")
	o := newOpenSSL(t)
	p := newParty(t, pki.RSA2048)
	o.party(p)
	o.write("content", content)
	for _, cipher := range []string{"-aes128", "-aes192", "-aes256"} {
		for _, beside := range []string{"", " cert.pem"} {
			message := o.must("cms -encrypt -binary -in content -outform DER " + cipher + " -pwri_password horse" + beside)
			opened, err := Open(message, OpenOptions{}, Key{Password: pki.NewSecret("horse")})
			if err != nil || !bytes.Equal(opened.Content, content) {
				t.Errorf("%s%s: %v", cipher, beside, err)
			}
			_ = wantClosed(t, message, content, Key{Password: pki.NewSecret("mule")})
			if _, err = Open(message, OpenOptions{}, p.opener(t)); (err == nil) != strings.Contains(beside, "cert") {
				t.Errorf("%s%s: %v", cipher, beside, err)
			}
		}
	}
}
