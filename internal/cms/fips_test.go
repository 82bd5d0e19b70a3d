package cms

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestFIPSOnly: which messages are not for a process that computes only what FIPS 140-3
// approves.
func TestFIPSOnly(t *testing.T) {
	content := []byte("content")
	opens := func(t *testing.T, message []byte, key Key) {
		t.Helper()
		opened, err := Open(message, OpenOptions{Legacy: true}, key)
		if err != nil || !bytes.Equal(opened.Content, content) {
			t.Fatalf("%+v, %v", opened, err)
		}
	}
	signs := func(kind pki.KeyKind) func(t *testing.T) {
		return func(t *testing.T) {
			p := newParty(t, kind)
			message, err := Sign(Message{Content: content, Certificates: [][]byte{p.certificate}}, Signer{Key: p.signer(), Certificate: p.certificate})
			if err != nil {
				t.Fatal(err)
			}
			d, err := ParseSigned(message)
			if err == nil {
				_, err = d.Verify(0, VerifyOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	seals := func(kind pki.KeyKind, c Cipher, oaep bool) func(t *testing.T) {
		return func(t *testing.T) {
			p := newParty(t, kind)
			opens(t, encrypt(t, Envelope{Content: content, Cipher: c}, Recipient{Certificate: p.certificate, OAEP: oaep}), p.opener(t))
		}
	}
	pandotest.FIPSOnly(t, "cms", map[string]func(t *testing.T){
		"sign-rsa": signs(pki.RSA2048), "sign-pss": signs(pki.RSA2048PSS), "sign-p256": signs(pki.P256), "sign-p384": signs(pki.P384), "sign-ed25519": signs(pki.Ed25519),
		"rsa-pkcs1": seals(pki.RSA2048, AES256CBC, false), "rsa-oaep": seals(pki.RSA2048, AES256CBC, true),
		"p256": seals(pki.P256, AES256CBC, false), "p384": seals(pki.P384, AES128CBC, false), "x25519": seals(x25519, AES256CBC, false),
		"gcm": seals(pki.P256, AES256GCM, false),
		"password": func(t *testing.T) {
			secret := pki.NewSecret("correct horse battery")
			opens(t, encrypt(t, Envelope{Content: content, Cipher: AES256CBC}, Recipient{Password: secret}), Key{Password: secret})
		},
		"3des": func(t *testing.T) {
			p := newParty(t, pki.RSA2048)
			opens(t, encryptOld(t, p, "3des", content), p.opener(t))
		},
		"des": func(t *testing.T) {
			p := newParty(t, pki.RSA2048)
			opens(t, encryptOld(t, p, "des", content), p.opener(t))
		},
		"sha1": func(t *testing.T) {
			d := parseSigned(t, forger{party: newParty(t, pki.P256), digest: crypto.SHA1, attributes: usual, algorithm: identifier(der.OIDECDSASHA1)}.message(t))
			if _, err := d.Verify(0, VerifyOptions{Legacy: true}); err != nil {
				t.Fatal(err)
			}
		},
	})
}
