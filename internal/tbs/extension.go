package tbs

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// The encoders below return a whole Extension ::= SEQUENCE each.

// BasicConstraints returns the basicConstraints extension (RFC 5280, 4.2.1.9),
// critical. pathLen is the path length constraint, -1 for none; it counts only
// with ca.
func BasicConstraints(ca bool, pathLen int) []byte {
	dst, value := openExtension(nil, der.MustOID(der.OIDBasicConstraints), true)
	content := len(dst)
	if ca {
		dst = append(dst, asn1True...)
		if pathLen >= 0 {
			dst = der.AppendInteger(dst, uint64(pathLen))
		}
	}
	dst = der.Wrap(dst, content, asn1.SEQUENCE)
	return closeExtension(dst, 0, value)
}

// ExtendedKeyUsage returns the extendedKeyUsage extension (RFC 5280, 4.2.1.12) for
// one or more purposes.
func ExtendedKeyUsage(critical bool, oids ...string) ([]byte, error) {
	dst, value := openExtension(nil, der.MustOID(der.OIDExtendedKeyUsage), critical)
	if len(oids) == 0 {
		return nil, errors.New("extended key usage: no purpose")
	}
	content := len(dst)
	for _, oid := range oids {
		var err error
		if dst, err = der.AppendOID(dst, oid); err != nil {
			return nil, fmt.Errorf("extended key usage: %w", err)
		}
	}
	dst = der.Wrap(dst, content, asn1.SEQUENCE)
	return closeExtension(dst, 0, value), nil
}

// A Policy is a certificate policy with its qualifiers (RFC 5280, 4.2.1.4).
type Policy struct {
	OID    string // dotted
	CPS    string // URI of the practice statement; "" for none
	Notice string // explicit text of a user notice, at most 200 characters; "" for none
}

// CertificatePolicies returns the certificatePolicies extension (RFC 5280,
// 4.2.1.4) for one or more policies. It refuses a policy that stands twice, a
// CPS that is no absolute URI and a notice that is too long.
func CertificatePolicies(critical bool, policies ...Policy) ([]byte, error) {
	dst, value := openExtension(nil, der.MustOID(der.OIDCertificatePolicies), critical)
	if len(policies) == 0 {
		return nil, errors.New("certificate policies: no policy")
	}
	content := len(dst)
	for i, p := range policies {
		if slices.ContainsFunc(policies[:i], func(o Policy) bool { return o.OID == p.OID }) {
			return nil, fmt.Errorf("certificate policies: %s stands twice", p.OID)
		}
		var err error
		if dst, err = p.append(dst); err != nil {
			return nil, fmt.Errorf("certificate policies: %w", err)
		}
	}
	dst = der.Wrap(dst, content, asn1.SEQUENCE)
	return closeExtension(dst, 0, value), nil
}

// append appends the PolicyInformation.
func (p Policy) append(dst []byte) ([]byte, error) {
	start := len(dst)
	dst, err := der.AppendOID(dst, p.OID)
	if err != nil {
		return nil, err
	}
	qualifiers := len(dst)
	if p.CPS != "" {
		if !isURI(p.CPS) {
			return nil, fmt.Errorf("the practice statement %q is not an absolute URI", p.CPS)
		}
		at := len(dst)
		dst = append(dst, der.MustOID(der.OIDQualifierCPS)...)
		dst = der.Append(dst, asn1.IA5String, []byte(p.CPS))
		dst = der.Wrap(dst, at, asn1.SEQUENCE)
	}
	if p.Notice != "" {
		if !utf8.ValidString(p.Notice) || utf8.RuneCountInString(p.Notice) > 200 {
			return nil, errors.New("a user notice has at most 200 characters")
		}
		at := len(dst)
		dst = append(dst, der.MustOID(der.OIDQualifierNotice)...)
		notice := len(dst)
		dst = der.Append(dst, asn1.UTF8String, []byte(p.Notice))
		dst = der.Wrap(dst, notice, asn1.SEQUENCE)
		dst = der.Wrap(dst, at, asn1.SEQUENCE)
	}
	if len(dst) > qualifiers {
		dst = der.Wrap(dst, qualifiers, asn1.SEQUENCE)
	}
	return der.Wrap(dst, start, asn1.SEQUENCE), nil
}

// AuthorityKeyID returns the authorityKeyIdentifier extension (RFC 5280, 4.2.1.1),
// not critical, with the key identifier alone.
func AuthorityKeyID(id []byte) []byte {
	dst, value := openExtension(nil, der.MustOID(der.OIDAuthorityKeyIdentifier), false)
	content := len(dst)
	dst = der.Append(dst, der.Implicit(0), id)
	dst = der.Wrap(dst, content, asn1.SEQUENCE)
	return closeExtension(dst, 0, value)
}

// AuthorityInfoAccess returns the authorityInfoAccess extension (RFC 5280,
// 4.2.2.1), not critical, with the URLs of the OCSP responder and of the issuer's
// certificate. Either may be ""; with both empty there is no extension, and it
// returns nil. The URLs are ASCII.
func AuthorityInfoAccess(ocsp, caIssuers string) []byte {
	if ocsp == "" && caIssuers == "" {
		return nil
	}
	dst, value := openExtension(nil, der.MustOID(der.OIDAuthorityInfoAccess), false)
	content := len(dst)
	for _, access := range [...]struct{ method, url string }{
		{der.OIDAccessOCSP, ocsp},
		{der.OIDAccessCAIssuers, caIssuers},
	} {
		if access.url == "" {
			continue
		}
		description := len(dst)
		dst = append(dst, der.MustOID(access.method)...)
		dst = der.Append(dst, tagURI, []byte(access.url))
		dst = der.Wrap(dst, description, asn1.SEQUENCE)
	}
	dst = der.Wrap(dst, content, asn1.SEQUENCE)
	return closeExtension(dst, 0, value)
}

// OCSPNoCheck returns the id-pkix-ocsp-nocheck extension (RFC 6960, 4.2.2.2.1),
// not critical.
func OCSPNoCheck() []byte {
	dst, value := openExtension(nil, der.MustOID(der.OIDOCSPNoCheck), false)
	return closeExtension(append(dst, asn1Null...), 0, value)
}

// NoRevAvail returns the noRevAvail extension (RFC 9608, 2), not critical: nothing
// is published about the certificate's revocation.
func NoRevAvail() []byte {
	dst, value := openExtension(nil, der.MustOID(der.OIDNoRevAvail), false)
	return closeExtension(append(dst, asn1Null...), 0, value)
}

// RawExtension returns the extension with the given dotted identifier and DER
// value.
func RawExtension(oid string, critical bool, value []byte) ([]byte, error) {
	id, err := der.AppendOID(nil, oid)
	if err != nil {
		return nil, err
	}
	dst, at := openExtension(nil, id, critical)
	return closeExtension(append(dst, value...), 0, at), nil
}

// crlDistributionPoint returns an extension that is CRLDistributionPoints with one
// URL: cRLDistributionPoints (RFC 5280, 4.2.1.13) or freshestCRL (4.2.1.15, 5.2.6).
func crlDistributionPoint(oid string, critical bool, url string) ([]byte, error) {
	if !isURI(url) {
		return nil, fmt.Errorf("CRL distribution point %q is not an absolute URI", url)
	}
	dst, value := openExtension(nil, der.MustOID(oid), critical)
	content := len(dst)
	dst = appendPointName(dst, url)
	dst = der.Wrap(dst, content, asn1.SEQUENCE) // DistributionPoint
	dst = der.Wrap(dst, content, asn1.SEQUENCE)
	return closeExtension(dst, 0, value), nil
}

// FreshestCRL returns the freshestCRL extension (RFC 5280, 4.2.1.15), which is never
// critical, with the URL of a delta CRL.
func FreshestCRL(url string) ([]byte, error) {
	return crlDistributionPoint(der.OIDFreshestCRL, false, url)
}

// appendPointName appends the field distributionPoint [0] of a DistributionPoint
// or an IssuingDistributionPoint, with a URL as its full name.
func appendPointName(dst []byte, url string) []byte {
	at := len(dst)
	dst = der.Append(dst, tagURI, []byte(url))
	dst = der.Wrap(dst, at, der.Explicit(0)) // fullName [0] GeneralNames
	return der.Wrap(dst, at, der.Explicit(0))
}

// asn1True is the BOOLEAN TRUE.
const asn1True = "\x01\x01\xff"

// openExtension appends what of an Extension comes before its value's content, but
// for the headers, and returns where that begins. closeExtension adds the headers
// of an extension that begins at start.
func openExtension(dst, oid []byte, critical bool) (_ []byte, value int) {
	dst = append(dst, oid...)
	if critical {
		dst = append(dst, asn1True...)
	}
	return dst, len(dst)
}

func closeExtension(dst []byte, start, value int) []byte {
	dst = der.Wrap(dst, value, asn1.OCTET_STRING)
	return der.Wrap(dst, start, asn1.SEQUENCE)
}
