package policy

import (
	"net/netip"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// CheckNames refuses, as Malformed, names that an endpoint cannot authorise.
// A name that is written wrong would authorise nothing, in silence.
func CheckNames(names pki.Names) error {
	for _, s := range names.DNS {
		if !isHost(strings.TrimPrefix(s, "*.")) {
			return pki.Errorf(pki.Malformed, "dns %.260q: a DNS name in lower case, or \"*.\" and one", s)
		}
	}
	for _, s := range names.IP {
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() || p.Addr().Is4In6() {
			return pki.Errorf(pki.Malformed, "ip %.60q: a prefix without host bits, as 10.0.0.0/8", s)
		}
	}
	for _, s := range names.URI {
		if scheme, _, ok := strings.Cut(s, ":"); !ok || scheme == "" || scheme != strings.ToLower(scheme) {
			return pki.Errorf(pki.Malformed, "uri %.300q: a URI, or the beginning of one up to ':' or '/', with its scheme in lower case", s)
		}
	}
	return nil
}

// coveredDNS reports whether s is one of the names, or one label below one that
// is written "*.example.com".
func coveredDNS(names pki.Names, s string) bool {
	for _, name := range names.DNS {
		if name == s {
			return true
		}
		if parent, ok := strings.CutPrefix(name, "*."); ok {
			if _, rest, found := strings.Cut(s, "."); found && rest == parent {
				return true
			}
		}
	}
	return false
}

// coveredIP reports whether the address s is in one of the prefixes.
func coveredIP(names pki.Names, s string) bool {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return false
	}
	for _, text := range names.IP {
		if p, err := netip.ParsePrefix(text); err == nil && p.Contains(addr) {
			return true
		}
	}
	return false
}

// coveredURI reports whether s is one of the URIs, or begins with one that ends
// in ':' or '/'. Case counts, as it does in paths and in most URNs.
func coveredURI(names pki.Names, s string) bool {
	for _, prefix := range names.URI {
		if s == prefix {
			return true
		}
		if (strings.HasSuffix(prefix, ":") || strings.HasSuffix(prefix, "/")) && strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
