//go:build system

package scep

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/pki"
)

// A place is a directory in which openssl runs.
type place struct {
	t   *testing.T
	dir string
}

func (p place) write(name string, content []byte) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p place) party(name string, who party) {
	p.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(who.key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	p.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: who.certificate}))
}

func (p place) openssl(args string) []byte {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "openssl", strings.Fields(args)...)
	cmd.Dir = p.dir
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("openssl %s: %v\n%s", args, err, problems.Bytes())
	}
	return out
}

// TestOpenSSLReads: openssl verifies and opens what answers a request, and prints the
// attributes of RFC 8894 by their identifiers.
func TestOpenSSLReads(t *testing.T) {
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	m, err := readMessage(device.send(t, request{kind: pkcsReq, id: "transaction-1", content: []byte("x"), to: ra.certificate}))
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := cms.Encrypt(cms.Envelope{Content: certsOnly(t, device.certificate), Cipher: cms.AES256CBC}, cms.Recipient{Certificate: device.certificate})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ra.signer().sign(m, &reply{status: statusSuccess}, envelope)
	if err != nil {
		t.Fatal(err)
	}
	p := place{t, t.TempDir()}
	p.party("ra", ra)
	p.party("device", device)
	p.write("answer.der", raw)
	p.write("envelope.der", p.openssl("cms -verify -binary -inform DER -in answer.der -CAfile ra.pem -purpose any -noverify"))
	p.write("certs.der", p.openssl("cms -decrypt -binary -inform DER -in envelope.der -recip device.pem -inkey device.key"))
	if got := p.openssl("pkcs7 -inform DER -in certs.der -print_certs -noout"); !bytes.Contains(got, []byte("CN = device")) {
		t.Errorf("openssl reads %s", got)
	}
	printed := string(p.openssl("asn1parse -inform DER -in answer.der"))
	for _, want := range []string{oidMessageType, oidPKIStatus, oidTransactionID, oidSenderNonce, oidRecipientNonce} {
		if !strings.Contains(printed, want) {
			t.Errorf("%s is not in\n%s", want, printed)
		}
	}
}

// TestLegacyAlgorithms: SHA-1 and 3DES, as old clients use them, are taken with the
// legacy switch alone, which the message then tells.
func TestLegacyAlgorithms(t *testing.T) {
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	p := place{t, t.TempDir()}
	p.party("ra", ra)
	p.party("device", device)
	p.write("content", []byte("a request"))
	for name, c := range map[string]struct {
		cipher, digest string
		verified       bool // without the switch
		opened         bool
	}{
		"modern": {"aes-128-cbc", "sha256", true, true},
		"3DES":   {"des3", "sha256", true, false},
		"SHA-1":  {"aes-128-cbc", "sha1", false, true},
		"both":   {"des3", "sha1", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p.write("envelope", p.openssl("cms -encrypt -binary -outform DER -in content -"+c.cipher+" ra.pem"))
			// OpenSSL signs no attributes of a client's own: what it signs is read without them.
			raw := p.openssl("cms -sign -binary -nodetach -outform DER -in envelope -signer device.pem -inkey device.key -md " + c.digest)
			signed, err := cms.ParseSigned(raw)
			if err != nil {
				t.Fatal(err)
			}
			attempt := func(legacy bool) (m *message, verified, opened error) {
				m = &message{kind: pkcsReq, nonce: make([]byte, nonceSize), signed: signed}
				verified = m.verify(legacy)
				_, _, opened = m.open([]cms.Key{ra.recipient()}, legacy)
				return m, verified, opened
			}
			_, verified, opened := attempt(false)
			if (verified == nil) != c.verified || (opened == nil) != c.opened {
				t.Errorf("without the switch: %v, %v", verified, opened)
			}
			for _, err := range []error{verified, opened} {
				if err != nil && pki.KindOf(err) != pki.BadKey {
					t.Errorf("%v", err)
				}
			}
			m, verified, opened := attempt(true)
			if verified != nil || opened != nil || m.legacy == (c.verified && c.opened) {
				t.Errorf("with the switch: %v, %v, legacy %v", verified, opened, m.legacy)
			}
		})
	}
}

// TestMD5: no switch takes MD5 (RFC 8894, 2.9).
func TestMD5(t *testing.T) {
	device := newParty(t, newRSA(t, "device"), "device")
	p := place{t, t.TempDir()}
	p.party("device", device)
	p.write("envelope", []byte("an envelope"))
	signed, err := cms.ParseSigned(p.openssl("cms -sign -binary -nodetach -outform DER -in envelope -signer device.pem -inkey device.key -md md5"))
	if err != nil {
		t.Fatal(err)
	}
	for _, legacy := range []bool{false, true} {
		m := &message{kind: pkcsReq, nonce: make([]byte, nonceSize), signed: signed}
		if err := m.verify(legacy); pki.KindOf(err) != pki.BadKey {
			t.Errorf("legacy %v: %v", legacy, err)
		}
	}
}
