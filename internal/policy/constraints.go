package policy

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// nameSpaces are the name constraints of one certificate above.
type nameSpaces struct{ permitted, excluded []tbs.Subtree }

// Constraints returns the values of the nameConstraints of DER certificates, for
// IssuerParams: those of an issuer and all above it.
func Constraints(chain ...[]byte) (values [][]byte, err error) {
	for _, raw := range chain {
		certificate, err := tbs.ParseCertificate(raw)
		if err != nil {
			return nil, err
		}
		if e := certificate.Extension(der.OIDNameConstraints); e != nil {
			values = append(values, e.Value)
		}
	}
	return values, nil
}

// CheckConstraints refuses, as PolicyRefused, a subject (DER Name) or names (DER GeneralNames,
// nil for none) outside of the name constraints with some values (Constraints).
func CheckConstraints(values [][]byte, subject, san []byte) error {
	all, err := parseConstraints(values)
	if err != nil {
		return err
	}
	return checkConstraints(all, subject, san)
}

// parseConstraints reads the values in an issuer's parameters.
func parseConstraints(values [][]byte) (all []nameSpaces, err error) {
	for _, value := range values {
		var s nameSpaces
		if s.permitted, s.excluded, err = tbs.ParseNameConstraints(value); err != nil {
			return nil, pki.Because(pki.PolicyRefused, err, "the issuer, or one above it, has name constraints that cannot be held: %s", pki.DetailOf(err))
		}
		all = append(all, s)
	}
	return all, nil
}

// checkConstraints is CheckConstraints of the issuer's and of those above it.
func (b *Bound) checkConstraints(subject, san []byte) error {
	return checkConstraints(b.constraints, subject, san)
}

// checkConstraints refuses, as PolicyRefused, a subject or names outside of the name
// constraints of the issuer and those above it (RFC 5280, 4.2.1.10): every verifier
// would. A common name is not looked at: no constraint is about it.
func checkConstraints(constraints []nameSpaces, subject, san []byte) error {
	if constraints == nil {
		return nil
	}
	var names []tbs.GeneralName
	if san != nil {
		var err error
		if names, err = tbs.ParseGeneralNames(san); err != nil {
			return err
		}
	}
	if string(subject) != emptyName {
		names = append(names, tbs.DirectoryName(subject))
	}
	parsed, err := tbs.ParseName(subject)
	if err != nil {
		return err
	}
	for _, a := range parsed {
		if a.OID == der.OIDEmailAddress {
			names = append(names, tbs.GeneralName{Kind: tbs.Email, Text: a.Value})
		}
	}
	for i := range names {
		if err := checkConstrained(constraints, &names[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkConstrained(constraints []nameSpaces, name *tbs.GeneralName) error {
	refuse := func(why string) error {
		text := name.Text
		if directory, ok := directoryName(name); ok {
			text = directory.String()
		}
		return pki.Errorf(pki.PolicyRefused, "the name %.260q is %s the name constraints of the issuer or of one above it (RFC 5280, 4.2.1.10)", text, why)
	}
	for i := range constraints {
		spaces := &constraints[i]
		excludes := func(tree tbs.Subtree) bool {
			return sameForm(&tree, name) && (!judged(&tree, name) || within(&tree, name, true))
		}
		same := func(tree tbs.Subtree) bool { return sameForm(&tree, name) }
		permits := func(tree tbs.Subtree) bool { return sameForm(&tree, name) && within(&tree, name, false) }
		if slices.ContainsFunc(spaces.excluded, excludes) {
			return refuse("excluded by")
		}
		if slices.ContainsFunc(spaces.permitted, same) && !slices.ContainsFunc(spaces.permitted, permits) {
			return refuse("outside of")
		}
	}
	return nil
}

// sameForm reports whether a name space is about names of the name's form. One of a
// form that is not read here is about every name of such a form.
func sameForm(tree *tbs.Subtree, name *tbs.GeneralName) bool {
	_, directory := directoryName(name)
	switch {
	case tree.Kind != tbs.OtherGeneralName:
		return tree.Kind == name.Kind
	case tree.Name != nil:
		return directory
	default:
		return !directory && (name.Kind == tbs.HardwareModuleName || name.Kind == tbs.OtherGeneralName)
	}
}

// judged reports whether it can be told if the name is in a name space of its form.
func judged(tree *tbs.Subtree, name *tbs.GeneralName) bool {
	if name.Kind == tbs.URI {
		return uriHost(name.Text) != ""
	}
	return tree.Kind != tbs.OtherGeneralName || tree.Name != nil
}

// within reports whether the name is in the name space, of the same form. Of a host as
// the base of URIs and mail addresses RFC 5280 means that host alone, and some
// verifiers, as crypto/x509, all below it: with wide so do we, and have a wildcard in
// the name space of a host that it stands for.
func within(tree *tbs.Subtree, name *tbs.GeneralName, wide bool) bool {
	base, text := strings.ToLower(tree.Base), strings.ToLower(name.Text)
	switch tree.Kind {
	case tbs.DNSName:
		if _, parent, found := strings.Cut(base, "."); wide && found && text == "*."+parent {
			return true
		}
		return base == "" || text == base || strings.HasSuffix(text, "."+strings.TrimPrefix(base, ".")) && len(text) > len(base)
	case tbs.URI:
		return withinHost(base, uriHost(text), wide)
	case tbs.Email:
		at := strings.LastIndexByte(text, '@')
		if at < 0 {
			return false
		}
		if strings.Contains(base, "@") {
			// The local part is compared as it is written (RFC 5280, 7.5).
			local, host, _ := strings.Cut(tree.Base, "@")
			return local == name.Text[:at] && strings.EqualFold(host, text[at+1:])
		}
		return withinHost(base, text[at+1:], wide)
	case tbs.IPAddress:
		prefix, err := netip.ParsePrefix(tree.Base)
		addr, failed := netip.ParseAddr(name.Text)
		return err == nil && failed == nil && prefix.Contains(addr)
	}
	return withinDirectory(tree.Name, name)
}

// withinHost reports whether a host is the base, or below it where it begins with a
// dot, or with wide.
func withinHost(base, host string, wide bool) bool {
	if strings.HasPrefix(base, ".") {
		return strings.HasSuffix(host, base) && len(host) > len(base)
	}
	return host != "" && host == base || wide && strings.HasSuffix(host, "."+base)
}

// uriHost returns the host name of a URI, "" where it has none: such a one is in no
// name space.
func uriHost(text string) string {
	u, err := url.Parse(text)
	if err != nil || !isHost(strings.ToLower(u.Hostname())) {
		return ""
	}
	return u.Hostname()
}

// directoryName returns the name that a directoryName has.
func directoryName(name *tbs.GeneralName) (tbs.Name, bool) {
	if name.Kind != tbs.OtherGeneralName {
		return nil, false
	}
	s := cryptobyte.String(name.DER)
	var content cryptobyte.String
	if !s.ReadASN1(&content, der.Explicit(4)) {
		return nil, false
	}
	parsed, err := tbs.ParseName(content)
	return parsed, err == nil
}

// withinDirectory reports whether a name begins with the RDNs of base. Values are
// compared without case and with one space for several, whatever their string type
// (RFC 5280, 7.1).
func withinDirectory(base []byte, name *tbs.GeneralName) bool {
	space, err := tbs.ParseName(base)
	whole, ok := directoryName(name)
	if err != nil || !ok || len(whole) < len(space) {
		return false
	}
	if len(whole) > len(space) && whole[len(space)].Joined {
		return false // the last RDN goes on
	}
	return slices.EqualFunc(space, whole[:len(space)], func(a, b tbs.Attribute) bool {
		fold := func(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }
		return a.OID == b.OID && a.Joined == b.Joined && fold(a.Value) == fold(b.Value)
	})
}

// checkFixed refuses what every certificate of the profile would have outside of the
// issuer's name constraints: a subject without anything drawn, and literal names.
func (b *Bound) checkFixed() error {
	p := b.profile
	drawn := func(a attribute) bool { return a.literal == "" }
	fixed := &Input{}
	subject := []byte(emptyName)
	var err error
	if !slices.ContainsFunc(p.subject, drawn) {
		if subject, err = nameOf(p.subject, fixed); err != nil {
			return err
		}
	}
	var names []tbs.GeneralName
	for i := range p.san {
		r := &p.san[i]
		if r.fixed == nil && r.literal == "" && (r.name == nil || slices.ContainsFunc(r.name, drawn)) && (r.other == nil || r.other.constant == nil) {
			continue
		}
		var err error
		if names, err = r.append(names, fixed); err != nil {
			return err
		}
	}
	var san []byte
	if len(names) > 0 {
		if san, err = tbs.AppendGeneralNames(nil, names); err != nil {
			return err
		}
	}
	return b.checkConstraints(subject, san)
}
