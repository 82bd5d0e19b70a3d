package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// X25519 and rsa1024 are kinds of key beside those of pki.
const (
	x25519  pki.KeyKind = "x25519"
	rsa1024 pki.KeyKind = "rsa1024"
)

// A testParty is somebody with a key and a self-signed certificate of it.
type testParty struct {
	key         crypto.PrivateKey
	certificate []byte
}

func (p testParty) signer() crypto.Signer { return p.key.(crypto.Signer) }

// rsaKeys are made once, since they take long.
var rsaKeys sync.Map

func newKey(t testing.TB, kind pki.KeyKind) (key crypto.PrivateKey) {
	t.Helper()
	var err error
	switch kind {
	case pki.P256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case pki.P384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case pki.P521:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case pki.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case x25519:
		key, err = ecdh.X25519().GenerateKey(rand.Reader)
	case pki.RSA2048, pki.RSA2048PSS, rsa1024:
		bits := 2048
		if kind == rsa1024 {
			bits = 1024
		}
		made, ok := rsaKeys.Load(bits)
		if !ok {
			made, err = rsa.GenerateKey(rand.Reader, bits)
			rsaKeys.Store(bits, made)
		}
		if key = made; kind == pki.RSA2048PSS && err == nil {
			key = pssKey{made.(*rsa.PrivateKey)}
		}
	default:
		t.Fatalf("no key of kind %s", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A pssKey signs by PSS, as keystore's does.
type pssKey struct{ *rsa.PrivateKey }

func (k pssKey) Public() crypto.PublicKey { return tbs.PSSKey{PublicKey: &k.PublicKey} }

// newParty makes a key and a certificate with a key identifier. A key that cannot
// sign has one that another key signed.
func newParty(t testing.TB, kind pki.KeyKind) testParty {
	t.Helper()
	key := newKey(t, kind)
	signer, pub := key, any(nil)
	switch k := key.(type) {
	case pssKey:
		signer, pub = k.PrivateKey, &k.PublicKey
	case *ecdh.PrivateKey:
		signer, pub = newKey(t, pki.P256), ed25519.PublicKey(k.PublicKey().Bytes()) // see below
	default:
		pub = key.(crypto.Signer).Public()
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: "a certificate"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		SubjectKeyId: serial.Bytes(),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, pub, signer)
	if err != nil {
		t.Fatal(err)
	}
	if kind == x25519 {
		// crypto/x509 certifies no such key: it is put in the place of one of Ed25519. The
		// signature breaks, which nobody looks at.
		ed := append(der.MustOID(der.OIDEd25519), 3, 33, 0)
		cert = bytes.Replace(cert, ed, append(der.MustOID(der.OIDX25519), 3, 33, 0), 1)
	}
	return testParty{key, cert}
}

// checkDER checks that message is DER as far as it can be told without a schema: each
// constructed element down to the last, with sets in order. Attributes' and other sets
// that are implicitly tagged are not known as sets.
func checkDER(t testing.TB, message []byte) {
	t.Helper()
	s := cryptobyte.String(message)
	for !s.Empty() {
		var element, content cryptobyte.String
		var tag asn1.Tag
		if !s.ReadAnyASN1Element(&element, &tag) {
			t.Fatalf("not DER: %x", []byte(s))
		}
		if tag&constructed == 0 {
			continue
		}
		rest := element
		rest.ReadASN1(&content, tag)
		if tag == asn1.SET {
			var before cryptobyte.String
			for inner := content; !inner.Empty(); {
				var e cryptobyte.String
				var tag asn1.Tag
				if !inner.ReadAnyASN1Element(&e, &tag) || bytes.Compare(before, e) > 0 {
					t.Fatalf("a set that is not in order: %x", []byte(content))
				}
				before = e
			}
		}
		checkDER(t, content)
	}
}

// toBER returns the message, which is DER, as BER of another form: with indefinite lengths, and
// OCTET STRINGs in pieces.
func toBER(message []byte) []byte {
	var out []byte
	for s := cryptobyte.String(message); !s.Empty(); {
		var content cryptobyte.String
		var tag asn1.Tag
		if !s.ReadAnyASN1(&content, &tag) {
			panic("not DER")
		}
		switch {
		case tag&constructed != 0:
			out = append(append(append(out, byte(tag), 0x80), toBER(content)...), 0, 0)
		case tag == asn1.OCTET_STRING && len(content) > 0:
			half := len(content) / 2
			out = append(out, byte(tag)|constructed, 0x80)
			out = append(out, byte(tag), 0x81, byte(min(half, 100)))
			out = append(out, content[:min(half, 100)]...)
			out = append(out, byte(tag), 0x83, byte((len(content)-min(half, 100))>>16), byte((len(content)-min(half, 100))>>8), byte(len(content)-min(half, 100)))
			out = append(append(out, content[min(half, 100):]...), 0, 0)
		default:
			out = append(out, byte(tag), 0x83, byte(len(content)>>16), byte(len(content)>>8), byte(len(content)))
			out = append(out, content...)
		}
	}
	return out
}

// wantClosed returns the error of a message that keys do not open. A random key makes sense
// of CBC once in 256 times: what then comes out is not an error of ours, and is not the
// content.
func wantClosed(t testing.TB, message, content []byte, keys ...Key) error {
	t.Helper()
	opened, err := Open(message, OpenOptions{}, keys...)
	for i := 0; err == nil && i < 100 && !bytes.Equal(opened.Content, content); i++ {
		opened, err = Open(message, OpenOptions{}, keys...)
	}
	if err == nil {
		t.Fatalf("opened: %q", opened.Content)
	}
	wantKind(t, err, pki.BadProof)
	return err
}

// wantKind checks that err is of the given kind.
func wantKind(t testing.TB, err error, kind pki.Kind) {
	t.Helper()
	if err == nil || pki.KindOf(err) != kind {
		t.Errorf("%v, of kind %s, where %s is due", err, pki.KindOf(err), kind)
	}
}

// allocated returns how many octets the process has allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func parseX509(t testing.TB, certificate []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
