package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// recipientKinds are the kinds of key that are encrypted to.
var recipientKinds = []pki.KeyKind{pki.RSA2048, pki.P256, pki.P384, pki.P521, x25519}

var allCiphers = []Cipher{AES128CBC, AES192CBC, AES256CBC, AES128GCM, AES192GCM, AES256GCM}

// opener returns what opens messages to p.
func (p testParty) opener(t testing.TB) Key {
	t.Helper()
	k := Key{Certificate: p.certificate}
	switch key := p.key.(type) {
	case *rsa.PrivateKey:
		k.Decrypter = key
	case *ecdsa.PrivateKey:
		agreer, err := key.ECDH()
		if err != nil {
			t.Fatal(err)
		}
		k.Agreer = agreer
	case *ecdh.PrivateKey:
		k.Agreer = key
	}
	return k
}

func encrypt(t testing.TB, e Envelope, recipients ...Recipient) []byte {
	t.Helper()
	message, err := Encrypt(e, recipients...)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// TestEncrypt encrypts with each cipher to each kind of recipient and opens it, as DER
// and as BER.
func TestEncrypt(t *testing.T) {
	password := pki.NewSecret("correct horse")
	var recipients []Recipient
	var keys []Key
	for _, kind := range recipientKinds {
		p := newParty(t, kind)
		recipients = append(recipients, Recipient{Certificate: p.certificate}, Recipient{Certificate: p.certificate, KeyID: true, OAEP: true})
		keys = append(keys, p.opener(t), p.opener(t))
	}
	contents := map[string][]byte{"none": {}, "block": make([]byte, 16), "large": bytes.Repeat([]byte("content"), 30_000)}
	for _, cipher := range allCiphers {
		for i, r := range recipients {
			for name, content := range contents {
				message := encrypt(t, Envelope{Content: content, Cipher: cipher}, r)
				checkDER(t, message)
				for form, message := range map[string][]byte{"DER": message, "BER": toBER(message)} {
					opened, err := Open(message, OpenOptions{}, keys[i])
					if err != nil || !bytes.Equal(opened.Content, content) || opened.Cipher != cipher || opened.ContentType != der.OIDData {
						t.Errorf("%d to %d, %s, %s: %v", cipher, i, name, form, err)
					}
				}
			}
		}
	}
	// Each of several opens, and the content's type is kept.
	derived, err := DerivePassword(password, RandomIterations)
	if err != nil {
		t.Fatal(err)
	}
	everybody := append(recipients, Recipient{Password: password}, Recipient{Derived: derived})
	for _, cipher := range []Cipher{AES256CBC, AES256GCM} {
		message := encrypt(t, Envelope{ContentType: der.OIDSignedData, Content: []byte("content"), Cipher: cipher}, everybody...)
		checkDER(t, message)
		for i, k := range append(keys, Key{Password: password}, Key{Password: password}) {
			opened, err := Open(message, OpenOptions{}, newParty(t, pki.P256).opener(t), k)
			if err != nil || string(opened.Content) != "content" || opened.ContentType != der.OIDSignedData {
				t.Errorf("%d to %d: %v", cipher, i, err)
			}
		}
	}
}

// TestEnvelopeVersion holds the versions of RFC 5652, 6.1 and RFC 5083, 2.1.
func TestEnvelopeVersion(t *testing.T) {
	p, ec := newParty(t, pki.RSA2048), newParty(t, pki.P256)
	for _, c := range []struct {
		version    int
		cipher     Cipher
		recipients []Recipient
	}{
		{0, AES128CBC, []Recipient{{Certificate: p.certificate}}},
		{2, AES128CBC, []Recipient{{Certificate: p.certificate}, {Certificate: p.certificate, KeyID: true}}},
		{2, AES128CBC, []Recipient{{Certificate: ec.certificate}, {Certificate: p.certificate}}},
		{3, AES128CBC, []Recipient{{Certificate: ec.certificate}, {Password: pki.NewSecret("x")}, {Certificate: p.certificate}}},
		{0, AES128GCM, []Recipient{{Certificate: ec.certificate}}},
	} {
		var info struct {
			Type    asn1.ObjectIdentifier
			Content struct {
				Version    int
				Recipients []asn1.RawValue `asn1:"set"`
			} `asn1:"explicit,tag:0"`
		}
		if _, err := asn1.Unmarshal(encrypt(t, Envelope{Cipher: c.cipher}, c.recipients...), &info); err != nil {
			t.Fatal(err)
		}
		if info.Content.Version != c.version || len(info.Content.Recipients) != len(c.recipients) {
			t.Errorf("version %d, %d recipients, want %d, %d", info.Content.Version, len(info.Content.Recipients), c.version, len(c.recipients))
		}
	}
}

func TestEncryptRefuses(t *testing.T) {
	p, ed := newParty(t, pki.P256), newParty(t, pki.Ed25519)
	for name, c := range map[string]struct {
		kind pki.Kind
		e    Envelope
		r    []Recipient
	}{
		"no cipher":           {pki.Internal, Envelope{}, []Recipient{{Certificate: p.certificate}}},
		"3DES":                {pki.Internal, Envelope{Cipher: tripleDESCBC}, []Recipient{{Certificate: p.certificate}}},
		"no recipient":        {pki.Internal, Envelope{Cipher: AES128CBC}, nil},
		"neither":             {pki.Malformed, Envelope{Cipher: AES128CBC}, []Recipient{{}}},
		"both":                {pki.Internal, Envelope{Cipher: AES128CBC}, []Recipient{{Certificate: p.certificate, Password: pki.NewSecret("x")}}},
		"two passwords":       {pki.Internal, Envelope{Cipher: AES128CBC}, []Recipient{{Derived: new(PasswordKey), Password: pki.NewSecret("x")}}},
		"no certificate":      {pki.Malformed, Envelope{Cipher: AES128CBC}, []Recipient{{Certificate: []byte{0x30, 0}}}},
		"no key identifier":   {pki.Internal, Envelope{Cipher: AES128CBC}, []Recipient{{Certificate: withoutKeyID(t, p), KeyID: true}}},
		"a key that signs":    {pki.BadKey, Envelope{Cipher: AES128CBC}, []Recipient{{Certificate: ed.certificate}}},
		"content of no type":  {pki.Internal, Envelope{Cipher: AES128CBC, ContentType: "x"}, []Recipient{{Certificate: p.certificate}}},
		"one of two is wrong": {pki.BadKey, Envelope{Cipher: AES128CBC}, []Recipient{{Certificate: p.certificate}, {Certificate: ed.certificate}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Encrypt(c.e, c.r...)
			wantKind(t, err, c.kind)
		})
	}
}

// A token is an RSA key in hardware that knows nothing of session keys: it returns an
// error where the padding is wrong, and a key of any length.
type token struct{ *rsa.PrivateKey }

func (k token) Decrypt(random io.Reader, message []byte, options crypto.DecrypterOpts) ([]byte, error) {
	//lint:ignore SA1019 clients of CMS know nothing else (RFC 3370, 4.2.1)
	if _, ok := options.(*rsa.PKCS1v15DecryptOptions); ok {
		options = nil
	}
	return k.PrivateKey.Decrypt(random, message, options)
}

// An agreerFunc is a key agreement in hardware.
type agreerFunc func(*ecdh.PublicKey) ([]byte, error)

func (f agreerFunc) ECDH(remote *ecdh.PublicKey) ([]byte, error) { return f(remote) }

// TestHardware opens with keys that are reached through interfaces alone.
func TestHardware(t *testing.T) {
	p := newParty(t, pki.RSA2048)
	k := Key{Certificate: p.certificate, Decrypter: token{p.key.(*rsa.PrivateKey)}}
	for _, oaep := range []bool{false, true} {
		message := encrypt(t, Envelope{Content: []byte("content"), Cipher: AES256CBC}, Recipient{Certificate: p.certificate, OAEP: oaep})
		if opened, err := Open(message, OpenOptions{}, k); err != nil || string(opened.Content) != "content" {
			t.Error(err)
		}
	}
	ec := newParty(t, pki.P256)
	inner := ec.opener(t).Agreer
	message := encrypt(t, Envelope{Content: []byte("content"), Cipher: AES256CBC}, Recipient{Certificate: ec.certificate})
	for want, agreer := range map[string]agreerFunc{"": inner.ECDH, "one error for all": func(*ecdh.PublicKey) ([]byte, error) { return nil, errors.New("one error for all") }} {
		key := Key{Certificate: ec.certificate, Agreer: agreer}
		if want != "" {
			_ = wantClosed(t, message, []byte("content"), key)
		} else if opened, err := Open(message, OpenOptions{}, key); err != nil || string(opened.Content) != "content" {
			t.Error(err)
		}
	}
}

// TestSmallstepEnvelope encrypts here and opens with smallstep/pkcs7, and the reverse.
func TestSmallstepEnvelope(t *testing.T) {
	p := newParty(t, pki.RSA2048)
	cert := parseX509(t, p.certificate)
	for _, cipher := range []Cipher{AES128CBC, AES256CBC} {
		message := encrypt(t, Envelope{Content: []byte("content"), Cipher: cipher}, Recipient{Certificate: p.certificate})
		other, err := pkcs7.Parse(message)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := other.Decrypt(cert, p.key); err != nil || string(content) != "content" {
			t.Errorf("%v, %q", err, content)
		}
	}
	defer func(a int) { pkcs7.ContentEncryptionAlgorithm = a }(pkcs7.ContentEncryptionAlgorithm)
	for _, algorithm := range []int{pkcs7.EncryptionAlgorithmAES128CBC, pkcs7.EncryptionAlgorithmAES256CBC} {
		pkcs7.ContentEncryptionAlgorithm = algorithm
		message, err := pkcs7.Encrypt([]byte("content"), []*x509.Certificate{cert})
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := Open(message, OpenOptions{}, p.opener(t)); err != nil || string(opened.Content) != "content" {
			t.Error(err)
		}
	}
}

// TestSecretsDoNotPrint prints keys in every form.
func TestSecretsDoNotPrint(t *testing.T) {
	s := secret("a key of a message")
	for _, format := range []string{"%s", "%v", "%+v", "%#v", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(format, s); got != "[secret]" {
			t.Errorf("%s: %s", format, got)
		}
	}
	if got, err := s.MarshalText(); string(got) != "[secret]" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}
