package policy

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// maxStatusURL is the longest base of status URLs in bytes.
const maxStatusURL = 200

// statusURL has the parts of a base: its host, its port and its path. Segments
// of unreserved characters alone (RFC 3986, 2.3) have one form, so that all who
// read them read the same.
var statusURL = regexp.MustCompile(`^http://([a-z0-9.-]+|\[[0-9a-f.]*:[0-9a-f:.]*\])(:[0-9]+)?((?:/[A-Za-z0-9._~-]+)*)$`)

// CheckStatusURL refuses a base of status URLs that relying parties could not use,
// or that two of them could read differently: it goes into certificates for
// decades. It is http, since fetching status must not need status. What is
// written wrong is Malformed; the machine's own addresses in production, where
// others would ask themselves, are PolicyRefused.
func CheckStatusURL(base string, mode pki.Mode) error {
	refuse := func(why string) error {
		return pki.Errorf(pki.Malformed, "status URL %.200q: %s", base, why)
	}
	parts := statusURL.FindStringSubmatch(base)
	if parts == nil || len(base) > maxStatusURL {
		return refuse("it is http://HOST[:PORT][/PATH] in at most 200 characters: the host in lower case, the path of letters, digits and -._~, no slash at the end")
	}
	host, port, path := strings.Trim(parts[1], "[]"), parts[2], parts[3]
	switch {
	case !isHost(host) && checkIP(host) != nil:
		return refuse("its host is neither a DNS name nor an IP address")
	case port != "" && !isPort(port[1:]):
		return refuse("its port is a number from 1 to 65535")
	case slices.ContainsFunc(strings.Split(path, "/"), isDots):
		return refuse(`its path has a "." or ".." segment`)
	case mode == pki.Production && isOwnHost(host):
		return pki.Errorf(pki.PolicyRefused, "status URL %s: loopback is for test authorities only", base)
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

func isDots(segment string) bool { return segment == "." || segment == ".." }

// isOwnHost reports whether a host means the machine that asks (RFC 6761, 6.3).
func isOwnHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}
