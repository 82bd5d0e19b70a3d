package policy

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Lint re-reads the to-be-signed bytes and checks them against RFC 5280, the
// issuer, the profile and the content, and has zlint's rules read a certificate of
// them that nobody signed, once for each shape. Its errors have no kind: by then
// the request was accepted, so that a finding is a fault of ours or of the profile.
func (b *Bound) Lint(tbsCertificate []byte, c *tbs.Content) error {
	parsed, err := tbs.ParseTBSFor(c.Key, tbsCertificate)
	if err != nil {
		return fmt.Errorf("lint: the to-be-signed certificate cannot be read (RFC 5280, 4.1): %v", err)
	}
	if err = b.lintFields(parsed, c); err == nil {
		err = b.lintExtensions(parsed, c)
	}
	if err == nil {
		err = b.lintUsage(parsed, c)
	}
	if err == nil {
		err = b.lintShape(tbsCertificate, c)
	}
	if err != nil {
		return fmt.Errorf("lint: profile %s: %w", b.profile.name, err)
	}
	return nil
}

// lintFields checks all but the extensions. ParseTBS has seen to version 3 and
// to a positive serial of at most 20 octets.
func (b *Bound) lintFields(p *tbs.Parsed, c *tbs.Content) error {
	switch {
	case p.Serial != c.Serial:
		return errors.New("the serial is not the intended one (RFC 5280, 4.1.2.2)")
	case !bytes.Equal(p.Algorithm, b.issuer.Algorithm.DER):
		return errors.New("the signature algorithm is not the issuer's (RFC 5280, 4.1.2.3)")
	case !bytes.Equal(p.Issuer, b.issuer.Subject):
		return errors.New("the issuer is not the issuer's subject (RFC 5280, 4.1.2.4)")
	case !p.NotBefore.Equal(c.NotBefore) || !p.NotAfter.Equal(c.NotAfter):
		return errors.New("the validity is not the intended one in whole seconds (RFC 5280, 4.1.2.5)")
	case p.NotAfter.Before(p.NotBefore):
		return errors.New("the validity ends before it begins (RFC 5280, 4.1.2.5)")
	case p.NotBefore.Before(b.issuer.NotBefore) || !b.issuer.NotAfter.IsZero() && p.NotAfter.After(b.issuer.NotAfter):
		return errors.New("the validity is not within the issuer's (RFC 5280, 6.1.3)")
	case !bytes.Equal(p.Subject, c.Subject):
		return errors.New("the subject is not the intended one (RFC 5280, 4.1.2.6)")
	case !bytes.Equal(p.Key.SPKI(), c.Key.SPKI()):
		return errors.New("the public key is not the intended one (RFC 5280, 4.1.2.7)")
	case string(p.Subject) == emptyName && c.SAN == nil:
		return errors.New("there is neither a subject nor a subject alternative name (RFC 5280, 4.1.2.6)")
	}
	if err := b.checkNames(p.Subject, c.SAN); err != nil {
		return errors.New(pki.DetailOf(err))
	}
	return nil
}

// lintExtensions checks that there are exactly those that the profile names, in
// order, which also excludes that one comes twice.
func (b *Bound) lintExtensions(p *tbs.Parsed, c *tbs.Content) error {
	rest, values := p.Extensions, c.Values
	for i := range b.wants {
		w := &b.wants[i]
		if w.slot == tbs.SlotSAN && c.SAN == nil {
			continue
		}
		value := w.value
		if w.slot == tbs.SlotValue {
			if len(values) == 0 {
				return errors.New("the content has too few values")
			}
			if value, values = values[0], values[1:]; value == nil {
				continue
			}
		}
		if len(rest) == 0 || rest[0].OID != w.oid {
			return fmt.Errorf("extension %s is missing or not in its place (RFC 5280, %s)", w.oid, w.section())
		}
		critical := w.critical || w.slot == tbs.SlotSAN && string(c.Subject) == emptyName
		if rest[0].Critical != critical {
			return fmt.Errorf("extension %s: critical is %t (RFC 5280, %s)", w.oid, rest[0].Critical, w.section())
		}
		if !b.valueFits(w, value, rest[0].Value, p, c) {
			return fmt.Errorf("extension %s has not the value that the profile demands (RFC 5280, %s)", w.oid, w.section())
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("extension %s is not one that the profile names (RFC 5280, 4.2)", rest[0].OID)
	}
	return nil
}

// valueFits compares an extension's value with what the content makes of it, which
// of one without a slot of its own is the given one.
func (b *Bound) valueFits(w *want, given, value []byte, p *tbs.Parsed, c *tbs.Content) bool {
	switch w.slot {
	case tbs.SlotSKI:
		id := b.profile.KeyID(c.Key)
		return len(value) == 2+len(id) && value[0] == byte(asn1.OCTET_STRING) && value[1] == byte(len(id)) && bytes.Equal(value[2:], id)
	case tbs.SlotSAN:
		return bytes.Equal(value, c.SAN)
	case tbs.SlotKeyUsage:
		return c.KeyUsage != 0 && p.KeyUsage() == c.KeyUsage
	case tbs.SlotCRLDP:
		return bytes.Equal(value, b.crldp[c.Serial.Shard(len(b.crldp))])
	default:
		return bytes.Equal(value, given)
	}
}

// lintUsage checks that key usage, key and CA bit agree.
func (b *Bound) lintUsage(p *tbs.Parsed, c *tbs.Content) error {
	ca, pathLen := p.IsCA()
	usage := p.KeyUsage()
	switch {
	case ca != b.profile.ca:
		return fmt.Errorf("CA is %t (RFC 5280, 4.2.1.9)", ca)
	case ca && b.issuer.PathLen >= 0 && (pathLen < 0 || pathLen >= b.issuer.PathLen):
		return errors.New("the path length is not below the issuer's (RFC 5280, 4.2.1.9)")
	case ca != (usage&tbs.KeyCertSign != 0):
		return errors.New("keyCertSign and CA do not agree (RFC 5280, 4.2.1.3)")
	case misfit(p.Key.Kind(), usage) != 0:
		return fmt.Errorf("a key of kind %s cannot serve the key usage (RFC 3279, 2.3.1; RFC 5480, 3; RFC 8410, 5; RFC 8813, 3)", p.Key.Kind())
	}
	return nil
}

// A want is an extension that every certificate of a Bound has; a SAN only where
// there are names.
type want struct {
	slot     tbs.Slot
	oid      string
	critical bool
	value    []byte // of a constant
}

func newWant(part tbs.ExtensionPart) (want, error) {
	w := want{slot: part.Slot, critical: part.Critical}
	switch part.Slot {
	case tbs.SlotSKI:
		w.oid = der.OIDSubjectKeyIdentifier
	case tbs.SlotSAN:
		w.oid = der.OIDSubjectAltName
	case tbs.SlotKeyUsage:
		w.oid = der.OIDKeyUsage
	case tbs.SlotCRLDP:
		w.oid = der.OIDCRLDistributionPoints
	case tbs.SlotValue:
		w.oid = part.OID
	default:
		s, ok := der.ReadOnly(part.DER, asn1.SEQUENCE)
		if !ok || !der.ReadOID(&s, &w.oid) ||
			s.PeekASN1Tag(asn1.BOOLEAN) && !s.ReadASN1Boolean(&w.critical) ||
			!s.ReadASN1Bytes(&w.value, asn1.OCTET_STRING) || !s.Empty() {
			return w, errors.New("an extension is not well-formed")
		}
	}
	return w, nil
}

// section returns where RFC 5280 defines the extension.
func (w *want) section() string {
	switch w.oid {
	case der.OIDAuthorityKeyIdentifier:
		return "4.2.1.1"
	case der.OIDSubjectKeyIdentifier:
		return "4.2.1.2"
	case der.OIDKeyUsage:
		return "4.2.1.3"
	case der.OIDCertificatePolicies:
		return "4.2.1.4"
	case der.OIDSubjectAltName:
		return "4.2.1.6"
	case der.OIDBasicConstraints:
		return "4.2.1.9"
	case der.OIDNameConstraints:
		return "4.2.1.10"
	case der.OIDExtendedKeyUsage:
		return "4.2.1.12"
	case der.OIDCRLDistributionPoints:
		return "4.2.1.13"
	case der.OIDFreshestCRL:
		return "4.2.1.15"
	case der.OIDAuthorityInfoAccess:
		return "4.2.2.1"
	default:
		return "4.2"
	}
}

// distributionPoint returns the value of a cRLDistributionPoints extension with
// one URL: SEQUENCE OF DistributionPoint, whose name is [0] fullName [0].
func distributionPoint(url string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.Explicit(0), func(b *cryptobyte.Builder) {
				b.AddASN1(der.Explicit(0), func(b *cryptobyte.Builder) {
					b.AddASN1(der.Implicit(6), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
				})
			})
		})
	})
	return b.BytesOrPanic()
}
