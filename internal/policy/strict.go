package policy

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// checkNothingDropped refuses, as PolicyRefused, a request that asks for what the
// certificate will not have: of a profile that is strict, whoever asks gets all
// or nothing.
func (b *Bound) checkNothingDropped(csr *tbs.CSR, c *tbs.Content, names []tbs.GeneralName) error {
	subject, err := tbs.ParseName(c.Subject)
	if err != nil {
		return err
	}
	left := []tbs.Attribute(slices.Clone(subject)) // what is asked for twice is there twice
	for _, a := range csr.Subject {
		if !take(&left, func(o tbs.Attribute) bool { return o.OID == a.OID && o.Value == a.Value }) {
			return pki.Errorf(pki.PolicyRefused, "the request's subject has %s, which the profile, being strict, neither names nor drops; the certificate would have %s", tbs.Name{a}, instead(subject, a.OID))
		}
	}
	names = slices.Clone(names)
	for i, n := range csr.Names {
		if !take(&names, n.Equal) {
			return pki.Errorf(pki.PolicyRefused, "the request's subject alternative name %d, %.260q, is one that the profile, being strict, neither names nor drops", i+1, n.Text)
		}
	}
	for i := range csr.Extensions {
		if e := &csr.Extensions[i]; e.OID != der.OIDSubjectAltName && !b.gives(e, c) {
			return pki.Errorf(pki.PolicyRefused, "the request asks for the extension %s with a value that the profile, being strict, neither gives nor drops", e.OID)
		}
	}
	for _, oid := range csr.Unread {
		if !slices.Contains(harmless, oid) {
			return pki.Errorf(pki.PolicyRefused, "the request has the attribute %s, which nothing here reads and which may ask for something; the profile, being strict, does not drop it", oid)
		}
	}
	return nil
}

// harmless are attributes of requests that ask for nothing in a certificate: a
// password, and what Windows says of itself, whose OIDs are in MS-WCCE, 3.1.1.4.3.1.1.
var harmless = []string{
	der.OIDChallengePassword,
	"1.3.6.1.4.1.311.13.2.2", // szOID_ENROLLMENT_CSP_PROVIDER: what made the key
	"1.3.6.1.4.1.311.13.2.3", // szOID_OS_VERSION
	"1.3.6.1.4.1.311.21.20",  // szOID_REQUEST_CLIENT_INFO: machine, user and program
}

// take removes the first element that fits, and reports whether there was one.
func take[T any](from *[]T, fits func(T) bool) bool {
	i := slices.IndexFunc(*from, fits)
	if i >= 0 {
		*from = slices.Delete(*from, i, i+1)
	}
	return i >= 0
}

// instead says what the certificate's subject has of a type.
func instead(subject tbs.Name, oid string) string {
	of := slices.DeleteFunc(slices.Clone(subject), func(a tbs.Attribute) bool { return a.OID != oid })
	if len(of) == 0 {
		return "none of that type"
	}
	return of.String()
}

// gives reports whether the certificate has what a requested extension asks for.
func (b *Bound) gives(e *tbs.Extension, c *tbs.Content) bool {
	values := c.Values
	for i := range b.wants {
		w := &b.wants[i]
		var value []byte
		if w.slot == tbs.SlotValue {
			value, values = values[0], values[1:]
		}
		if w.oid != e.OID {
			continue
		}
		switch w.slot {
		case tbs.SlotValue:
			return bytes.Equal(value, e.Value)
		case tbs.SlotKeyUsage:
			asked := tbs.Parsed{Extensions: []tbs.Extension{*e}}
			return asked.KeyUsage() != 0 && asked.KeyUsage()&^c.KeyUsage == 0
		case tbs.SlotSKI:
			return bytes.Equal(e.Value, der.Append(nil, asn1.OCTET_STRING, b.profile.KeyID(c.Key)))
		case tbs.Constant:
			if e.OID == der.OIDExtendedKeyUsage {
				return b.profile.hasPurposes(e.Value)
			}
			return bytes.Equal(w.value, e.Value)
		}
	}
	// A request may say that it is for no CA, which is so without the extension.
	return e.OID == der.OIDBasicConstraints && string(e.Value) == "\x30\x00" && !b.profile.ca
}

// hasPurposes reports whether the profile names all of the requested purposes.
func (p *Profile) hasPurposes(value []byte) bool {
	s, ok := der.ReadOnly(value, asn1.SEQUENCE)
	return ok && onlyKnown(s, p.purposes)
}

func onlyKnown(s cryptobyte.String, known []string) bool {
	for !s.Empty() {
		var oid string
		if !der.ReadOID(&s, &oid) || !slices.Contains(known, oid) {
			return false
		}
	}
	return true
}
