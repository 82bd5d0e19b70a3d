package tbs

import (
	"net/netip"
	"net/url"
	"strings"
)

// isVisible reports whether s is ASCII without spaces and control characters.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isDNSName reports whether s is a name that a dNSName can have: a host name, or
// one with a first label of "*" (RFC 6125, 6.4.3).
func isDNSName(s string) bool {
	return isHostName(strings.TrimPrefix(s, "*."))
}

// isHostName reports whether s is in the preferred name syntax (RFC 1034, 3.5, and
// RFC 1123, 2.1).
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
			default:
				return false
			}
		}
	}
	return true
}

// isURI reports whether s is an absolute URI whose host, where it has one, is a
// host name or an IP address (RFC 5280, 4.2.1.6).
func isURI(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || !isVisible(s) {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return u.Host == "" || isHostName(u.Hostname()) || err == nil
}
