package pandotest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A CA is a CA certificate with its key, in memory.
type CA struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	parent      *CA // nil for a root
}

// NewRoot makes a root with a P-256 key, valid for 25 years from notBefore, with a
// path length of 1.
func NewRoot(t testing.TB, commonName string, notBefore time.Time) *CA {
	t.Helper()
	return newCA(t, nil, commonName, notBefore, 25, 1)
}

// NewIssuing makes an issuing CA below ca with a P-256 key, valid for 15 years from
// notBefore, with a path length of 0.
func (ca *CA) NewIssuing(t testing.TB, commonName string, notBefore time.Time) *CA {
	t.Helper()
	return newCA(t, ca, commonName, notBefore, 15, 0)
}

func newCA(t testing.TB, parent *CA, commonName string, notBefore time.Time, years, pathLen int) *CA {
	t.Helper()
	ca := &CA{Key: Key(t, pki.P256), parent: parent}
	notBefore = notBefore.UTC().Truncate(time.Second)
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: commonName},
		NotBefore: notBefore, NotAfter: notBefore.AddDate(years, 0, 0).Add(-time.Second),
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	signer := parent
	if parent == nil {
		signer = &CA{Certificate: template, Key: ca.Key}
	}
	ca.Certificate = Parse(t, signer.Sign(t, template, ca.Key.Public()))
	return ca
}

// Sign signs a certificate and returns its DER. A serial number is made where the
// template has none.
func (ca *CA) Sign(t testing.TB, template *x509.Certificate, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Certificate, key, ca.Key)
	if err != nil {
		t.Fatalf("signing a certificate: %v", err)
	}
	return der
}

// Chain returns the DER of the CA's certificate and those above it, with the root.
func (ca *CA) Chain() [][]byte {
	var chain [][]byte
	for ; ca != nil; ca = ca.parent {
		chain = append(chain, ca.Certificate.Raw)
	}
	return chain
}

// Parse reads a certificate in DER.
func Parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parsing a certificate: %v", err)
	}
	return cert
}

// PEM returns certificates in PEM, one after another.
func PEM(certificates ...[]byte) []byte {
	var text []byte
	for _, der := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}
