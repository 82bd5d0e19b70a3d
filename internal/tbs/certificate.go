package tbs

import (
	"bytes"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// Parsed is a strictly parsed TBSCertificate or Certificate. It shares memory with
// the bytes that it was parsed from.
type Parsed struct {
	Raw, TBS            []byte // Raw is nil when only a TBSCertificate was parsed
	Serial              pki.Serial
	Algorithm           []byte // DER AlgorithmIdentifier
	Issuer, Subject     []byte // DER Name
	NotBefore, NotAfter time.Time
	Key                 PublicKey
	Extensions          []Extension
	Signature           []byte // nil when only a TBSCertificate was parsed
}

// ParseTBS reads a DER TBSCertificate (RFC 5280, 4.1.2) of the form that pando
// issues: version 3, a serial of at most 20 octets, names that ParseName reads,
// the issuer's not empty, times by 4.1.2.5, a key that ParsePublicKey reads
// (otherwise BadKey), no unique identifiers, 1 to 64 extensions or none, none
// twice. Of basic constraints, key usage and the two key identifiers the values
// are read, too. Anything else is Malformed.
func ParseTBS(tbs []byte) (*Parsed, error) {
	return ParseTBSFor(nil, tbs)
}

// ParseTBSFor is ParseTBS for a certificate that is meant for a key: where its
// SubjectPublicKeyInfo is the key's to the octet, it gets that key, which was read from
// these octets once, and they are not read again. Any other is read.
func ParseTBSFor(key PublicKey, tbs []byte) (*Parsed, error) {
	p := &Parsed{TBS: tbs, Key: key}
	if err := p.parseTBS(); err != nil {
		return nil, err
	}
	return p, nil
}

// ParseCertificate reads a DER Certificate: a TBSCertificate as in ParseTBS and a
// signature, which is not verified, by the algorithm that the TBSCertificate
// names.
func ParseCertificate(certificate []byte) (*Parsed, error) {
	p := &Parsed{Raw: certificate}
	content, ok := der.ReadOnly(certificate, asn1.SEQUENCE)
	var algorithm cryptobyte.String
	if !ok || !content.ReadASN1Element((*cryptobyte.String)(&p.TBS), asn1.SEQUENCE) ||
		!content.ReadASN1Element(&algorithm, asn1.SEQUENCE) ||
		!content.ReadASN1BitStringAsBytes(&p.Signature) || !content.Empty() {
		return nil, pki.Errorf(pki.Malformed, "the certificate is not a well-formed DER Certificate")
	}
	if err := p.parseTBS(); err != nil {
		return nil, err
	}
	if !bytes.Equal(algorithm, p.Algorithm) { // RFC 5280, 4.1.1.2
		return nil, pki.Errorf(pki.Malformed, "the certificate names two different signature algorithms")
	}
	return p, nil
}

// parseTBS reads p.TBS; p.Key is one that may be its key, or nil.
func (p *Parsed) parseTBS() error {
	s, ok := der.ReadOnly(p.TBS, asn1.SEQUENCE)
	var version []byte
	if !ok || !s.ReadBytes(&version, len(version3)) || string(version) != version3 {
		return pki.Errorf(pki.Malformed, "the certificate is not one of version 3")
	}
	if !readSerial(&s, &p.Serial) {
		return pki.Errorf(pki.Malformed, "the certificate's serial is not a positive integer of at most 20 octets")
	}
	var validity, spki cryptobyte.String
	if !s.ReadASN1Element((*cryptobyte.String)(&p.Algorithm), asn1.SEQUENCE) || !isAlgorithm(p.Algorithm) ||
		!s.ReadASN1Element((*cryptobyte.String)(&p.Issuer), asn1.SEQUENCE) ||
		!s.ReadASN1(&validity, asn1.SEQUENCE) ||
		!s.ReadASN1Element((*cryptobyte.String)(&p.Subject), asn1.SEQUENCE) ||
		!s.ReadASN1Element(&spki, asn1.SEQUENCE) {
		return pki.Errorf(pki.Malformed, "the certificate's fields are not well-formed")
	}
	if !der.ReadTime(&validity, &p.NotBefore) || !der.ReadTime(&validity, &p.NotAfter) || !validity.Empty() {
		return pki.Errorf(pki.Malformed, "the certificate's validity is not two times as RFC 5280 writes them")
	}
	if err := checkName(p.Issuer); err != nil {
		return err
	}
	if string(p.Issuer) == emptyName { // RFC 5280, 4.1.2.4
		return pki.Errorf(pki.Malformed, "the certificate's issuer is empty")
	}
	if err := checkName(p.Subject); err != nil {
		return err
	}
	var err error
	if p.Key == nil || !bytes.Equal(p.Key.SPKI(), spki) {
		if p.Key, err = ParsePublicKey(spki); err != nil {
			return err
		}
	}
	if s.Empty() {
		return nil
	}
	var extensions cryptobyte.String
	if !s.ReadASN1(&extensions, der.Explicit(3)) || !s.Empty() {
		return pki.Errorf(pki.Malformed, "the certificate has something but extensions after its key")
	}
	if p.Extensions, err = parseExtensions(extensions); err != nil {
		return err
	}
	return p.checkValues()
}

// checkValues checks the values that Parsed has methods for, so that none of them
// has to guess: what reads as "no CA" here and as a CA elsewhere would be a hole.
func (p *Parsed) checkValues() error {
	for i := range p.Extensions {
		ok := true
		switch e := &p.Extensions[i]; e.OID {
		case der.OIDBasicConstraints:
			_, _, ok = parseBasicConstraints(e.Value)
		case der.OIDKeyUsage:
			_, ok = parseKeyUsage(e.Value)
		case der.OIDSubjectKeyIdentifier:
			_, ok = parseSubjectKeyID(e.Value)
		case der.OIDAuthorityKeyIdentifier:
			_, ok = parseAuthorityKeyID(e.Value)
		}
		if !ok {
			return pki.Errorf(pki.Malformed, "the certificate's extension %s has a value that is not well-formed", p.Extensions[i].OID)
		}
	}
	return nil
}

// readSerial reads a serial number: a positive INTEGER of at most 20 content
// octets (RFC 5280, 4.1.2.2).
func readSerial(s *cryptobyte.String, serial *pki.Serial) bool {
	var content cryptobyte.String
	if !s.ReadASN1(&content, asn1.INTEGER) || len(content) == 0 || len(content) > len(serial) || content[0] >= 0x80 {
		return false
	}
	if content[0] == 0 && (len(content) == 1 || content[1] < 0x80) { // zero, or not minimal
		return false
	}
	*serial = pki.Serial{}
	copy(serial[len(serial)-len(content):], content)
	return true
}

// Extension returns the extension with the given dotted identifier, or nil.
func (p *Parsed) Extension(oid string) *Extension {
	return findExtension(p.Extensions, oid)
}

// SubjectKeyID returns the identifier in the subjectKeyIdentifier extension, or,
// where there is none, that of the key.
func (p *Parsed) SubjectKeyID() []byte {
	if e := p.Extension(der.OIDSubjectKeyIdentifier); e != nil {
		id, _ := parseSubjectKeyID(e.Value)
		return id
	}
	return p.Key.KeyID()
}

// authorityKeyID returns the keyIdentifier in the authorityKeyIdentifier
// extension, or nil.
func (p *Parsed) authorityKeyID() []byte {
	if e := p.Extension(der.OIDAuthorityKeyIdentifier); e != nil {
		id, _ := parseAuthorityKeyID(e.Value)
		return id
	}
	return nil
}

// IsCA returns what the basicConstraints extension says: whether the subject is a
// CA, and how many CA certificates may follow it in a path (-1: no limit). Without
// the extension the subject is none.
func (p *Parsed) IsCA() (ca bool, pathLen int) {
	if e := p.Extension(der.OIDBasicConstraints); e != nil {
		ca, pathLen, _ = parseBasicConstraints(e.Value)
		return ca, pathLen
	}
	return false, -1
}

// KeyUsage returns the bits of the keyUsage extension, or 0 where there is none.
func (p *Parsed) KeyUsage() KeyUsage {
	if e := p.Extension(der.OIDKeyUsage); e != nil {
		usage, _ := parseKeyUsage(e.Value)
		return usage
	}
	return 0
}

// CheckSignedBy checks that issuer issued p: issuer's subject is p's issuer, the
// key identifiers agree where both are there, issuer is a CA whose key usage,
// where it has the extension, allows keyCertSign (otherwise Malformed), and the
// signature verifies (otherwise BadProof). Validity and path length are not
// checked. A self-signed certificate is checked against itself.
func (p *Parsed) CheckSignedBy(issuer *Parsed) error {
	ca, _ := issuer.IsCA()
	aki := p.authorityKeyID()
	switch {
	case !bytes.Equal(p.Issuer, issuer.Subject):
		return pki.Errorf(pki.Malformed, "the certificate names another issuer")
	case aki != nil && !bytes.Equal(aki, issuer.SubjectKeyID()):
		return pki.Errorf(pki.Malformed, "the certificate names another key of its issuer")
	case !ca:
		return pki.Errorf(pki.Malformed, "the issuer's certificate is not one of a CA")
	case issuer.Extension(der.OIDKeyUsage) != nil && issuer.KeyUsage()&KeyCertSign == 0:
		return pki.Errorf(pki.Malformed, "the issuer's key usage does not allow it to sign certificates")
	}
	alg, err := ParseSignatureAlgorithm(p.Algorithm)
	if err != nil {
		return err
	}
	if err := issuer.Key.Verify(alg, p.TBS, p.Signature); err != nil {
		return pki.Because(pki.BadProof, err, "the certificate's signature does not verify with its issuer's key")
	}
	return nil
}
