package tbs

import (
	"bytes"
	"net/netip"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A GeneralNameKind is a form of a GeneralName.
type GeneralNameKind int

// The forms of GeneralName (RFC 5280, 4.2.1.6).
const (
	DNSName GeneralNameKind = iota
	IPAddress
	URI
	Email
	HardwareModuleName // otherName 1.3.6.1.5.5.7.8.4: SEQUENCE{hwType OID, hwSerialNum OCTET STRING} (RFC 4108, 5)
	OtherGeneralName   // any other: DER holds it whole
)

// A GeneralName is one name of a subjectAltName. Which fields count follows from
// Kind.
type GeneralName struct {
	Kind     GeneralNameKind
	Text     string // dNSName, iPAddress (textual), uniformResourceIdentifier, rfc822Name
	HWType   string // dotted
	HWSerial []byte
	DER      []byte
}

// Equal reports whether n and o are the same name.
func (n GeneralName) Equal(o GeneralName) bool {
	return o.Kind == n.Kind && o.Text == n.Text && o.HWType == n.HWType && bytes.Equal(o.HWSerial, n.HWSerial) && bytes.Equal(o.DER, n.DER)
}

// DirectoryName returns the directoryName of a DER Name.
func DirectoryName(name []byte) GeneralName {
	return GeneralName{Kind: OtherGeneralName, DER: der.Append(nil, tagDirectoryName, name)}
}

// RegisteredID returns the registeredID of a dotted identifier.
func RegisteredID(oid string) (GeneralName, error) {
	id, err := der.AppendOID(nil, oid)
	if err != nil {
		return GeneralName{}, err
	}
	content, _ := der.ReadOnly(id, asn1.OBJECT_IDENTIFIER)
	return GeneralName{Kind: OtherGeneralName, DER: der.Append(nil, tagRegisteredID, content)}, nil
}

// OtherName returns the otherName with the given dotted type-id and DER value. For
// a hardware module name use its kind.
func OtherName(typeID string, value []byte) (GeneralName, error) {
	dst, err := der.AppendOID(nil, typeID)
	if err != nil {
		return GeneralName{}, err
	}
	at := len(dst)
	dst = append(dst, value...)
	dst = der.Wrap(dst, at, der.Explicit(0))
	return GeneralName{Kind: OtherGeneralName, DER: der.Wrap(dst, 0, tagOtherName)}, nil
}

// maxGeneralNames bounds the names that are read and written.
const maxGeneralNames = 100

// The tags of GeneralName's forms, and the one otherName that has its own kind.
var (
	oidHardwareModuleName = der.MustOID(der.OIDHardwareModuleName)

	tagOtherName     = der.Explicit(0)
	tagEmail         = der.Implicit(1)
	tagDNSName       = der.Implicit(2)
	tagX400Address   = der.Explicit(3)
	tagDirectoryName = der.Explicit(4)
	tagEDIPartyName  = der.Explicit(5)
	tagURI           = der.Implicit(6)
	tagIPAddress     = der.Implicit(7)
	tagRegisteredID  = der.Implicit(8)
)

// AppendGeneralNames appends a DER GeneralNames of 1 to 100 names. A name that
// RFC 5280, 4.2.1.6 does not allow is a PolicyRefused error.
func AppendGeneralNames(dst []byte, names []GeneralName) ([]byte, error) {
	if len(names) == 0 || len(names) > maxGeneralNames {
		return nil, pki.Errorf(pki.PolicyRefused, "%d subject alternative names; a certificate has 1 to %d", len(names), maxGeneralNames)
	}
	start := len(dst)
	for i := range names {
		var ok bool
		if dst, ok = appendGeneralName(dst, &names[i]); !ok {
			return nil, pki.Errorf(pki.PolicyRefused, "subject alternative name %d, %.80q, has not the form that RFC 5280 demands", i+1, names[i].Text)
		}
	}
	return der.Wrap(dst, start, asn1.SEQUENCE), nil
}

func appendGeneralName(dst []byte, n *GeneralName) (_ []byte, ok bool) {
	switch n.Kind {
	case DNSName:
		return der.Append(dst, tagDNSName, []byte(n.Text)), isDNSName(n.Text)
	case Email:
		local, domain, found := strings.Cut(n.Text, "@")
		return der.Append(dst, tagEmail, []byte(n.Text)), found && local != "" && isVisible(local) && isHostName(domain)
	case URI:
		return der.Append(dst, tagURI, []byte(n.Text)), isURI(n.Text)
	case IPAddress:
		addr, err := netip.ParseAddr(n.Text)
		return der.Append(dst, tagIPAddress, addr.AsSlice()), err == nil && addr.Zone() == ""
	case HardwareModuleName:
		start := len(dst)
		dst = append(dst, oidHardwareModuleName...)
		value := len(dst)
		dst, err := der.AppendOID(dst, n.HWType)
		if err != nil {
			return nil, false
		}
		dst = der.Append(dst, asn1.OCTET_STRING, n.HWSerial)
		dst = der.Wrap(dst, value, asn1.SEQUENCE)
		dst = der.Wrap(dst, value, der.Explicit(0))
		return der.Wrap(dst, start, tagOtherName), len(n.HWSerial) > 0
	case OtherGeneralName:
		var whole GeneralName
		s := cryptobyte.String(n.DER)
		ok := readGeneralName(&s, &whole) && s.Empty() && whole.Kind == OtherGeneralName
		return append(dst, n.DER...), ok
	}
	return nil, false
}

// ParseGeneralNames reads a DER GeneralNames of 1 to 100 names. Malformed are
// names with characters outside visible ASCII, addresses that are not 4 or 16
// octets long, and hardware module names that are not well-formed. Whether a
// dNSName or a URI has the right syntax is not checked.
func ParseGeneralNames(names []byte) ([]GeneralName, error) {
	s, ok := der.ReadOnly(names, asn1.SEQUENCE)
	if !ok || s.Empty() {
		return nil, pki.Errorf(pki.Malformed, "the subject alternative names are not a DER sequence of at least one name")
	}
	var parsed []GeneralName
	for !s.Empty() {
		if len(parsed) == maxGeneralNames {
			return nil, pki.Errorf(pki.Malformed, "there are more than %d subject alternative names", maxGeneralNames)
		}
		var n GeneralName
		if !readGeneralName(&s, &n) {
			return nil, pki.Errorf(pki.Malformed, "subject alternative name %d is not well-formed", len(parsed)+1)
		}
		parsed = append(parsed, n)
	}
	return parsed, nil
}

func readGeneralName(s *cryptobyte.String, n *GeneralName) bool {
	var element, content cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1Element(&element, &tag) {
		return false
	}
	rest := element
	if !rest.ReadASN1(&content, tag) {
		return false
	}
	switch tag {
	case tagDNSName, tagEmail, tagURI:
		switch tag {
		case tagDNSName:
			n.Kind = DNSName
		case tagEmail:
			n.Kind = Email
		case tagURI:
			n.Kind = URI
		}
		n.Text = string(content)
		return n.Text != "" && isVisible(n.Text)
	case tagIPAddress:
		addr, ok := netip.AddrFromSlice(content)
		n.Kind, n.Text = IPAddress, addr.String()
		return ok
	case tagOtherName:
		var typeID string
		var wrapped, value cryptobyte.String
		var valueTag asn1.Tag
		if !der.ReadOID(&content, &typeID) || !content.ReadASN1(&wrapped, der.Explicit(0)) || !content.Empty() ||
			!wrapped.ReadAnyASN1(&value, &valueTag) || !wrapped.Empty() {
			return false
		}
		if typeID == der.OIDHardwareModuleName {
			n.Kind = HardwareModuleName
			return valueTag == asn1.SEQUENCE && der.ReadOID(&value, &n.HWType) &&
				value.ReadASN1Bytes(&n.HWSerial, asn1.OCTET_STRING) && value.Empty()
		}
	case tagX400Address, tagDirectoryName, tagEDIPartyName, tagRegisteredID:
	default:
		return false
	}
	n.Kind, n.DER = OtherGeneralName, element
	return true
}
