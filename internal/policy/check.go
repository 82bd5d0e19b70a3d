package policy

import (
	"encoding/hex"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pando-pki/pando/internal/pki"
)

// A check is what a value from outside must pass, and how the names of an
// endpoint cover such a value.
type check struct {
	name    string
	valid   func(string) error                   // PolicyRefused
	covered func(names pki.Names, s string) bool // nil where names do not speak of it
}

// agree refuses texts, names of the check's kind, that are not those which are
// authorised: every one is covered, and every entry has one that it covers,
// which for an entry that is one name means this name.
func (c *check) agree(names pki.Names, texts []string) error {
	var entries []string
	var alone func(entry string) pki.Names
	switch c.name {
	case "dns":
		entries, alone = names.DNS, func(entry string) pki.Names { return pki.Names{DNS: []string{entry}} }
	case "uri":
		entries, alone = names.URI, func(entry string) pki.Names { return pki.Names{URI: []string{entry}} }
	case "ip":
		entries, alone = names.IP, func(entry string) pki.Names { return pki.Names{IP: []string{entry}} }
	}
	for _, text := range texts {
		if !c.covered(names, text) {
			return pki.Errorf(pki.PolicyRefused, "%s name %.260q is not authorised for this endpoint", c.name, text)
		}
	}
	for _, entry := range entries {
		one := alone(entry)
		if !slices.ContainsFunc(texts, func(text string) bool { return c.covered(one, text) }) {
			return pki.Errorf(pki.PolicyRefused, "the %s name %.260q is missing: the profile wants exactly the names that this endpoint authorises", c.name, entry)
		}
	}
	return nil
}

// checkNamed returns the check of a name in a profile.
func checkNamed(name string) (check, bool) {
	switch name {
	case "dns":
		return check{name, checkDNS, coveredDNS}, true
	case "uri":
		return check{name, checkURI, coveredURI}, true
	case "ip":
		return check{name, checkIP, coveredIP}, true
	case "email":
		return check{name, checkEmail, nil}, true
	case "hex":
		return check{name, checkHex, nil}, true
	case "name":
		return check{name, checkText, nil}, true
	}
	return check{}, false
}

// checkText takes 1 to 64 printable characters that are seen, spaces only inside, in
// the composed form (Unicode's NFC): one text, one way to write it.
func checkText(s string) error {
	if !utf8.ValidString(s) || s == "" || utf8.RuneCountInString(s) > 64 || s != strings.TrimSpace(s) {
		return pki.Errorf(pki.PolicyRefused, "%.200q is not a name of 1 to 64 printable characters without space at either end", s)
	}
	if !isSeen(s) {
		return pki.Errorf(pki.PolicyRefused, "%.200q has a character that is not printable", s)
	}
	if !norm.NFC.IsNormalString(s) {
		return pki.Errorf(pki.PolicyRefused, "%.200q is not in Unicode's composed form (NFC)", s)
	}
	return nil
}

// isSeen reports whether a text shows all that it has, on one line, wherever it is
// printed: in a refusal, in a log, on the terminal of whoever approves a profile.
func isSeen(s string) bool {
	// Of all white space, the space alone is printable.
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || isHidden(r) })
}

// isHidden reports whether r is a character that shows nothing, though it counts as a
// letter or a mark: what renderers leave out (Default_Ignorable_Code_Point), and
// blanks.
func isHidden(r rune) bool {
	return r >= 0x80 && (unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800')
}

// checkEmail takes a mailbox (RFC 5280, 4.2.1.6): a local part of the characters of
// an unquoted one (RFC 5321, 4.1.2), "@" and a host name in lower case.
func checkEmail(s string) error {
	local, domain, found := strings.Cut(s, "@")
	odd := func(r rune) bool {
		return r > 0x7e || r <= ' ' || strings.ContainsRune(`"(),:;<>@[\]`, r)
	}
	if !found || local == "" || len(local) > 64 || strings.ContainsFunc(local, odd) || strings.HasPrefix(local, ".") ||
		strings.HasSuffix(local, ".") || strings.Contains(local, "..") || !isHost(domain) {
		return pki.Errorf(pki.PolicyRefused, "%.260q is not a mail address with a host name in lower case", s)
	}
	return nil
}

// checkHex takes 1 to 64 octets in hexadecimal digits.
func checkHex(s string) error {
	if octets, err := hex.DecodeString(s); err != nil || len(octets) == 0 || len(octets) > 64 {
		return pki.Errorf(pki.PolicyRefused, "%.140q is not 1 to 64 octets in hexadecimal digits", s)
	}
	return nil
}

// checkDNS takes a host name in lower case (RFC 1123, 2.1): labels of letters,
// digits and inner hyphens, no wildcard, no dot at the end, and a last label that is
// not a number, also not one that begins with 0x, so that no IP address passes in any
// of the forms that browsers read.
func checkDNS(s string) error {
	if !isHost(s) {
		return pki.Errorf(pki.PolicyRefused, "%.260q is not a DNS name in lower case without wildcard", s)
	}
	return nil
}

func isHost(s string) bool {
	if len(s) > 253 {
		return false
	}
	numeric, last := true, "" // the label that is read, in the end the last
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		numeric, last = true, label
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', c == '-':
				numeric = false
			case '0' <= c && c <= '9':
			default:
				return false
			}
		}
	}
	if digits, ok := strings.CutPrefix(last, "0x"); ok {
		numeric = strings.Trim(digits, "0123456789abcdef") == ""
	}
	return !numeric
}

// checkIP takes an IPv4 or IPv6 address without zone. An IPv4 address mapped
// into IPv6 is refused: it would be one address under two names.
func checkIP(s string) error {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return pki.Errorf(pki.PolicyRefused, "%.60q is not an IP address", s)
	}
	return nil
}

// hostSchemes are schemes of which a URI without a host names nothing.
var hostSchemes = []string{"http", "https", "ftp", "ws", "wss", "coap", "coaps"}

// runSchemes are schemes of which a URI is a program or a document of its own.
var runSchemes = []string{"javascript", "vbscript", "data", "blob"}

// checkURI takes an absolute URI (RFC 5280, 4.2.1.6) with a scheme in lower
// case, a host name or IP address and maybe a port where it has an authority, no
// user information, no "." or ".." segment, which would lead out of a prefix, and
// nothing that cannot be seen, also behind an escape.
func checkURI(s string) error {
	refuse := func(why string) error {
		return pki.Errorf(pki.PolicyRefused, "%.300q is not a URI that a certificate can name: %s", s, why)
	}
	if len(s) > 2000 {
		return refuse("it has more than 2000 characters")
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return refuse("it has a character that a URI does not have")
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || len(s) == len(u.Scheme)+1 {
		return refuse("it has no scheme or nothing after it")
	}
	if !strings.HasPrefix(s, u.Scheme) {
		return refuse("its scheme is not in lower case")
	}
	rest := s[len(u.Scheme)+1:]
	if u.Hostname() == "" && slices.Contains(hostSchemes, u.Scheme) {
		return refuse("its scheme needs a host")
	}
	if strings.HasPrefix(rest, "//") && !isHost(u.Hostname()) && checkIP(u.Hostname()) != nil {
		return refuse("its host is neither a DNS name in lower case nor an IP address")
	}
	if port, ok := portOf(u.Host); ok && !isPort(port) {
		return refuse("its port is not a number from 1 to 65535")
	}
	if slices.Contains(runSchemes, u.Scheme) {
		return refuse("it names nothing: it is a program or a document")
	}
	if u.User != nil {
		return refuse("it has user information")
	}
	plain, err := url.PathUnescape(rest)
	if err != nil {
		return refuse("it has a wrong escape")
	}
	for _, r := range plain {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.In(r, unicode.Zl, unicode.Zp) || isHidden(r) {
			return refuse("it has an escaped character that cannot be seen")
		}
	}
	for segment := range strings.FieldsFuncSeq(plain, func(r rune) bool { return strings.ContainsRune(`/\:?#`, r) }) {
		if segment == "." || segment == ".." {
			return refuse(`it has a "." or ".." segment`)
		}
	}
	return nil
}

// portOf returns what stands behind the colon after a host.
func portOf(host string) (port string, ok bool) {
	_, port, ok = strings.Cut(host[strings.LastIndexByte(host, ']')+1:], ":")
	return port, ok
}
