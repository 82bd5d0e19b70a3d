package policy

import (
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// TestSetsAgree: with authorized: exact, the names of a certificate are those that the
// endpoint authorises, not one more, not one less, none twice.
func TestSetsAgree(t *testing.T) {
	source := `
profile: exact
keys: {allow: [p256]}
validity: 90d
subject: [{type: CN, value: head-end}]
san:
  names:
    - {dns: {from: csr.san.dns, authorized: exact}}
    - {ip: {from: csr.san.ip, authorized: exact}}
    - {uri: {from: csr.san.uri, authorized: exact}}
keyUsage: {use: [digitalSignature]}
`
	with := func(more string) *Bound {
		return bind(t, parse(t, strings.Replace(source, "  names:\n", "  names:\n"+more, 1)), newIssuer(t, "tls-server").IssuerParams)
	}
	plain, fixed := with(""), with("    - {dns: head.example.com}\n")
	some := pki.Names{DNS: []string{"head.example.com", "*.plant.example.com"}, IP: []string{"10.1.2.3/32"}, URI: []string{"urn:example:head"}}
	key := generate(t, pki.P256)
	for _, c := range []struct {
		bound *Bound
		names pki.Names
		asked string
		why   string // "" is issued
	}{
		{plain, some, "head.example.com a.plant.example.com 10.1.2.3 urn:example:head", ""},
		{plain, some, "urn:example:head 10.1.2.3 b.plant.example.com a.plant.example.com head.example.com", ""},
		{plain, some, "head.example.com a.plant.example.com 10.1.2.3", `"urn:example:head" is missing`},
		{plain, some, "head.example.com a.plant.example.com urn:example:head", `"10.1.2.3/32" is missing`},
		{plain, some, "a.plant.example.com 10.1.2.3 urn:example:head", `"head.example.com" is missing`},
		{plain, some, "head.example.com 10.1.2.3 urn:example:head", `"*.plant.example.com" is missing`},
		{plain, some, "", "is missing"},
		{plain, some, "head.example.com head.example.com a.plant.example.com 10.1.2.3 urn:example:head", "twice"},
		{plain, some, "head.example.com a.plant.example.com 10.1.2.3 10.1.2.4 urn:example:head", "not authorised"},
		{plain, some, "head.example.com a.plant.example.com other.example.com 10.1.2.3 urn:example:head", "not authorised"},
		{plain, pki.Names{DNS: []string{"head.example.com"}}, "head.example.com", ""},
		{plain, pki.Names{DNS: []string{"head.example.com"}}, "head.example.com 10.1.2.3", "not authorised"},
		{plain, pki.Names{}, "", ""},
		// A literal counts as what it is: it may be the authorised name, and one more.
		{fixed, pki.Names{DNS: []string{"head.example.com"}}, "", ""},
		{fixed, pki.Names{DNS: []string{"head.example.com"}}, "head.example.com", "twice"},
		{fixed, pki.Names{DNS: []string{"other.example.com"}}, "other.example.com", "not authorised"},
	} {
		_, err := c.bound.Content(&Input{CSR: request(t, key, "", strings.Fields(c.asked)...), Names: c.names, Now: now})
		switch {
		case c.why == "" && err != nil:
			t.Errorf("%q: %v", c.asked, err)
		case c.why != "" && (pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), c.why)):
			t.Errorf("%q: %v, want a refusal: %s", c.asked, err, c.why)
		}
	}
	tight, loose := parse(t, source), parse(t, strings.ReplaceAll(source, "authorized: exact", "authorized: true"))
	if !Widened(Diff(tight, loose)) {
		t.Error("true for exact does not widen")
	}
}
