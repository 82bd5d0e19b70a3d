package tbs

import (
	"net/netip"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// maxSubtrees bounds the name spaces of an extension that is read.
const maxSubtrees = 1000

// ParseNameConstraints reads the value of a nameConstraints extension, or says why it
// is Malformed. Of a name space in a form that Subtree does not have, as other names,
// Kind is OtherGeneralName and Name is nil. Bases are not looked at, but for
// addresses with masks.
func ParseNameConstraints(value []byte) (permitted, excluded []Subtree, err error) {
	content, ok := der.ReadOnly(value, asn1.SEQUENCE)
	for tag, trees := range [...]*[]Subtree{&permitted, &excluded} {
		var list cryptobyte.String
		var there bool
		ok = ok && content.ReadOptionalASN1(&list, &there, der.Explicit(uint8(tag))) && (!there || !list.Empty())
		for ok && !list.Empty() {
			var tree Subtree
			if ok = len(*trees) < maxSubtrees && readSubtree(&list, &tree); ok {
				*trees = append(*trees, tree)
			}
		}
	}
	if !ok || !content.Empty() || len(permitted)+len(excluded) == 0 {
		return nil, nil, pki.Errorf(pki.Malformed, "the name constraints are not well-formed, or have more than %d name spaces of a kind (RFC 5280, 4.2.1.10)", maxSubtrees)
	}
	return permitted, excluded, nil
}

// readSubtree reads a GeneralSubtree, whose minimum and maximum are not used.
func readSubtree(list *cryptobyte.String, tree *Subtree) bool {
	var element, content, rest cryptobyte.String
	var tag asn1.Tag
	if !list.ReadASN1(&element, asn1.SEQUENCE) || !element.ReadAnyASN1(&content, &tag) || !element.Empty() {
		return false
	}
	tree.Base = string(content)
	switch tag {
	case tagDNSName:
		tree.Kind = DNSName
	case tagURI:
		tree.Kind = URI
	case tagEmail:
		tree.Kind = Email
	case tagIPAddress:
		tree.Kind = IPAddress
		prefix, ok := prefixOf(content)
		tree.Base = prefix.String()
		return ok
	case tagDirectoryName:
		tree.Kind, tree.Base, tree.Name = OtherGeneralName, "", content
		return content.ReadASN1Element(&rest, asn1.SEQUENCE) && content.Empty() && checkName(rest) == nil
	case tagOtherName, tagX400Address, tagEDIPartyName, tagRegisteredID:
		tree.Kind, tree.Base = OtherGeneralName, ""
		return true
	default:
		return false
	}
	return isVisible(tree.Base)
}

// prefixOf reads an address and its mask.
func prefixOf(content []byte) (prefix netip.Prefix, ok bool) {
	half := len(content) / 2
	addr, ok := netip.AddrFromSlice(content[:half])
	if !ok || len(content) != 2*half {
		return prefix, false
	}
	ones := 0
	for ones < 8*half && content[half+ones/8]&(0x80>>(ones%8)) != 0 {
		ones++
	}
	prefix = netip.PrefixFrom(addr, ones)
	return prefix, prefix == prefix.Masked() && string(maskOf(prefix)) == string(content[half:])
}
