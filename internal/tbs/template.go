package tbs

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A Slot says where an extension's value comes from.
type Slot int

// The slots.
const (
	Constant     Slot = iota // DER is the whole Extension
	SlotSKI                  // the identifier of the content's key
	SlotSAN                  // the content's names; left out where it has none
	SlotKeyUsage             // the content's key usage
	SlotCRLDP                // the URL of the CRL shard that the serial falls into
	SlotValue                // the next of the content's values; left out where that is nil
)

// An ExtensionPart is one extension of the certificates that a Template encodes.
type ExtensionPart struct {
	Slot     Slot
	Critical bool   // of a slot; a SAN is critical also where the subject is empty
	DER      []byte // Constant: Extension ::= SEQUENCE
	OID      string // SlotValue: dotted
}

// A TemplateConfig is what the certificates of one issuer and profile have in
// common.
type TemplateConfig struct {
	IssuerName []byte // DER Name, not empty
	Algorithm  SignatureAlgorithm
	Parts      []ExtensionPart // in order of encoding
	CRLDP      []string        // URL of each shard, used by SlotCRLDP
}

// A Template encodes to-be-signed certificates from precomputed parts. It never
// changes and is safe for concurrent use.
type Template struct {
	issuer []byte // AlgorithmIdentifier and issuer's Name
	parts  []part
	values int // how many SlotValue
}

// A part is an extension, or several constant ones, with what can be computed
// beforehand.
type part struct {
	slot     Slot
	critical bool
	oid      []byte   // of a slot: the OBJECT IDENTIFIER
	value    int      // SlotValue: which of the content's values
	constant []byte   // Constant: one or more whole Extensions
	shards   [][]byte // SlotCRLDP: the whole Extension of each shard
}

// slotOIDs are the extensions that the slots stand for.
var slotOIDs = map[Slot]string{
	SlotSKI:      der.OIDSubjectKeyIdentifier,
	SlotSAN:      der.OIDSubjectAltName,
	SlotKeyUsage: der.OIDKeyUsage,
	SlotCRLDP:    der.OIDCRLDistributionPoints,
}

// NewTemplate checks cfg and computes what it can. It refuses an extension that
// comes twice, a constant part that is not one DER Extension, and SlotCRLDP
// without URLs.
func NewTemplate(cfg TemplateConfig) (*Template, error) {
	if name, ok := der.ReadOnly(cfg.IssuerName, asn1.SEQUENCE); !ok || name.Empty() {
		return nil, errors.New("template: the issuer's name is empty or not a DER Name")
	}
	if cfg.Algorithm.scheme == 0 {
		return nil, errors.New("template: no signature algorithm")
	}
	t := &Template{issuer: bytes.Join([][]byte{cfg.Algorithm.DER, cfg.IssuerName}, nil)}
	seen := make(map[string]bool)
	for i, p := range cfg.Parts {
		compiled, oid, err := compile(p, cfg.CRLDP)
		if err != nil {
			return nil, fmt.Errorf("template: extension %d: %w", i+1, err)
		}
		if seen[oid] {
			return nil, fmt.Errorf("template: extension %s comes twice", oid)
		}
		seen[oid] = true
		if p.Slot == SlotValue {
			compiled.value = t.values
			t.values++
		}
		if last := len(t.parts) - 1; p.Slot == Constant && last >= 0 && t.parts[last].slot == Constant {
			t.parts[last].constant = append(t.parts[last].constant, compiled.constant...)
			continue
		}
		t.parts = append(t.parts, compiled)
	}
	return t, nil
}

// compile precomputes a part and returns it with the extension's dotted name.
func compile(p ExtensionPart, crldp []string) (part, string, error) {
	compiled := part{slot: p.Slot, critical: p.Critical}
	if p.Slot == Constant {
		ext, err := parseExtension(p.DER)
		compiled.constant = bytes.Clone(p.DER)
		return compiled, ext.OID, err
	}
	oid, ok := slotOIDs[p.Slot]
	if p.Slot == SlotValue {
		oid, ok = p.OID, true
	}
	if !ok {
		return part{}, "", fmt.Errorf("there is no slot %d", p.Slot)
	}
	var err error
	if compiled.oid, err = der.AppendOID(nil, oid); err != nil {
		return part{}, "", err
	}
	if p.Slot == SlotCRLDP {
		if len(crldp) == 0 {
			return part{}, "", errors.New("CRL distribution points without a URL")
		}
		for _, url := range crldp {
			ext, err := crlDistributionPoint(der.OIDCRLDistributionPoints, p.Critical, url)
			if err != nil {
				return part{}, "", err
			}
			compiled.shards = append(compiled.shards, ext)
		}
	}
	return compiled, oid, nil
}

// A Content is what one certificate has of its own.
type Content struct {
	Serial    pki.Serial // positive, and at most 20 octets in DER: the first octet is below 0x80
	NotBefore time.Time  // whole seconds
	NotAfter  time.Time  // inclusive, whole seconds; in the year 9999 it means no expiry
	Subject   []byte     // DER Name
	Key       PublicKey
	KeyID     []byte   // subject key identifier; nil is the key's
	SAN       []byte   // DER GeneralNames; nil leaves the extension out
	KeyUsage  KeyUsage // not 0 where the template has the slot
	Values    [][]byte // DER values of the extensions with a SlotValue, in order; nil leaves one out
}

// version3 is the version field of a certificate with extensions.
const version3 = "\xa0\x03\x02\x01\x02"

// Append appends the DER TBSCertificate (RFC 5280, 4.1). It allocates only where
// dst is too small. What the template is given is its callers' own making, so an
// error is an internal one; it leaves dst's content as it was.
func (t *Template) Append(dst []byte, c *Content) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if len(c.Values) != t.values {
		return nil, fmt.Errorf("certificate: %d values for %d extensions", len(c.Values), t.values)
	}
	start := len(dst)
	dst = append(dst, version3...)
	dst = der.AppendUnsigned(dst, c.Serial[:])
	dst = append(dst, t.issuer...)
	validity := len(dst)
	dst = der.AppendTime(dst, c.NotBefore)
	dst = der.AppendTime(dst, c.NotAfter)
	dst = der.Wrap(dst, validity, asn1.SEQUENCE)
	dst = append(dst, c.Subject...)
	dst = append(dst, c.Key.SPKI()...)

	extensions := len(dst)
	for i := range t.parts {
		var err error
		if dst, err = t.parts[i].append(dst, c); err != nil {
			return nil, err
		}
	}
	if len(dst) > extensions { // Extensions has at least one (RFC 5280, 4.1.2.9)
		dst = der.Wrap(dst, extensions, asn1.SEQUENCE)
		dst = der.Wrap(dst, extensions, der.Explicit(3))
	}
	return der.Wrap(dst, start, asn1.SEQUENCE), nil
}

// check says what of c cannot be encoded.
func (c *Content) check() error {
	switch {
	case !encodable(&c.Serial):
		return errors.New("certificate: the serial is not positive or takes more than 20 octets")
	case !timeInRange(c.NotBefore) || !timeInRange(c.NotAfter):
		return errors.New("certificate: the validity has fractions of a second or lies outside the years 1950 to 9999")
	case c.NotAfter.Before(c.NotBefore):
		return errors.New("certificate: the validity ends before it begins")
	case len(c.Subject) < len(emptyName) || c.Subject[0] != emptyName[0]:
		return errors.New("certificate: the subject is not a DER Name")
	case c.Key == nil:
		return errors.New("certificate: no public key")
	}
	return nil
}

// encodable reports whether s is a serial number that RFC 5280, 4.1.2.2 allows.
func encodable(s *pki.Serial) bool {
	return s[0] < 0x80 && *s != pki.Serial{}
}

// timeInRange reports whether t can be in a certificate or CRL as it is.
func timeInRange(t time.Time) bool {
	return t.Nanosecond() == 0 && yearInRange(t)
}

// yearInRange reports whether a Time (RFC 5280, 4.1.2.5) can have t's year. The
// years before 1950 belong to GeneralizedTime, but to no certificate.
func yearInRange(t time.Time) bool {
	year := t.UTC().Year()
	return 1950 <= year && year <= 9999
}

// append appends the part's extensions for c.
func (p *part) append(dst []byte, c *Content) ([]byte, error) {
	at := len(dst)
	switch p.slot {
	case Constant:
		return append(dst, p.constant...), nil
	case SlotCRLDP:
		return append(dst, p.shards[c.Serial.Shard(len(p.shards))]...), nil
	case SlotSKI:
		dst, value := openExtension(dst, p.oid, p.critical)
		id := c.KeyID
		if id == nil {
			id = c.Key.KeyID()
		}
		dst = der.Append(dst, asn1.OCTET_STRING, id)
		return closeExtension(dst, at, value), nil
	case SlotKeyUsage:
		if c.KeyUsage == 0 { // RFC 5280, 4.2.1.3: at least one bit is set
			return nil, errors.New("certificate: no key usage")
		}
		dst, value := openExtension(dst, p.oid, p.critical)
		dst = c.KeyUsage.append(dst)
		return closeExtension(dst, at, value), nil
	case SlotValue:
		if c.Values[p.value] == nil {
			return dst, nil
		}
		dst, value := openExtension(dst, p.oid, p.critical)
		dst = append(dst, c.Values[p.value]...)
		return closeExtension(dst, at, value), nil
	default: // SlotSAN
		if c.SAN == nil {
			return dst, nil
		}
		critical := p.critical || string(c.Subject) == emptyName // RFC 5280, 4.2.1.6
		dst, value := openExtension(dst, p.oid, critical)
		dst = append(dst, c.SAN...)
		return closeExtension(dst, at, value), nil
	}
}
