// Package certdump prints a certificate so that a person can see all of it: every
// field and every extension, one a line, in the order of encoding.
//
// What it knows by name it prints by name; any other extension, and any value that
// is not what its name says, it prints as ASN.1. It decides nothing about a
// certificate, and it reads what crypto/x509 does not (structured other names, keys
// of kinds that the standard library lacks).
package certdump

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/tbs"
)

// Text returns the dump of a DER certificate, with a line feed after each line. What
// tbs.ParseCertificate refuses is refused.
func Text(certificate []byte) (string, error) {
	p, err := tbs.ParseCertificate(certificate)
	if err != nil {
		return "", err
	}
	issuer, err := tbs.ParseName(p.Issuer)
	if err != nil {
		return "", err
	}
	subject, err := tbs.ParseName(p.Subject)
	if err != nil {
		return "", err
	}
	algorithm := "unknown"
	if a, err := tbs.ParseSignatureAlgorithm(p.Algorithm); err == nil {
		algorithm = a.Name
	}
	var b strings.Builder
	line := func(what, format string, args ...any) { fmt.Fprintf(&b, what+": "+format+"\n", args...) }
	line("version", "3")
	line("serial", "%s", p.Serial)
	line("signature", "%s", algorithm)
	line("issuer", "%s", orEmpty(issuer))
	line("not before", "%s", p.NotBefore.Format(time.RFC3339))
	line("not after", "%s", p.NotAfter.Format(time.RFC3339))
	line("subject", "%s", orEmpty(subject))
	line("key", "%s %x", p.Key.Kind(), p.Key.KeyID())
	for i := range p.Extensions {
		e := &p.Extensions[i]
		name, text := Extension(e.OID, e.Value)
		if e.Critical {
			name += " (critical)"
		}
		line(name, "%s", text)
	}
	return b.String(), nil
}

// orEmpty prints a name with the string types that are not its attributes' default, by
// which strict ecosystems tell certificates apart.
func orEmpty(n tbs.Name) string {
	if len(n) == 0 {
		return "(empty)"
	}
	return n.Typed()
}

// A printer prints the value of an extension, and reports whether it is what the
// extension's name says.
type printer struct {
	name  string
	print func(value []byte) (string, bool)
}

// printers are the extensions with a name.
var printers = map[string]printer{
	der.OIDBasicConstraints:       {"basicConstraints", basicConstraints},
	der.OIDNameConstraints:        {"nameConstraints", nameConstraints},
	der.OIDKeyUsage:               {"keyUsage", keyUsage},
	der.OIDExtendedKeyUsage:       {"extendedKeyUsage", purposes},
	der.OIDCertificatePolicies:    {"certificatePolicies", policies},
	der.OIDSubjectAltName:         {"subjectAltName", names},
	der.OIDSubjectKeyIdentifier:   {"subjectKeyIdentifier", subjectKeyID},
	der.OIDAuthorityKeyIdentifier: {"authorityKeyIdentifier", authorityKeyID},
	der.OIDCRLDistributionPoints:  {"cRLDistributionPoints", distributionPoints},
	der.OIDFreshestCRL:            {"freshestCRL", distributionPoints},
	der.OIDAuthorityInfoAccess:    {"authorityInfoAccess", access},
	der.OIDOCSPNoCheck:            {"ocspNoCheck", null},
	der.OIDNoRevAvail:             {"noRevAvail", null},
}

// Extension returns the name of an extension, its OID where it has no other, and the text
// of its value in one line.
func Extension(oid string, value []byte) (name, text string) {
	name = oid
	if p, ok := printers[oid]; ok {
		name = p.name
		if text, ok := p.print(value); ok {
			return name, text
		}
	}
	return name, Outline(value)
}

func basicConstraints(value []byte) (string, bool) {
	p := tbs.Parsed{Extensions: []tbs.Extension{{OID: der.OIDBasicConstraints, Value: value}}}
	switch ca, pathLen := p.IsCA(); {
	case !ca:
		return "CA:FALSE", true
	case pathLen < 0:
		return "CA:TRUE", true
	default:
		return fmt.Sprintf("CA:TRUE, path length %d", pathLen), true
	}
}

func keyUsage(value []byte) (string, bool) {
	p := tbs.Parsed{Extensions: []tbs.Extension{{OID: der.OIDKeyUsage, Value: value}}}
	var set []string
	for i, name := range [...]string{
		"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	} {
		if p.KeyUsage()&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ", "), true
}

// purposeNames are the extended key usages that people know by a name.
var purposeNames = map[string]string{
	der.OIDServerAuth: "serverAuth", der.OIDClientAuth: "clientAuth", der.OIDCodeSigning: "codeSigning", der.OIDOCSPSigning: "OCSPSigning",
}

func purposes(value []byte) (string, bool) {
	s, ok := der.ReadOnly(value, asn1.SEQUENCE)
	var all []string
	for ok && !s.Empty() {
		var oid string
		ok = der.ReadOID(&s, &oid)
		if name, known := purposeNames[oid]; known {
			oid = name + " (" + oid + ")"
		}
		all = append(all, oid)
	}
	return strings.Join(all, ", "), ok
}

func policies(value []byte) (string, bool) {
	s, ok := der.ReadOnly(value, asn1.SEQUENCE)
	var all []string
	for ok && !s.Empty() {
		var policy, qualifiers cryptobyte.String
		var oid string
		if ok = s.ReadASN1(&policy, asn1.SEQUENCE) && der.ReadOID(&policy, &oid); !ok {
			break
		}
		if !policy.Empty() {
			ok = policy.ReadASN1Element(&qualifiers, asn1.SEQUENCE) && policy.Empty()
			oid += " " + Outline(qualifiers)
		}
		all = append(all, oid)
	}
	return strings.Join(all, ", "), ok
}

func names(value []byte) (string, bool) {
	parsed, err := tbs.ParseGeneralNames(value)
	var all []string
	for _, n := range parsed {
		all = append(all, generalName(n))
	}
	return strings.Join(all, ", "), err == nil
}

func generalName(n tbs.GeneralName) string {
	switch n.Kind {
	case tbs.DNSName:
		return "dns " + n.Text
	case tbs.URI:
		return "uri " + n.Text
	case tbs.IPAddress:
		return "ip " + n.Text
	case tbs.Email:
		return "email " + n.Text
	case tbs.HardwareModuleName:
		return fmt.Sprintf("hardwareModuleName %s %s", n.HWType, octets(n.HWSerial))
	}
	s := cryptobyte.String(n.DER)
	var content cryptobyte.String
	var tag asn1.Tag
	if s.ReadAnyASN1(&content, &tag) {
		switch tag {
		case der.Explicit(4):
			if name, err := tbs.ParseName(content); err == nil {
				return "directoryName " + orEmpty(name)
			}
		case der.Implicit(8):
			id := cryptobyte.String(der.Append(nil, asn1.OBJECT_IDENTIFIER, content))
			var oid string
			if der.ReadOID(&id, &oid) {
				return "registeredID " + oid
			}
		case der.Explicit(0):
			var oid string
			var wrapped cryptobyte.String
			if der.ReadOID(&content, &oid) && content.ReadASN1(&wrapped, der.Explicit(0)) && content.Empty() {
				return "otherName " + oid + " " + Outline(wrapped)
			}
		}
	}
	return Outline(n.DER)
}

func nameConstraints(value []byte) (string, bool) {
	s, ok := der.ReadOnly(value, asn1.SEQUENCE)
	var all []string
	for tag, what := range [...]string{"permitted", "excluded"} {
		var trees cryptobyte.String
		var there bool
		ok = ok && s.ReadOptionalASN1(&trees, &there, der.Explicit(uint8(tag)))
		for ok && !trees.Empty() {
			var tree, base cryptobyte.String
			var form asn1.Tag
			ok = trees.ReadASN1(&tree, asn1.SEQUENCE) && tree.ReadAnyASN1Element(&base, &form) && tree.Empty()
			all = append(all, what+" "+subtree(base, form))
		}
	}
	return strings.Join(all, ", "), ok && s.Empty()
}

// subtree prints the base of a name space, whose address has a mask.
func subtree(base cryptobyte.String, form asn1.Tag) string {
	content, _ := der.ReadOnly(base, form)
	if form == der.Implicit(7) && (len(content) == 8 || len(content) == 32) {
		address, _ := netip.AddrFromSlice(content[:len(content)/2])
		mask, _ := netip.AddrFromSlice(content[len(content)/2:])
		return fmt.Sprintf("ip %s mask %s", address, mask)
	}
	whole := der.Append(nil, asn1.SEQUENCE, base)
	text, ok := names(whole)
	if !ok {
		return Outline(base)
	}
	return text
}

func subjectKeyID(value []byte) (string, bool) {
	id, ok := der.ReadOnly(value, asn1.OCTET_STRING)
	return fmt.Sprintf("%x", []byte(id)), ok
}

func authorityKeyID(value []byte) (string, bool) {
	s, ok := der.ReadOnly(value, asn1.SEQUENCE)
	var id cryptobyte.String
	ok = ok && s.ReadASN1(&id, der.Implicit(0)) && s.Empty()
	return fmt.Sprintf("%x", []byte(id)), ok
}

func distributionPoints(value []byte) (string, bool) {
	s, ok := der.ReadOnly(value, asn1.SEQUENCE)
	var all []string
	for ok && !s.Empty() {
		var point, name, full, url cryptobyte.String
		ok = s.ReadASN1(&point, asn1.SEQUENCE) && point.ReadASN1(&name, der.Explicit(0)) && point.Empty() &&
			name.ReadASN1(&full, der.Explicit(0)) && name.Empty()
		for ok && !full.Empty() {
			ok = full.ReadASN1(&url, der.Implicit(6)) && isVisible(url)
			all = append(all, string(url))
		}
	}
	return strings.Join(all, ", "), ok
}

func access(value []byte) (string, bool) {
	s, ok := der.ReadOnly(value, asn1.SEQUENCE)
	methods := map[string]string{der.OIDAccessOCSP: "ocsp", der.OIDAccessCAIssuers: "caIssuers"}
	var all []string
	for ok && !s.Empty() {
		var description, url cryptobyte.String
		var oid string
		ok = s.ReadASN1(&description, asn1.SEQUENCE) && der.ReadOID(&description, &oid) && description.ReadASN1(&url, der.Implicit(6)) && description.Empty() && isVisible(url)
		if name, known := methods[oid]; known {
			oid = name
		}
		all = append(all, oid+" "+string(url))
	}
	return strings.Join(all, ", "), ok
}

// isVisible reports whether a URL is what one can be printed as it is.
func isVisible(url []byte) bool {
	return !slices.ContainsFunc(url, func(b byte) bool { return b <= ' ' || b > '~' })
}

func null(value []byte) (string, bool) { return "there", string(value) == "\x05\x00" }
