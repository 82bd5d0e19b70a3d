package cms

import (
	"bytes"
	"crypto"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// VerifyOptions are how a signature is verified.
type VerifyOptions struct {
	// Certificate is the DER certificate of the signer, which the message must name.
	// Nil: it is the one among those of the message that the message names.
	Certificate []byte
	// Legacy takes SHA-1, as clients from before 2015 use it.
	Legacy bool
}

// Verify verifies the signature of Signers[i] over the content, or over no octets
// where there is none, and over the signer's attributes (RFC 5652, 5.4 and 5.6). It
// returns the certificate whose key verified it.
func (d *SignedData) Verify(i int, o VerifyOptions) (certificate []byte, err error) {
	s := &d.Signers[i]
	certificate, p, err := d.signer(&s.name, o.Certificate)
	if err != nil {
		return nil, err
	}
	hash, err := hashFor(s.digest, o.Legacy)
	if err != nil {
		return nil, err
	}
	signed := d.Content
	if s.signed != nil {
		if err := d.checkAttributes(s.Attributes, hash); err != nil {
			return nil, err
		}
		signed = der.Append(nil, asn1.SET, s.signed)
	} else if _, set := der.ReadOnly(signed, asn1.SET); set || d.ContentType != der.OIDData {
		// RFC 5652, 5.3: attributes must be there but with id-data. Without them content
		// that is a set could be the attributes of another message, whose signature
		// would verify here.
		return nil, pki.Errorf(pki.Malformed, "the message's signer has no signed attributes, which this content needs")
	}
	if err := s.verify(p.spki, hash, signed); err != nil {
		return nil, err
	}
	return certificate, nil
}

// signer returns the certificate of the given name: given, which may be nil, or one
// of the message.
func (d *SignedData) signer(n *name, given []byte) (certificate []byte, p party, err error) {
	if given != nil {
		p, ok := readParty(given)
		if !ok || !n.is(&p) {
			return nil, p, pki.Errorf(pki.BadProof, "the message's signer is not the one whose certificate it must be")
		}
		return given, p, nil
	}
	for _, c := range d.Certificates {
		q, ok := readParty(c)
		if !ok || !n.is(&q) || bytes.Equal(c, certificate) {
			continue
		}
		if certificate != nil {
			return nil, p, pki.Errorf(pki.BadProof, "the message has several certificates that its signer could be")
		}
		certificate, p = c, q
	}
	if certificate == nil {
		return nil, p, pki.Errorf(pki.BadProof, "the message does not carry its signer's certificate")
	}
	return certificate, p, nil
}

// checkAttributes checks that the attributes say the content's type and digest.
func (d *SignedData) checkAttributes(a Attributes, hash crypto.Hash) error {
	contentType := cryptobyte.String(a.Get(der.OIDContentType))
	var oid string
	if !der.ReadOID(&contentType, &oid) || oid != d.ContentType {
		return pki.Errorf(pki.BadProof, "the signed attributes do not say the content's type once (RFC 5652, 11.1)")
	}
	h := hash.New()
	h.Write(d.Content)
	digest, ok := der.ReadOnly(a.Get(der.OIDMessageDigest), asn1.OCTET_STRING)
	if !ok || !bytes.Equal(digest, h.Sum(nil)) {
		return pki.Errorf(pki.BadProof, "the content is not the one whose digest is in the signed attributes")
	}
	return nil
}
