package pandotest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// CSR makes a certificate signing request in DER.
func CSR(t testing.TB, key crypto.Signer, subject pkix.Name, dnsNames ...string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject, DNSNames: dnsNames}, key)
	if err != nil {
		t.Fatalf("making a request: %v", err)
	}
	return der
}

// An Attribute is one of a request.
type Attribute struct {
	OID   string
	Value []byte // DER
}

// CSRWith is CSR with attributes, which the standard library does not make.
func CSRWith(t testing.TB, key crypto.Signer, subject pkix.Name, attributes ...Attribute) []byte {
	t.Helper()
	plain, err := tbs.ParseCSR(CSR(t, key, subject))
	if err != nil {
		t.Fatal(err)
	}
	content, _ := der.ReadOnly(plain.TBS, asn1.SEQUENCE)
	info := slices.Clone([]byte(content[:len(content)-2])) // its attributes are an empty set
	at := len(info)
	for _, a := range attributes {
		info = der.Append(info, asn1.SEQUENCE, der.Append(der.MustOID(a.OID), asn1.SET, a.Value))
	}
	info = der.Wrap(der.Wrap(info, at, der.Explicit(0)), 0, asn1.SEQUENCE)
	signature, err := tbs.Sign(key, plain.Key.SignatureAlgorithm(), info)
	if err != nil {
		t.Fatal(err)
	}
	return tbs.AppendSigned(nil, info, plain.Key.SignatureAlgorithm(), signature)
}

// A BadCSR is a request that every protocol must refuse.
type BadCSR struct {
	Name string
	DER  []byte
	Kind pki.Kind // of the refusal
}

// BadCSRs makes one request of each kind of fault. Some have 10 MB. The weak key's
// is else in order, also for profiles that take RSA keys and want a common name.
func BadCSRs(t testing.TB) []BadCSR {
	t.Helper()
	key := Key(t, pki.P256)
	good := CSR(t, key, pkix.Name{SerialNumber: "SM-000001"})

	broken := slices.Clone(good)
	broken[len(broken)-1] ^= 1 // the last octet of s: still a number, of another signature

	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprintf("n%d.example.com", i)
	}
	return []BadCSR{
		{"empty", nil, pki.Malformed},
		{"garbage", []byte("\xde\xad\xbe\xef"), pki.Malformed},
		{"truncated", good[:len(good)-1], pki.Malformed},
		{"trailing byte", append(slices.Clone(good), 0), pki.Malformed},
		{"10 MB of zeros", make([]byte, 10<<20), pki.Malformed},
		{"10 MB with a header", append([]byte{0x30, 0x83, 0x9f, 0xff, 0xfc}, bytes.Repeat([]byte{0x30, 0}, 5<<20)...)[:10<<20], pki.Malformed},
		{"broken signature", broken, pki.BadProof},
		{"100,000 names", CSR(t, key, pkix.Name{SerialNumber: "SM-000001"}, names...), pki.Malformed},
		{"RSA key with exponent 3", CSR(t, weakKey(t), pkix.Name{SerialNumber: "SM-000001", CommonName: "SM-000001"}), pki.BadKey},
	}
}

// weakKey makes an RSA key of 2048 bits with the exponent 3, which no generator
// of the standard library makes.
func weakKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	e, one := big.NewInt(3), big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil {
			continue // 3 divides p-1 or q-1
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 3}, D: d, Primes: []*big.Int{p, q}}
		if err := key.Validate(); err != nil {
			t.Fatal(err)
		}
		key.Precompute()
		return key
	}
}

// PEMRequests returns n requests of meters with keys of their own, concatenated
// in PEM; the devices are named prefix0, prefix1 and so on.
func PEMRequests(t testing.TB, prefix string, n int) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		der := CSR(t, Key(t, pki.P256), pkix.Name{SerialNumber: fmt.Sprintf("%s%d", prefix, i)})
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	return &b
}
