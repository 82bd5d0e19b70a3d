package revocationtest

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/internal/pki"
)

// Request returns a DER OCSPRequest for a serial of an issuer, as x/crypto/ocsp
// makes it.
func Request(t testing.TB, issuer *x509.Certificate, hash crypto.Hash, serial pki.Serial) []byte {
	t.Helper()
	der, err := ocsp.CreateRequest(Certificate(serial), issuer, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Certificate returns a certificate that has a serial and nothing else, for
// functions that look at no more.
func Certificate(serial pki.Serial) *x509.Certificate {
	return &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial.Bytes())}
}

// RequestWith returns a DER OCSPRequest with several CertIDs, SHA-1 and SHA-256
// by turns, and with a nonce where it is not nil: what x/crypto/ocsp cannot make.
func RequestWith(issuer *x509.Certificate, nonce []byte, serials ...pki.Serial) []byte {
	var spki, bits cryptobyte.String = issuer.RawSubjectPublicKeyInfo, nil
	spki.ReadASN1(&spki, asn1.SEQUENCE)
	spki.SkipASN1(asn1.SEQUENCE)
	spki.ReadASN1BitStringAsBytes((*[]byte)(&bits))
	name1, key1 := sha1.Sum(issuer.RawSubject), sha1.Sum(bits)
	name256, key256 := sha256.Sum256(issuer.RawSubject), sha256.Sum256(bits)

	var b cryptobyte.Builder
	sequence := func(b *cryptobyte.Builder, f cryptobyte.BuilderContinuation) { b.AddASN1(asn1.SEQUENCE, f) }
	certID := func(b *cryptobyte.Builder, oid []byte, name, key []byte, serial pki.Serial) {
		sequence(b, func(b *cryptobyte.Builder) {
			sequence(b, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(oid) })
			})
			b.AddASN1OctetString(name)
			b.AddASN1OctetString(key)
			b.AddASN1BigInt(new(big.Int).SetBytes(serial.Bytes()))
		})
	}
	sequence(&b, func(b *cryptobyte.Builder) { // OCSPRequest
		sequence(b, func(b *cryptobyte.Builder) { // TBSRequest
			sequence(b, func(b *cryptobyte.Builder) { // requestList
				for i, serial := range serials {
					sequence(b, func(b *cryptobyte.Builder) {
						if i%2 == 0 {
							certID(b, []byte{0x2b, 14, 3, 2, 26}, name1[:], key1[:], serial)
						} else {
							certID(b, []byte{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}, name256[:], key256[:], serial)
						}
					})
				}
			})
			if nonce == nil {
				return
			}
			b.AddASN1(asn1.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { // requestExtensions
				sequence(b, func(b *cryptobyte.Builder) {
					sequence(b, func(b *cryptobyte.Builder) {
						b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) {
							b.AddBytes([]byte{0x2b, 6, 1, 5, 5, 7, 48, 1, 2})
						})
						b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
					})
				})
			})
		})
	})
	return b.BytesOrPanic()
}
