package pki

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckText refuses what cannot be an O or a CN in a subject: RFC 5280, A.1,
// bounds both at 64 characters, and what cannot be seen must not stand in a
// certificate for 25 years.
func CheckText(what, s string) error {
	unseen := func(r rune) bool { return !unicode.IsPrint(r) }
	if n := utf8.RuneCountInString(s); n < 1 || n > 64 || !utf8.ValidString(s) || strings.ContainsFunc(s, unseen) || strings.TrimSpace(s) != s {
		return Errorf(Malformed, "%s %.70q: it has 1 to 64 printable characters and no space at either end", what, s)
	}
	return nil
}
