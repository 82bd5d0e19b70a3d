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

// maxHeader is the longest DER header of what fits into 4 GiB.
const maxHeader = 6

// A CertList is a TBSCertList (RFC 5280, 5.1.2) of version 2 on its way into the
// bytes of the CRL that it becomes: entries are encoded once, where they stay. It has
// the extensions authorityKeyIdentifier, cRLNumber and, where info has them,
// deltaCRLIndicator, issuingDistributionPoint and freshestCRL.
type CertList struct {
	algorithm []byte
	before    []byte // the fields before revokedCertificates
	after     []byte // those after them
	buf       []byte // room for all headers and before, then entries
	start     int    // where the TBSCertList begins, once Finish was called
}

// NewCertList begins a list. size is how many octets of entries are expected; more
// cost copies, nothing else.
func NewCertList(info *CRLInfo, size int) (*CertList, error) {
	before, after, err := info.encode()
	if err != nil {
		return nil, err
	}
	room := 3*maxHeader + len(before)
	l := &CertList{algorithm: info.Algorithm.DER, before: before, after: after}
	l.buf = make([]byte, room, room+size+len(after)+maxSignature)
	return l, nil
}

// maxSignature is room for the algorithm and the signature of every algorithm that
// pando has.
const maxSignature = 1 << 10

// Add adds an entry. Entries stand in the order in which they come; that no serial
// comes twice is the caller's care.
func (l *CertList) Add(e *CRLEntry) (err error) {
	l.buf, err = e.append(l.buf)
	return err
}

// Finish returns the DER TBSCertList, to be signed. Nothing is added after it.
func (l *CertList) Finish() []byte {
	room := 3*maxHeader + len(l.before)
	var header []byte
	if entries := len(l.buf) - room; entries > 0 { // otherwise the field is left out (RFC 5280, 5.1.2.6)
		header = der.AppendHeader(nil, asn1.SEQUENCE, entries)
	}
	l.start = room
	put := func(b []byte) {
		l.start -= len(b)
		copy(l.buf[l.start:], b)
	}
	put(header)
	put(l.before)
	l.buf = append(l.buf, l.after...)
	put(der.AppendHeader(nil, asn1.SEQUENCE, len(l.buf)-l.start))
	return l.buf[l.start:]
}

// Signed returns the DER CertificateList with the signature of what Finish returned,
// in the same memory.
func (l *CertList) Signed(signature []byte) []byte {
	l.buf = append(l.buf, l.algorithm...)
	l.buf = append(l.buf, der.AppendBitString(nil, signature)...)
	header := der.AppendHeader(nil, asn1.SEQUENCE, len(l.buf)-l.start)
	copy(l.buf[l.start-len(header):], header)
	return l.buf[l.start-len(header):]
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

// append appends the entry of revokedCertificates.
func (e *CRLEntry) append(dst []byte) ([]byte, error) {
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
