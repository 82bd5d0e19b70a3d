package tbs

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A CRLInfo is what a CRL has besides its entries.
type CRLInfo struct {
	Issuer      []byte // DER Name, not empty
	IssuerKeyID []byte // its subject key identifier
	Algorithm   SignatureAlgorithm
	Number      int64     // not negative
	ThisUpdate  time.Time // whole seconds
	NextUpdate  time.Time // whole seconds, after ThisUpdate
	URL         string    // of the IssuingDistributionPoint, critical; "" leaves IDP out

	// Base makes it a delta CRL to the full one with this number, with a
	// deltaCRLIndicator, critical (RFC 5280, 5.2.4); 0 is a full CRL. The scope
	// of a delta is that of the full CRL.
	Base int64
	// Freshest is the URL of the delta CRLs to a full one, in freshestCRL (RFC
	// 5280, 5.2.6); "" leaves it out.
	Freshest string
}

// A CRLEntry is one revoked certificate.
type CRLEntry struct {
	Serial pki.Serial
	At     time.Time  // fractions of a second are cut off
	Reason pki.Reason // unspecified is not encoded (RFC 5280, 5.3.1)
}

// A CertList is a TBSCertList (RFC 5280, 5.1.2) of version 2 around its entries,
// which are encoded, hashed and kept apart from it: nobody needs to hold a list of
// millions at once. It has the extensions authorityKeyIdentifier, cRLNumber and, where
// info has them, deltaCRLIndicator, issuingDistributionPoint and freshestCRL.
type CertList struct {
	begin, end []byte // of the TBSCertList, before and after the entries
	entries    int    // octets
	algorithm  []byte
}

// NewCertList returns the list of entries that take so many octets, as
// CRLEntry.Append encodes them. They stand in the order that the caller gives them;
// that no serial comes twice is the caller's care.
func NewCertList(info *CRLInfo, entries int) (*CertList, error) {
	before, after, err := info.encode()
	if err != nil {
		return nil, err
	}
	if entries > 0 { // otherwise the field is left out (RFC 5280, 5.1.2.6)
		before = der.AppendHeader(before, asn1.SEQUENCE, entries)
	}
	begin := der.AppendHeader(nil, asn1.SEQUENCE, len(before)+entries+len(after))
	return &CertList{begin: append(begin, before...), end: after, entries: entries, algorithm: info.Algorithm.DER}, nil
}

// Begin returns what stands before the entries in the DER TBSCertList that is to be
// signed, and End what stands after them.
func (l *CertList) Begin() []byte { return l.begin }

// End is the other half of Begin.
func (l *CertList) End() []byte { return l.end }

// Signed returns what stands before and after the entries in the DER CertificateList
// with the signature of the TBSCertList.
func (l *CertList) Signed(signature []byte) (head, tail []byte) {
	tail = append(append(tail, l.end...), l.algorithm...)
	tail = append(tail, der.AppendBitString(nil, signature)...)
	head = der.AppendHeader(nil, asn1.SEQUENCE, len(l.begin)+l.entries+len(tail))
	return append(head, l.begin...), tail
}

// encode returns the fields before and after revokedCertificates.
func (info *CRLInfo) encode() (before, after []byte, err error) {
	name, ok := der.ReadOnly(info.Issuer, asn1.SEQUENCE)
	switch {
	case !ok || name.Empty():
		return nil, nil, errors.New("CRL: the issuer's name is empty or not a DER Name")
	case info.Algorithm.scheme == 0:
		return nil, nil, errors.New("CRL: no signature algorithm")
	case len(info.IssuerKeyID) == 0:
		return nil, nil, errors.New("CRL: no issuer key identifier")
	case info.Number < 0:
		return nil, nil, errors.New("CRL: the number is negative")
	case !timeInRange(info.ThisUpdate) || !timeInRange(info.NextUpdate) || !info.NextUpdate.After(info.ThisUpdate):
		return nil, nil, errors.New("CRL: the updates have fractions of a second, lie outside the years 1950 to 9999, or the next is not after this")
	case info.URL != "" && !isURI(info.URL):
		return nil, nil, fmt.Errorf("CRL: %q is not an absolute URI", info.URL)
	case info.Base < 0 || info.Base != 0 && info.Base >= info.Number:
		return nil, nil, fmt.Errorf("CRL: number %d cannot be a delta to number %d", info.Number, info.Base)
	case info.Base != 0 && info.Freshest != "":
		return nil, nil, errors.New("CRL: a delta CRL does not name a delta CRL (RFC 5280, 5.2.6)")
	}
	before = der.AppendInteger(nil, 1) // v2
	before = append(before, info.Algorithm.DER...)
	before = append(before, info.Issuer...)
	before = der.AppendTime(before, info.ThisUpdate)
	before = der.AppendTime(before, info.NextUpdate)

	after = AuthorityKeyID(info.IssuerKeyID)
	after = appendNumber(after, der.OIDCRLNumber, false, info.Number)
	if info.Base != 0 {
		after = appendNumber(after, der.OIDDeltaCRLIndicator, true, info.Base)
	}
	if info.URL != "" {
		start, value := len(after), 0
		after, value = openExtension(after, der.MustOID(der.OIDIssuingDistributionPoint), true)
		after = appendPointName(after, info.URL)
		after = der.Wrap(after, value, asn1.SEQUENCE)
		after = closeExtension(after, start, value)
	}
	if info.Freshest != "" {
		freshest, err := FreshestCRL(info.Freshest)
		if err != nil {
			return nil, nil, err
		}
		after = append(after, freshest...)
	}
	after = der.Wrap(after, 0, asn1.SEQUENCE)
	return before, der.Wrap(after, 0, der.Explicit(0)), nil
}

// appendNumber appends an extension whose value is a CRLNumber.
func appendNumber(dst []byte, oid string, critical bool, number int64) []byte {
	start := len(dst)
	dst, value := openExtension(dst, der.MustOID(oid), critical)
	return closeExtension(der.AppendInteger(dst, uint64(number)), start, value)
}

// reasonExtensions is what comes before the reason in an entry: crlEntryExtensions
// with the one extension reasonCode (RFC 5280, 5.3.1), an ENUMERATED of one octet.
var reasonExtensions = "\x30\x0c\x30\x0a" + string(der.MustOID(der.OIDReasonCode)) + "\x04\x03\x0a\x01"

// Append appends the DER entry of revokedCertificates.
func (e *CRLEntry) Append(dst []byte) ([]byte, error) {
	if !encodable(&e.Serial) {
		return nil, errors.New("CRL: a serial is not positive or takes more than 20 octets")
	}
	if !yearInRange(e.At) {
		return nil, fmt.Errorf("CRL: the time of revocation of %s lies outside the years 1950 to 9999", e.Serial)
	}
	if !validReason(e.Reason) {
		return nil, fmt.Errorf("CRL: the reason %d of %s is none of RFC 5280", e.Reason, e.Serial)
	}
	start := len(dst)
	dst = der.AppendUnsigned(dst, e.Serial[:])
	dst = der.AppendTime(dst, e.At)
	if e.Reason != pki.Unspecified {
		dst = append(dst, reasonExtensions...)
		dst = append(dst, byte(e.Reason))
	}
	return der.Wrap(dst, start, asn1.SEQUENCE), nil
}

// validReason reports whether r is a CRLReason (RFC 5280, 5.3.1; 7 is not used).
func validReason(r pki.Reason) bool {
	return r >= 0 && r <= pki.AACompromise && r != 7
}
