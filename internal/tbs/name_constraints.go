package tbs

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// A Subtree is one name space of a nameConstraints extension: all names of one form
// below a base (RFC 5280, 4.2.1.10).
type Subtree struct {
	Kind GeneralNameKind // DNSName, IPAddress, URI, Email, or OtherGeneralName for a directoryName

	// Base is a domain for DNSName ("example.com" with all below it), a prefix for
	// IPAddress ("10.0.0.0/8"), a host or ".domain" for URI, and an address, a host
	// or ".domain" for Email.
	Base string
	Name []byte // DER Name of a directoryName
}

// NameConstraints returns the nameConstraints extension (RFC 5280, 4.2.1.10),
// critical. It refuses an empty one and bases that are not of their form.
func NameConstraints(permitted, excluded []Subtree) ([]byte, error) {
	if len(permitted)+len(excluded) == 0 {
		return nil, errors.New("name constraints: neither permitted nor excluded names")
	}
	dst, value := openExtension(nil, der.MustOID(der.OIDNameConstraints), true)
	content := len(dst)
	for tag, trees := range [...][]Subtree{permitted, excluded} {
		if len(trees) == 0 {
			continue
		}
		at := len(dst)
		for i := range trees {
			var err error
			if dst, err = trees[i].append(dst); err != nil {
				return nil, fmt.Errorf("name constraints: %w", err)
			}
		}
		dst = der.Wrap(dst, at, der.Explicit(uint8(tag))) // permitted [0], excluded [1] GeneralSubtrees
	}
	dst = der.Wrap(dst, content, asn1.SEQUENCE)
	return closeExtension(dst, 0, value), nil
}

// append appends the GeneralSubtree, whose minimum is 0 and so not encoded.
func (t *Subtree) append(dst []byte) ([]byte, error) {
	at := len(dst)
	ok := false
	switch t.Kind {
	case DNSName:
		ok = isHostName(t.Base)
		dst = der.Append(dst, tagDNSName, []byte(t.Base))
	case URI:
		ok = isHostName(strings.TrimPrefix(t.Base, "."))
		dst = der.Append(dst, tagURI, []byte(t.Base))
	case Email:
		host := strings.TrimPrefix(t.Base, ".")
		if local, domain, found := strings.Cut(t.Base, "@"); found && local != "" && isVisible(local) {
			host = domain
		}
		ok = isHostName(host)
		dst = der.Append(dst, tagEmail, []byte(t.Base))
	case IPAddress:
		prefix, err := netip.ParsePrefix(t.Base)
		ok = err == nil && prefix == prefix.Masked()
		dst = der.Append(dst, tagIPAddress, append(prefix.Addr().AsSlice(), maskOf(prefix)...))
	case OtherGeneralName:
		ok = len(t.Name) > 0
		dst = append(dst, DirectoryName(t.Name).DER...)
	}
	if !ok {
		return nil, fmt.Errorf("%q is not the base of a name space of its kind", t.Base)
	}
	return der.Wrap(dst, at, asn1.SEQUENCE), nil
}

// maskOf returns the mask of a prefix, as long as an address.
func maskOf(p netip.Prefix) []byte {
	mask := make([]byte, len(p.Addr().AsSlice()))
	for i := range max(p.Bits(), 0) {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}
