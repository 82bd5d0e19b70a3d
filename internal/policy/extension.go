package policy

import (
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// maxExtensions bounds the extensions that have no key of their own.
const maxExtensions = 20

// An extension is one that has no key of its own in a profile.
type extension struct {
	oid      string
	critical bool
	value    asn1Value
}

// ownKey are the extensions that a profile says by a key of their own.
var ownKey = map[string]string{
	der.OIDBasicConstraints: "basicConstraints", der.OIDNameConstraints: "nameConstraints", der.OIDKeyUsage: "keyUsage",
	der.OIDExtendedKeyUsage: "extendedKeyUsage", der.OIDCertificatePolicies: "policies", der.OIDSubjectAltName: "san",
	der.OIDSubjectKeyIdentifier: "keyIdentifiers", der.OIDAuthorityKeyIdentifier: "keyIdentifiers",
	der.OIDCRLDistributionPoints: "status", der.OIDFreshestCRL: "status", der.OIDAuthorityInfoAccess: "status",
	der.OIDOCSPNoCheck: "ocspNoCheck", der.OIDNoRevAvail: "noRevAvail",
}

// compileOthers checks the extensions that have no key of their own.
func compileOthers(written []documentExtension) ([]extension, error) {
	if len(written) > maxExtensions {
		return nil, pki.Errorf(pki.Malformed, "extensions: there are at most %d", maxExtensions)
	}
	var others []extension
	nodes := 0
	for i := range written {
		d := &written[i]
		if _, err := der.AppendOID(nil, d.OID.text); err != nil {
			return nil, at(d.OID.token, "extensions: each has its oid")
		}
		if key, ok := ownKey[d.OID.text]; ok {
			return nil, at(d.OID.token, "this extension has a key of its own: "+key)
		}
		if slices.ContainsFunc(others, func(e extension) bool { return e.oid == d.OID.text }) {
			return nil, at(d.OID.token, "this is said twice")
		}
		value, err := d.ASN1.compile(1, &nodes)
		if err != nil {
			return nil, err
		}
		others = append(others, extension{d.OID.text, d.Critical, value})
	}
	return others, nil
}

// compilePolicies checks the certificate policies as written.
func compilePolicies(written []documentPolicy) ([]tbs.Policy, error) {
	var words []word
	for _, d := range written {
		words = append(words, d.OID)
	}
	oids, err := compileOIDs(words, "a policy is an OID")
	if err != nil {
		return nil, err
	}
	var policies []tbs.Policy
	for i, d := range written {
		p := tbs.Policy{OID: oids[i], CPS: d.CPS.text, Notice: d.Notice.text}
		if _, err := tbs.CertificatePolicies(false, p); err != nil {
			return nil, at(d.OID.token, strings.TrimPrefix(err.Error(), "certificate policies: "))
		}
		policies = append(policies, p)
	}
	return policies, nil
}

// compileConstraints returns the nameConstraints extension as written.
func compileConstraints(written *documentConstraints) ([]byte, error) {
	var trees [2][]tbs.Subtree
	for i, list := range [...][]documentSubtree{written.Permitted, written.Excluded} {
		if len(list) > maxValues {
			return nil, pki.Errorf(pki.Malformed, "nameConstraints: there are at most %d of a kind", maxValues)
		}
		for j := range list {
			tree, err := list[j].compile()
			if err != nil {
				return nil, err
			}
			trees[i] = append(trees[i], tree)
		}
	}
	encoded, err := tbs.NameConstraints(trees[0], trees[1])
	if err != nil {
		return nil, pki.Errorf(pki.Malformed, "nameConstraints: permitted or excluded has at least one name")
	}
	return encoded, nil
}

func (d *documentSubtree) compile() (tbs.Subtree, error) {
	var tree tbs.Subtree
	var place word
	kinds := 0
	for _, k := range [...]struct {
		kind tbs.GeneralNameKind
		base word
	}{{tbs.DNSName, d.DNS}, {tbs.URI, d.URI}, {tbs.IPAddress, d.IP}, {tbs.Email, d.Email}} {
		if k.base.text != "" {
			kinds++
			place, tree = k.base, tbs.Subtree{Kind: k.kind, Base: k.base.text}
		}
	}
	if d.DirectoryName != nil {
		kinds++
		attributes, err := compileSubject(d.DirectoryName)
		if err != nil {
			return tree, err
		}
		if len(attributes) == 0 || slices.ContainsFunc(attributes, func(a attribute) bool { return a.literal == "" }) {
			return tree, pki.Errorf(pki.Malformed, "nameConstraints: a directoryName has at least one attribute, and literal values, since it stands in every certificate")
		}
		tree.Kind = tbs.OtherGeneralName
		if tree.Name, err = nameOf(attributes, nil); err != nil {
			return tree, err
		}
	}
	if kinds != 1 {
		return tree, pki.Errorf(pki.Malformed, "nameConstraints: an entry is one of dns, uri, ip, email and directoryName")
	}
	if _, err := tbs.NameConstraints([]tbs.Subtree{tree}, nil); err != nil {
		return tree, at(place.token, strings.TrimPrefix(err.Error(), "name constraints: "))
	}
	return tree, nil
}
