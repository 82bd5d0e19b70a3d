package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Message is what a SignedData carries (RFC 5652, 5.1).
type Message struct {
	ContentType  string   // dotted; "" is id-data
	Content      []byte   // nil: none, and what is signed is no octets (RFC 8894, 3.2.2)
	Certificates [][]byte // DER; those of the signers are among them only where they stand here
	CRLs         [][]byte // DER
}

// A Signer signs a message (RFC 5652, 5.3).
type Signer struct {
	// Key signs with the algorithm that the key has elsewhere in pando: ECDSA with the
	// hash of the curve's size (RFC 5753, 2.1), RSA PKCS #1 v1.5 with SHA-256, RSA PSS
	// where its public key is a tbs.PSSKey (RFC 4056), Ed25519 (RFC 8419).
	Key         crypto.Signer
	Certificate []byte // DER, of Key
	KeyID       bool   // names the certificate by its subjectKeyIdentifier, not by issuer and serial

	SigningTime time.Time   // RFC 5652, 11.3; zero leaves it out
	Attributes  []Attribute // to be signed, besides contentType, messageDigest and signingTime
}

// Sign returns the DER ContentInfo of a SignedData. Without signers it is a
// degenerate one. Every signature covers attributes.
func Sign(m Message, signers ...Signer) ([]byte, error) {
	if m.ContentType == "" {
		m.ContentType = der.OIDData
	}
	version := uint64(1) // RFC 5652, 5.1
	if m.ContentType != der.OIDData {
		version = 3
	}
	var digests, infos [][]byte
	for i := range signers {
		digest, info, err := signers[i].sign(&m)
		if err != nil {
			return nil, fmt.Errorf("signer %d: %w", i+1, err)
		}
		infos = append(infos, info)
		if !slices.ContainsFunc(digests, func(d []byte) bool { return bytes.Equal(d, digest) }) {
			digests = append(digests, digest)
		}
		if signers[i].KeyID {
			version = 3
		}
	}
	head := der.AppendInteger(nil, version)
	head = der.Append(head, asn1.SET, joinSorted(digests))
	var tail []byte
	var err error
	if tail, err = appendSet(tail, der.Explicit(0), "certificate", m.Certificates); err != nil {
		return nil, err
	}
	if tail, err = appendSet(tail, der.Explicit(1), "CRL", m.CRLs); err != nil {
		return nil, err
	}
	tail = der.Append(tail, asn1.SET, joinSorted(infos))
	return assemble(&m, head, tail)
}

// appendSet appends a SET OF DER sequences under an implicit tag, or nothing where
// there are none.
func appendSet(dst []byte, tag asn1.Tag, what string, elements [][]byte) ([]byte, error) {
	if len(elements) == 0 {
		return dst, nil
	}
	for i, e := range elements {
		if _, ok := der.ReadOnly(e, asn1.SEQUENCE); !ok {
			return nil, fmt.Errorf("%s %d is not one DER sequence", what, i+1)
		}
	}
	return der.Append(dst, tag, joinSorted(elements)), nil
}

// assemble puts the message's content between head and tail, copying it once.
func assemble(m *Message, head, tail []byte) ([]byte, error) {
	inner, err := der.AppendOID(nil, m.ContentType)
	if err != nil {
		return nil, err
	}
	size := len(inner)
	if m.Content != nil {
		octets := der.Size(len(m.Content))
		size += der.Size(octets)
		inner = der.AppendHeader(inner, der.Explicit(0), octets)
		inner = der.AppendHeader(inner, asn1.OCTET_STRING, len(m.Content))
	}
	front := append(head, der.AppendHeader(nil, asn1.SEQUENCE, size)...)
	front = append(front, inner...)
	return newContentInfo(der.OIDSignedData, front, m.Content, tail), nil
}

// sign returns the AlgorithmIdentifier of the digest, and the SignerInfo.
func (s *Signer) sign(m *Message) (digest, info []byte, err error) {
	p, ok := readParty(s.Certificate)
	if !ok {
		return nil, nil, errors.New("its certificate is not well-formed")
	}
	key, err := tbs.NewPublicKey(s.Key.Public())
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(key.SPKI(), p.spki) {
		return nil, nil, errors.New("its certificate is of another key")
	}
	alg := key.SignatureAlgorithm()
	hash, signature, err := algorithms(key, alg)
	if err != nil {
		return nil, nil, err
	}
	attributes, err := s.attributes(m, hash)
	if err != nil {
		return nil, nil, err
	}
	// RFC 5652, 5.4: what is signed is the SET OF, not the implicit tag that it has
	// in the message.
	signed, err := tbs.Sign(s.Key, alg, der.Append(nil, asn1.SET, attributes))
	if err != nil {
		return nil, nil, err
	}
	digest = digestAlgorithm(hash)
	version := uint64(1)
	if s.KeyID {
		version = 3
	}
	if info, err = p.appendName(der.AppendInteger(nil, version), s.KeyID); err != nil {
		return nil, nil, err
	}
	info = append(info, digest...)
	info = der.Append(info, der.Explicit(0), attributes)
	info = append(info, signature...)
	info = der.Append(info, asn1.OCTET_STRING, signed)
	return digest, der.Wrap(info, 0, asn1.SEQUENCE), nil
}

// attributes returns the content of signedAttrs.
func (s *Signer) attributes(m *Message, hash crypto.Hash) ([]byte, error) {
	h := hash.New()
	h.Write(m.Content)
	contentType, err := der.AppendOID(nil, m.ContentType)
	if err != nil {
		return nil, err
	}
	all := []Attribute{
		{der.OIDContentType, contentType},
		{der.OIDMessageDigest, der.Append(nil, asn1.OCTET_STRING, h.Sum(nil))},
	}
	if !s.SigningTime.IsZero() {
		all = append(all, Attribute{der.OIDSigningTime, der.AppendTime(nil, s.SigningTime)})
	}
	return attributeSet(append(all, s.Attributes...))
}

// algorithms returns the hash of the content and the AlgorithmIdentifier of the
// signature.
func algorithms(key tbs.PublicKey, alg tbs.SignatureAlgorithm) (crypto.Hash, []byte, error) {
	switch key.Crypto().(type) {
	case *rsa.PublicKey:
		if alg.PSS() {
			return alg.Hash, alg.DER, nil
		}
		// RFC 3370, 3.2: every implementation takes rsaEncryption, not every one an
		// identifier with a hash.
		return alg.Hash, rsaEncryption, nil
	case *ecdsa.PublicKey:
		return alg.Hash, alg.DER, nil
	case ed25519.PublicKey:
		return crypto.SHA512, alg.DER, nil // RFC 8419, 3.1
	}
	return 0, nil, fmt.Errorf("a key of kind %s does not sign CMS messages", key.Kind())
}

// rsaEncryption is the AlgorithmIdentifier of RSA PKCS #1 v1.5 (RFC 3370, 3.2).
var rsaEncryption = der.Append(nil, asn1.SEQUENCE, append(der.MustOID(der.OIDRSA), asn1Null...))
