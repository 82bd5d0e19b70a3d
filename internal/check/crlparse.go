package check

import (
	"bytes"
	encodingasn1 "encoding/asn1"
	"errors"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A crlEntry is one revocation as a CRL says it: 32 bytes, since a CRL may have
// millions.
type crlEntry struct {
	serial pki.Serial
	reason int8
	at     int64 // Unix seconds
}

// A crl is a parsed CertificateList (RFC 5280, 5.1). It is read here and not with
// crypto/x509, which needs some 300 bytes for an entry.
type crl struct {
	tbs        []byte
	issuer     []byte // DER Name
	thisUpdate time.Time
	nextUpdate time.Time
	number     int64
	keyID      []byte     // of the authority key identifier
	url        string     // of the issuing distribution point; "" where absent
	entries    []crlEntry // in order of serial number
	algorithm  []byte     // DER AlgorithmIdentifier
	signature  []byte
}

var errCRL = errors.New("it is not a CertificateList of RFC 5280 in DER")

// parseCRL reads a CRL.
func parseCRL(b []byte) (*crl, error) {
	c := new(crl)
	outer, ok := der.ReadOnly(b, asn1.SEQUENCE)
	var tbs, algorithm cryptobyte.String
	ok = ok && outer.ReadASN1Element(&tbs, asn1.SEQUENCE) &&
		outer.ReadASN1Element(&algorithm, asn1.SEQUENCE) &&
		outer.ReadASN1BitStringAsBytes(&c.signature) && outer.Empty()
	if !ok {
		return nil, errCRL
	}
	c.tbs, c.algorithm = tbs, algorithm

	var (
		version            int64
		inner, issuer      cryptobyte.String
		revoked, exts      cryptobyte.String
		hasRevoked, hasExt bool
	)
	list, ok := der.ReadOnly(tbs, asn1.SEQUENCE)
	ok = ok && list.ReadASN1Integer(&version) && version == 1 && // v2
		list.ReadASN1Element(&inner, asn1.SEQUENCE) &&
		list.ReadASN1Element(&issuer, asn1.SEQUENCE) &&
		der.ReadTime(&list, &c.thisUpdate) && der.ReadTime(&list, &c.nextUpdate) &&
		list.ReadOptionalASN1(&revoked, &hasRevoked, asn1.SEQUENCE) &&
		list.ReadOptionalASN1(&exts, &hasExt, der.Explicit(0)) && hasExt && list.Empty()
	switch {
	case !ok:
		return nil, errCRL
	case !bytes.Equal(inner, algorithm):
		return nil, errors.New("its two signature algorithms differ (RFC 5280, 5.1.1.2)")
	case hasRevoked && revoked.Empty():
		return nil, errors.New("its list of revoked certificates is there and empty (RFC 5280, 5.1.2.6)")
	}
	c.issuer = issuer
	if err := c.readEntries(revoked); err != nil {
		return nil, err
	}
	return c, c.readExtensions(exts)
}

// readEntries reads the content of revokedCertificates and sorts it.
func (c *crl) readEntries(s cryptobyte.String) error {
	for !s.Empty() {
		var (
			entry, exts cryptobyte.String
			number      []byte
			at          time.Time
			hasExts     bool
			e           crlEntry
			err         error
		)
		if !s.ReadASN1(&entry, asn1.SEQUENCE) || !entry.ReadASN1Integer(&number) ||
			!der.ReadTime(&entry, &at) || !entry.ReadOptionalASN1(&exts, &hasExts, asn1.SEQUENCE) || !entry.Empty() {
			return errCRL
		}
		if e.serial, err = pki.SerialFromBytes(number); err != nil {
			return err
		}
		err = eachExtension(exts, func(oid string, value cryptobyte.String) bool {
			var reason int
			if oid != "2.5.29.21" {
				return true
			}
			ok := value.ReadASN1Enum(&reason) && value.Empty() && reason >= 0 && reason <= 10
			e.reason = int8(reason)
			return ok
		})
		if err != nil {
			return err
		}
		e.at = at.Unix()
		c.entries = append(c.entries, e)
	}
	slices.SortFunc(c.entries, func(a, b crlEntry) int { return bytes.Compare(a.serial[:], b.serial[:]) })
	return nil
}

// readExtensions reads the content of crlExtensions.
func (c *crl) readExtensions(s cryptobyte.String) error {
	var exts cryptobyte.String
	if !s.ReadASN1(&exts, asn1.SEQUENCE) || !s.Empty() {
		return errCRL
	}
	return eachExtension(exts, func(oid string, value cryptobyte.String) bool {
		switch oid {
		case "2.5.29.20": // cRLNumber
			return value.ReadASN1Integer(&c.number) && value.Empty()
		case "2.5.29.35": // authorityKeyIdentifier
			var aki, id cryptobyte.String
			ok := value.ReadASN1(&aki, asn1.SEQUENCE) && value.Empty() &&
				aki.ReadASN1(&id, der.Implicit(0))
			c.keyID = id
			return ok
		case "2.5.29.28": // issuingDistributionPoint
			return c.readDistributionPoint(value)
		}
		return true
	})
}

// readDistributionPoint reads an IssuingDistributionPoint that is one URL and
// nothing else: any other scope would hide revocations.
func (c *crl) readDistributionPoint(s cryptobyte.String) bool {
	var idp, point, names, url cryptobyte.String
	ok := s.ReadASN1(&idp, asn1.SEQUENCE) && s.Empty() &&
		idp.ReadASN1(&point, der.Explicit(0)) && idp.Empty() &&
		point.ReadASN1(&names, der.Explicit(0)) && point.Empty() &&
		names.ReadASN1(&url, der.Implicit(6)) && names.Empty()
	c.url = string(url)
	return ok
}

// eachExtension calls read with each Extension's identifier and value; where it
// returns false, the value is malformed.
func eachExtension(s cryptobyte.String, read func(oid string, value cryptobyte.String) bool) error {
	for !s.Empty() {
		var (
			ext, value cryptobyte.String
			oid        encodingasn1.ObjectIdentifier
			critical   bool
		)
		if !s.ReadASN1(&ext, asn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&oid) ||
			ext.PeekASN1Tag(asn1.BOOLEAN) && !ext.ReadASN1Boolean(&critical) ||
			!ext.ReadASN1(&value, asn1.OCTET_STRING) || !ext.Empty() || !read(oid.String(), value) {
			return errCRL
		}
	}
	return nil
}
