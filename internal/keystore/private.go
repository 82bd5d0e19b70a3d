package keystore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	x509std "crypto/x509"
	"errors"
	"fmt"
	"io"

	"filippo.io/mldsa"
	"filippo.io/mldsa/x509"
	"github.com/cloudflare/circl/sign/slhdsa"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// NewPrivateKey makes a private key in this process's memory, for those who seal
// it. A kind that is not one of pki.KeyKinds is Malformed.
func NewPrivateKey(kind pki.KeyKind) (crypto.Signer, error) {
	switch kind {
	case pki.P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case pki.P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case pki.P521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case pki.RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case pki.RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case pki.RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case pki.RSA2048PSS:
		return newPSS(2048)
	case pki.RSA3072PSS:
		return newPSS(3072)
	case pki.RSA4096PSS:
		return newPSS(4096)
	case pki.Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case pki.MLDSA44:
		return mldsa.GenerateKey(mldsa.MLDSA44())
	case pki.MLDSA65:
		return mldsa.GenerateKey(mldsa.MLDSA65())
	case pki.MLDSA87:
		return mldsa.GenerateKey(mldsa.MLDSA87())
	case pki.SLHDSA:
		_, key, err := slhdsa.GenerateKey(rand.Reader, slhdsa.SHA2_128s)
		return key, err
	default:
		_, err := pki.ParseKeyKind(string(kind))
		return nil, err
	}
}

// A pssKey signs by RSASSA-PSS alone.
type pssKey struct{ private *rsa.PrivateKey }

func newPSS(bits int) (crypto.Signer, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	return pssKey{private}, err
}

func (k pssKey) Public() crypto.PublicKey { return tbs.PSSKey{PublicKey: &k.private.PublicKey} }

// Equal compares private keys, as those of the standard library do.
func (k pssKey) Equal(x crypto.PrivateKey) bool {
	other, ok := x.(pssKey)
	return ok && k.private.Equal(other.private)
}

// Sign refuses to sign by PKCS #1 v1.5.
func (k pssKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, ok := opts.(*rsa.PSSOptions); !ok {
		return nil, errors.New("this key signs by RSASSA-PSS alone")
	}
	return k.private.Sign(random, digest, opts)
}

// MarshalPrivateKey returns the PKCS #8 PrivateKeyInfo of a key that NewPrivateKey
// makes: of ML-DSA with the seed alone (RFC 9881, 6), of SLH-DSA as RFC 9909, 6 has
// it, of RSA for PSS alone with id-RSASSA-PSS, without parameters (RFC 4055, 3.1). The
// caller clears it.
func MarshalPrivateKey(key crypto.Signer) ([]byte, error) {
	if pss, ok := key.(pssKey); ok {
		raw := x509std.MarshalPKCS1PrivateKey(pss.private)
		defer clear(raw)
		return privateKeyInfo(der.OIDRSAPSS, raw), nil
	}
	slh, ok := key.(slhdsa.PrivateKey)
	if !ok {
		return x509.MarshalPKCS8PrivateKey(key)
	}
	if slh.ID != slhdsa.SHA2_128s {
		return nil, fmt.Errorf("a key of %s", slh.ID)
	}
	raw, err := slh.MarshalBinary()
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	return privateKeyInfo(der.OIDSLHDSA, raw), nil
}

// privateKeyInfo returns a PrivateKeyInfo whose algorithm has no parameters.
func privateKeyInfo(oid string, raw []byte) []byte {
	b := make([]byte, 0, len(raw)+64) // whole, so that no copy of the key stays behind
	b = der.AppendInteger(b, 0)
	algorithm := len(b)
	b = append(b, der.MustOID(oid)...)
	b = der.Wrap(b, algorithm, asn1.SEQUENCE)
	b = der.Append(b, asn1.OCTET_STRING, raw)
	return der.Wrap(b, 0, asn1.SEQUENCE)
}

// ParsePrivateKey reads what MarshalPrivateKey returns. Its errors do not quote it.
func ParsePrivateKey(pkcs8 []byte) (crypto.Signer, error) {
	if info, ok := der.ReadOnly(pkcs8, asn1.SEQUENCE); ok {
		if raw, ok := readPrivateKey(info, der.OIDRSAPSS); ok {
			private, err := x509std.ParsePKCS1PrivateKey(raw)
			if err != nil {
				return nil, errors.New("the private key is not one of RSA")
			}
			return pssKey{private}, nil
		}
		if raw, ok := readPrivateKey(info, der.OIDSLHDSA); ok {
			key := slhdsa.PrivateKey{ID: slhdsa.SHA2_128s}
			if err := key.UnmarshalBinary(raw); err != nil {
				return nil, errors.New("the private key is not one of SLH-DSA-SHA2-128s")
			}
			return key, nil
		}
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, errors.New("this is not a private key in PKCS #8")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T does not sign", key)
	}
	return signer, nil
}

// readPrivateKey reads the content of a PrivateKeyInfo of an algorithm without
// parameters.
func readPrivateKey(info cryptobyte.String, wanted string) (raw []byte, ok bool) {
	var version uint
	var algorithm, key cryptobyte.String
	var oid string
	ok = info.ReadASN1Integer(&version) && version == 0 &&
		info.ReadASN1(&algorithm, asn1.SEQUENCE) && der.ReadOID(&algorithm, &oid) && oid == wanted && algorithm.Empty() &&
		info.ReadASN1(&key, asn1.OCTET_STRING) && info.Empty()
	return key, ok
}
