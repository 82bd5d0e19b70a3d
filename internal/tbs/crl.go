package tbs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
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

// WriteTBSCertList writes the DER TBSCertList (RFC 5280, 5.1.2) of version 2 with
// the extensions authorityKeyIdentifier, cRLNumber and, where info has them,
// deltaCRLIndicator, issuingDistributionPoint and freshestCRL. It ranges over entries twice, first for their size,
// and holds one at a time; where the second pass yields other sizes than the
// first, it fails. Entries are written in the order in which they come; that no
// serial comes twice is the caller's care. What w got before an error is of no
// use.
func WriteTBSCertList(w io.Writer, info *CRLInfo, entries iter.Seq[CRLEntry]) error {
	l, err := measureCertList(info, entries)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 32<<10)
	header := der.AppendHeader(nil, asn1.SEQUENCE, l.content)
	header = append(header, l.before...)
	if l.entries > 0 {
		header = der.AppendHeader(header, asn1.SEQUENCE, l.entries)
	}
	if _, err := out.Write(header); err != nil {
		return fmt.Errorf("CRL: %w", err)
	}

	left := l.entries
	var buf [maxCRLEntry]byte
	for e := range entries {
		entry, err := e.append(buf[:0])
		if err != nil {
			return err
		}
		if left -= len(entry); left < 0 {
			break
		}
		if _, err := out.Write(entry); err != nil {
			return fmt.Errorf("CRL: %w", err)
		}
	}
	if left != 0 {
		return errors.New("CRL: the entries of the second pass are not those of the first")
	}
	if _, err := out.Write(l.after); err != nil {
		return fmt.Errorf("CRL: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("CRL: %w", err)
	}
	return nil
}

// SizeTBSCertList returns how many bytes WriteTBSCertList writes. It ranges over
// entries once.
func SizeTBSCertList(info *CRLInfo, entries iter.Seq[CRLEntry]) (int64, error) {
	l, err := measureCertList(info, entries)
	if err != nil {
		return 0, err
	}
	return int64(der.Size(l.content)), nil
}

// A certList is a TBSCertList but for its entries.
type certList struct {
	before, after []byte // the fields before and after revokedCertificates
	entries       int    // octets of all entries; 0 leaves revokedCertificates out (RFC 5280, 5.1.2.6)
	content       int    // octets of the content of the TBSCertList
}

// measureCertList checks info, encodes it, and adds up the entries.
func measureCertList(info *CRLInfo, entries iter.Seq[CRLEntry]) (*certList, error) {
	l := new(certList)
	var err error
	if l.before, l.after, err = info.encode(); err != nil {
		return nil, err
	}
	var buf [maxCRLEntry]byte
	for e := range entries {
		entry, err := e.append(buf[:0])
		if err != nil {
			return nil, err
		}
		l.entries += len(entry)
	}
	l.content = len(l.before) + len(l.after)
	if l.entries > 0 {
		l.content += der.Size(l.entries)
	}
	return l, nil
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

// maxCRLEntry is a bound on the octets of one entry: a serial of 22, a time of 17,
// a reason of 14, and the header.
const maxCRLEntry = 64

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
