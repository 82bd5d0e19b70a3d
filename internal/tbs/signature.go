package tbs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/slhdsa"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A SignatureAlgorithm is a signature algorithm with its DER form. It comes from
// a key or from ParseSignatureAlgorithm; one put together elsewhere fits no key.
type SignatureAlgorithm struct {
	Name string      // as "ECDSA-SHA256"
	DER  []byte      // AlgorithmIdentifier; not to be changed
	Hash crypto.Hash // 0 where the message is signed whole

	scheme scheme
}

// A scheme is what a signature algorithm is besides its hash. The zero scheme is
// none.
type scheme byte

const (
	schemeECDSA scheme = iota + 1
	schemeRSA          // PKCS #1 v1.5
	schemePSS
	schemeEd25519
	schemeMLDSA44
	schemeMLDSA65
	schemeMLDSA87
	schemeSLHDSA
)

// The algorithms. Parameters are absent with all but RSA, which has NULL (RFC 5758,
// 3.2; RFC 8410, 3; RFC 9881, 2; RFC 9909, 3; RFC 4055, 5) or says those of PSS
// (RFC 4055, 3.1): the hash, MGF1 with the same, a salt as long as the hash.
var (
	ecdsaSHA256 = newAlgorithm("ECDSA-SHA256", schemeECDSA, crypto.SHA256, der.OIDECDSASHA256, "")
	ecdsaSHA384 = newAlgorithm("ECDSA-SHA384", schemeECDSA, crypto.SHA384, der.OIDECDSASHA384, "")
	ecdsaSHA512 = newAlgorithm("ECDSA-SHA512", schemeECDSA, crypto.SHA512, der.OIDECDSASHA512, "")
	rsaSHA256   = newAlgorithm("RSA-SHA256", schemeRSA, crypto.SHA256, der.OIDRSASHA256, asn1Null)
	rsaSHA384   = newAlgorithm("RSA-SHA384", schemeRSA, crypto.SHA384, der.OIDRSASHA384, asn1Null)
	rsaSHA512   = newAlgorithm("RSA-SHA512", schemeRSA, crypto.SHA512, der.OIDRSASHA512, asn1Null)
	pssSHA256   = newAlgorithm("RSA-PSS-SHA256", schemePSS, crypto.SHA256, der.OIDRSAPSS, pssParameters(der.OIDSHA256, 32))
	pssSHA384   = newAlgorithm("RSA-PSS-SHA384", schemePSS, crypto.SHA384, der.OIDRSAPSS, pssParameters(der.OIDSHA384, 48))
	pssSHA512   = newAlgorithm("RSA-PSS-SHA512", schemePSS, crypto.SHA512, der.OIDRSAPSS, pssParameters(der.OIDSHA512, 64))
	pureEd25519 = newAlgorithm("Ed25519", schemeEd25519, 0, der.OIDEd25519, "")
	pureMLDSA44 = newAlgorithm("ML-DSA-44", schemeMLDSA44, 0, der.OIDMLDSA44, "")
	pureMLDSA65 = newAlgorithm("ML-DSA-65", schemeMLDSA65, 0, der.OIDMLDSA65, "")
	pureMLDSA87 = newAlgorithm("ML-DSA-87", schemeMLDSA87, 0, der.OIDMLDSA87, "")
	pureSLHDSA  = newAlgorithm("SLH-DSA-SHA2-128s", schemeSLHDSA, 0, der.OIDSLHDSA, "")
)

// pssParameters returns the RSASSA-PSS-params; the trailer field has its default.
func pssParameters(hash string, salt uint64) string {
	identifier := der.Wrap(append(der.MustOID(hash), asn1Null...), 0, asn1.SEQUENCE)
	b := der.Append(nil, der.Explicit(0), identifier)
	mask := len(b)
	b = append(b, der.MustOID(der.OIDMGF1)...)
	b = append(b, identifier...)
	b = der.Wrap(b, mask, asn1.SEQUENCE)
	b = der.Wrap(b, mask, der.Explicit(1))
	length := len(b)
	b = der.AppendInteger(b, salt)
	b = der.Wrap(b, length, der.Explicit(2))
	return string(der.Wrap(b, 0, asn1.SEQUENCE))
}

func newAlgorithm(name string, s scheme, hash crypto.Hash, oid, parameters string) SignatureAlgorithm {
	identifier := append(der.MustOID(oid), parameters...)
	return SignatureAlgorithm{Name: name, DER: der.Wrap(identifier, 0, asn1.SEQUENCE), Hash: hash, scheme: s}
}

// ParseSignatureAlgorithm returns the algorithm with the given DER
// AlgorithmIdentifier: ECDSA, RSA PKCS #1 v1.5 or RSA PSS with SHA-256, SHA-384 or
// SHA-512, Ed25519, ML-DSA or SLH-DSA-SHA2-128s. With PKCS #1 v1.5 the NULL may be
// absent (RFC 4055, 5); PSS is taken with the parameters that everybody writes.
// Any other is a BadProof error.
func ParseSignatureAlgorithm(identifier []byte) (SignatureAlgorithm, error) {
	content, _ := der.ReadOnly(identifier, asn1.SEQUENCE)
	for _, alg := range [...]*SignatureAlgorithm{
		&ecdsaSHA256, &ecdsaSHA384, &ecdsaSHA512, &rsaSHA256, &rsaSHA384, &rsaSHA512, &pureEd25519,
		&pssSHA256, &pssSHA384, &pssSHA512, &pureMLDSA44, &pureMLDSA65, &pureMLDSA87, &pureSLHDSA,
	} {
		own, _ := der.ReadOnly(alg.DER, asn1.SEQUENCE)
		if string(content) == string(own) || alg.scheme == schemeRSA && string(content)+asn1Null == string(own) {
			return *alg, nil
		}
	}
	return SignatureAlgorithm{}, pki.Errorf(pki.BadProof, "the signature algorithm is not supported; supported are ECDSA, RSA PKCS #1 v1.5 and RSA PSS with SHA-256, SHA-384 and SHA-512, Ed25519, ML-DSA and SLH-DSA-SHA2-128s")
}

// Sign signs message with key, hashing it where alg hashes. ECDSA signatures are
// hedged: their nonce comes from the key, the message and crypto/rand. A key that
// alg does not fit is refused before it is used. The signature is not verified.
func Sign(key crypto.Signer, alg SignatureAlgorithm, message []byte) ([]byte, error) {
	var fits bool
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		fits = alg.scheme == schemeECDSA
	case *rsa.PublicKey:
		fits = alg.scheme == schemeRSA || alg.scheme == schemePSS
	case PSSKey:
		fits = alg.scheme == schemePSS
	case ed25519.PublicKey:
		fits = alg.scheme == schemeEd25519
	case *mldsa.PublicKey:
		algorithm, _ := encodeMLDSA(public)
		fits = algorithm != "" && string(alg.DER) == string(der.Append(nil, asn1.SEQUENCE, []byte(algorithm)))
	case slhdsa.PublicKey:
		fits = alg.scheme == schemeSLHDSA
	}
	if !fits {
		return nil, fmt.Errorf("signature algorithm %q does not fit a key of type %T", alg.Name, key.Public())
	}
	var buf [64]byte
	return key.Sign(rand.Reader, digest(buf[:0], alg.Hash, message), alg.Options())
}

// PSS reports whether the algorithm is RSASSA-PSS.
func (a *SignatureAlgorithm) PSS() bool { return a.scheme == schemePSS }

// Options returns what a crypto.Signer is told of the algorithm.
func (a *SignatureAlgorithm) Options() crypto.SignerOpts {
	if a.scheme == schemePSS {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.Hash}
	}
	return a.Hash
}

// AppendSigned appends SEQUENCE{tbs, algorithm, BIT STRING signature}: a
// certificate, CRL or request. tbs must not overlap dst's spare capacity.
func AppendSigned(dst, tbs []byte, alg SignatureAlgorithm, signature []byte) []byte {
	dst = der.AppendHeader(dst, asn1.SEQUENCE, len(tbs)+len(alg.DER)+der.Size(len(signature)+1))
	dst = append(dst, tbs...)
	dst = append(dst, alg.DER...)
	return der.AppendBitString(dst, signature)
}

// digest appends to buf the hash of message, or returns message where hash is 0.
// It knows the hashes of the algorithms above and allocates for none.
func digest(buf []byte, hash crypto.Hash, message []byte) []byte {
	switch hash {
	case crypto.SHA256:
		sum := sha256.Sum256(message)
		return append(buf, sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return append(buf, sum[:]...)
	case crypto.SHA512:
		sum := sha512.Sum512(message)
		return append(buf, sum[:]...)
	default:
		return message
	}
}
