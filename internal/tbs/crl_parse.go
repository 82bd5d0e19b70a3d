package tbs

import (
	"bytes"
	"iter"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A ParsedCRL is a CertificateList (RFC 5280, 5.1) whose entries are read as they
// are asked for, so that it costs the same whatever their number. It shares memory
// with what it was read from.
type ParsedCRL struct {
	TBS         []byte // DER TBSCertList
	Issuer      []byte // DER Name
	IssuerKeyID []byte // of the authority key identifier; nil where absent
	ThisUpdate  time.Time
	NextUpdate  time.Time
	Number      int64
	Base        int64  // of the deltaCRLIndicator; 0 for a full CRL
	URL         string // of the issuing distribution point; "" where absent
	Freshest    string // the URL of freshestCRL; "" where absent
	Algorithm   []byte // DER AlgorithmIdentifier
	Signature   []byte

	revoked []byte // content of revokedCertificates
}

// ParseCRL reads a DER CRL of version 2 with a number above 0, or says why it is
// Malformed. An issuing distribution point, and a freshestCRL, must be one URL and
// nothing else, and no other extension may be critical: any other scope would hide
// revocations. The entries and the signature are not looked at.
func ParseCRL(crl []byte) (*ParsedCRL, error) {
	c := new(ParsedCRL)
	outer, ok := der.ReadOnly(crl, asn1.SEQUENCE)
	ok = ok && outer.ReadASN1Element((*cryptobyte.String)(&c.TBS), asn1.SEQUENCE) &&
		outer.ReadASN1Element((*cryptobyte.String)(&c.Algorithm), asn1.SEQUENCE) &&
		outer.ReadASN1BitStringAsBytes(&c.Signature) && outer.Empty()
	if !ok {
		return nil, pki.Errorf(pki.Malformed, "this is not a DER certificate revocation list")
	}
	var (
		version            int64
		inner              cryptobyte.String
		revoked, exts      cryptobyte.String
		hasRevoked, hasExt bool
	)
	list, _ := der.ReadOnly(c.TBS, asn1.SEQUENCE)
	ok = list.ReadASN1Integer(&version) && version == 1 && // v2
		list.ReadASN1Element(&inner, asn1.SEQUENCE) &&
		list.ReadASN1Element((*cryptobyte.String)(&c.Issuer), asn1.SEQUENCE) &&
		der.ReadTime(&list, &c.ThisUpdate) && der.ReadTime(&list, &c.NextUpdate) &&
		list.ReadOptionalASN1(&revoked, &hasRevoked, asn1.SEQUENCE) &&
		list.ReadOptionalASN1(&exts, &hasExt, der.Explicit(0)) && hasExt && list.Empty()
	switch {
	case !ok:
		return nil, pki.Errorf(pki.Malformed, "the CRL's fields are not those of RFC 5280, 5.1, in version 2 with extensions")
	case !bytes.Equal(inner, c.Algorithm):
		return nil, pki.Errorf(pki.Malformed, "the CRL's two signature algorithms differ (RFC 5280, 5.1.1.2)")
	case hasRevoked && revoked.Empty():
		return nil, pki.Errorf(pki.Malformed, "the CRL's list of revoked certificates is there and empty (RFC 5280, 5.1.2.6)")
	}
	c.revoked = revoked
	if err := c.readExtensions(exts); err != nil {
		return nil, err
	}
	if c.Number <= 0 || c.Base < 0 || c.Base >= c.Number {
		return nil, pki.Errorf(pki.Malformed, "the CRL has no number above 0, or is a delta to one that is not below it")
	}
	return c, nil
}

func (c *ParsedCRL) readExtensions(extensions []byte) error {
	parsed, err := parseExtensions(extensions)
	if err != nil {
		return err
	}
	for _, e := range parsed {
		ok := true
		switch e.OID {
		case der.OIDCRLNumber:
			ok = readNumber(e.Value, &c.Number)
		case der.OIDDeltaCRLIndicator:
			ok = readNumber(e.Value, &c.Base) && c.Base > 0
		case der.OIDAuthorityKeyIdentifier:
			c.IssuerKeyID, ok = parseAuthorityKeyID(e.Value)
		case der.OIDIssuingDistributionPoint:
			content := cryptobyte.String(e.Value)
			ok = readPoint(&content, &c.URL) && content.Empty()
		case der.OIDFreshestCRL:
			content, whole := der.ReadOnly(e.Value, asn1.SEQUENCE)
			ok = whole && readPoint(&content, &c.Freshest) && content.Empty()
		default:
			ok = !e.Critical
		}
		if !ok {
			return pki.Errorf(pki.Malformed, "the CRL's extension %s is not one that is understood here", e.OID)
		}
	}
	return nil
}

func readNumber(value []byte, n *int64) bool {
	s := cryptobyte.String(value)
	return s.ReadASN1Integer(n) && s.Empty()
}

// readPoint reads a DistributionPoint, or an IssuingDistributionPoint, that is one
// URL as its full name and nothing else.
func readPoint(s *cryptobyte.String, url *string) bool {
	var point, name, names, uri cryptobyte.String
	ok := s.ReadASN1(&point, asn1.SEQUENCE) &&
		point.ReadASN1(&name, der.Explicit(0)) && point.Empty() &&
		name.ReadASN1(&names, der.Explicit(0)) && name.Empty() &&
		names.ReadASN1(&uri, tagURI) && names.Empty()
	*url = string(uri)
	return ok && len(uri) > 0
}

// Entries yields the entries in the order in which they stand. After an error,
// Malformed, there are no more.
func (c *ParsedCRL) Entries() iter.Seq2[CRLEntry, error] {
	return func(yield func(CRLEntry, error) bool) {
		for rest := cryptobyte.String(c.revoked); !rest.Empty(); {
			e, ok := readCRLEntry(&rest)
			if !ok {
				yield(e, pki.Errorf(pki.Malformed, "the CRL has an entry that is not well-formed"))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func readCRLEntry(s *cryptobyte.String) (e CRLEntry, ok bool) {
	var entry, exts cryptobyte.String
	var extended bool
	ok = s.ReadASN1(&entry, asn1.SEQUENCE) && readSerial(&entry, &e.Serial) && der.ReadTime(&entry, &e.At) &&
		entry.ReadOptionalASN1(&exts, &extended, asn1.SEQUENCE) && entry.Empty()
	for ok && !exts.Empty() {
		var x Extension
		if !readExtension(&exts, &x) {
			return e, false
		}
		if x.OID == der.OIDReasonCode {
			value, code := cryptobyte.String(x.Value), 0
			if !value.ReadASN1Enum(&code) || !value.Empty() || !validReason(pki.Reason(code)) {
				return e, false
			}
			e.Reason = pki.Reason(code)
		} else if x.Critical { // RFC 5280, 5.3: such a CRL tells nothing of any certificate
			return e, false
		}
	}
	return e, ok
}

// CheckSignedBy checks that issuer signed the CRL: its name and key identifier are
// those that the CRL has, its key usage, where it has the extension, allows
// cRLSign (otherwise Malformed), and the signature verifies (otherwise BadProof).
func (c *ParsedCRL) CheckSignedBy(issuer *Parsed) error {
	switch {
	case !bytes.Equal(c.Issuer, issuer.Subject):
		return pki.Errorf(pki.Malformed, "the CRL names another issuer")
	case !bytes.Equal(c.IssuerKeyID, issuer.SubjectKeyID()):
		return pki.Errorf(pki.Malformed, "the CRL names another key of its issuer")
	case issuer.Extension(der.OIDKeyUsage) != nil && issuer.KeyUsage()&CRLSign == 0:
		return pki.Errorf(pki.Malformed, "the issuer's key usage does not allow it to sign CRLs")
	}
	alg, err := ParseSignatureAlgorithm(c.Algorithm)
	if err != nil {
		return err
	}
	if err := issuer.Key.Verify(alg, c.TBS, c.Signature); err != nil {
		return pki.Because(pki.BadProof, err, "the CRL's signature does not verify with its issuer's key")
	}
	return nil
}
