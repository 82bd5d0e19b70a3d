package tbs

import (
	"encoding/hex"
	"strings"

	"github.com/pando-pki/pando/internal/der"
)

// attributeNames are the short names of RFC 4514, 3, and the others that tools
// print for attributes that device certificates have.
var attributeNames = map[string]string{
	der.OIDCommonName:         "CN",
	der.OIDLocality:           "L",
	der.OIDProvince:           "ST",
	der.OIDOrganization:       "O",
	der.OIDOrganizationalUnit: "OU",
	der.OIDCountry:            "C",
	der.OIDStreet:             "STREET",
	der.OIDDomainComponent:    "DC",
	der.OIDUserID:             "UID",
	der.OIDSerialNumber:       "serialNumber",
	der.OIDEmailAddress:       "emailAddress",
}

// attributeName returns the attribute's short name, or oid where it has none.
func attributeName(oid string) string {
	if name, ok := attributeNames[oid]; ok {
		return name
	}
	return oid
}

// String returns the name as RFC 4514 writes it: the last RDN first, attributes of
// one RDN joined by "+". Attributes without a short name are written as OID=#hex of
// the DER value.
func (n Name) String() string { return n.write(false) }

// Typed returns the name as String does, and after an attribute's short name the string
// type of a value that has another than pando gives by default, as "CN(printable)=x".
// An attribute without a short name shows its type in the DER of the value.
func (n Name) Typed() string { return n.write(true) }

func (n Name) write(types bool) string {
	var b strings.Builder
	for end := len(n); end > 0; {
		start := end - 1
		for start > 0 && n[start].Joined {
			start--
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		n[start:end].writeRDN(&b, types)
		end = start
	}
	return b.String()
}

// writeRDN writes the attributes of one RDN.
func (n Name) writeRDN(b *strings.Builder, types bool) {
	for i, a := range n {
		if i > 0 {
			b.WriteByte('+')
		}
		name, ok := attributeNames[a.OID]
		if !ok {
			b.WriteString(a.OID + "=#")
			b.WriteString(hex.EncodeToString(der.Append(nil, stringTags[a.Type], []byte(a.Value))))
			continue
		}
		b.WriteString(name)
		if types && a.Type != attributeRules[a.OID].only {
			b.WriteString("(" + a.Type.String() + ")")
		}
		b.WriteByte('=')
		writeEscaped(b, a.Value)
	}
}

// writeEscaped writes a value with the escapes of RFC 4514, 2.4, and control
// characters as hexadecimal pairs, so that a name is one line of a log.
func writeEscaped(b *strings.Builder, value string) {
	for i := range len(value) {
		c := value[i]
		switch {
		case c < 0x20 || c == 0x7f:
			b.WriteString(`\` + hex.EncodeToString([]byte{c}))
			continue
		case strings.IndexByte(`"+,;<>\`, c) >= 0,
			c == '#' && i == 0,
			c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
}
