package policy

import (
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func TestChecks(t *testing.T) {
	long := strings.Repeat("a", 63)
	for check, row := range map[string]struct{ good, bad []string }{
		"dns": {
			good: []string{"a", "localhost", "a.example", "xn--bcher-kva.example", "3com.example", "1.2.3.4a", "a.0xg", "0xfe.example", long + ".example", strings.Repeat("a.", 126) + "b"},
			bad: []string{"", ".", "a.", ".a", "a..b", "*.example.com", "A.example", "a_b.example", "-a.example", "a-.example", "a b", "bücher.example",
				"10.0.0.1", "example.123", "0x7f000001", "0x7f.0x1", "a.0x", "a.0xfe", long + "a.example", strings.Repeat("a.", 127) + "b", "a\x00.example", "a\n"},
		},
		"ip": {
			good: []string{"10.0.0.1", "::1", "2001:db8::1"},
			bad:  []string{"", "10.0.0", "10.0.0.256", "010.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.1", "10.0.0.0/8", "example.com"},
		},
		"uri": {
			good: []string{"urn:dev:os:1", "https://example.com", "https://example.com:8443/a?b=c#d", "spiffe://fleet.example/meter/7", "https://[2001:db8::1]/", "https://10.0.0.1/a..b/...", "urn:a:b%20c", "urn:a:b%C3%BC", "coap://[2001:db8::1]:5683/x", "mailto:a@example.com"},
			bad: []string{"", "urn", "urn:", ":a", "//example.com/", "/a", "a b:c", "URN:dev:1", "https:///a", "https://EXAMPLE.com/", "https://exa_mple.com/", "https://a@example.com/",
				"https://example.com/a/../b", "https://example.com/./a", "https://example.com/a/%2e%2E/b", "https://example.com/a%2F..%2Fb", "https://example.com/a\\..\\b",
				"https:/x", "coaps:x", "http://:80/", "https://0x7f000001/", "https://a.example:0/", "https://a.example:99999/", "https://a.example:/", "https://a.example:08/", "https://[2001:db8::1]:0/", "https://[2001:db8::1]:/",
				"javascript:alert(1)", "data:text/html,x", "urn:a:b%00c", "urn:a:b%0d%0ac", "urn:a:b%e2%80%aec", "https://a.example/%e2%81%a6", "urn:a:%E3%85%A4", "urn:a:%e2%80%a8",
				"urn:dev:..:x", "urn:a%zz", "urn:a\x7f", "urn:ä", "https://[fe80::1%25eth0]/", "urn:" + strings.Repeat("a", 2000)},
		},
		"name": {
			good: []string{"a", "Meter 7", "Zähler №1", "日本", strings.Repeat("é", 64), `<a href="">`},
			bad: []string{"", " a", "a ", "a\tb", "a\nb", "a\x00", "a\u202eb", "a\u00a0b", "a\u200bb", strings.Repeat("é", 65), "\xff",
				"a\u3164b", "\u115f", "a\u1160", "\uffa0", "a\ufe0fb", "a\U000e0101", "a\u034fb", "a\u2800b", "e\u0301", "Zu\u0308rich", "\u212b"},
		},
	} {
		c, ok := checkNamed(check)
		if !ok {
			t.Fatalf("no check %s", check)
		}
		for _, s := range row.good {
			if err := c.valid(s); err != nil {
				t.Errorf("%s %q: %v", check, s, err)
			}
		}
		for _, s := range row.bad {
			if err := c.valid(s); pki.KindOf(err) != pki.PolicyRefused {
				t.Errorf("%s %q: %v", check, s, err)
			}
		}
	}
}

func TestCovered(t *testing.T) {
	names := pki.Names{
		DNS: []string{"head.example.com", "*.meters.example.com"},
		IP:  []string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"},
		URI: []string{"urn:device:", "spiffe://fleet.example/", "https://example.com/exact"},
	}
	if err := CheckNames(names); err != nil {
		t.Fatal(err)
	}
	for check, row := range map[string]struct{ yes, no []string }{
		"dns": {
			yes: []string{"head.example.com", "a.meters.example.com"},
			no:  []string{"example.com", "a.head.example.com", "meters.example.com", "b.a.meters.example.com", "ameters.example.com", ".meters.example.com.evil", "head.example.com.evil"},
		},
		"ip": {
			yes: []string{"10.255.0.1", "2001:db8:1::1", "192.0.2.7"},
			no:  []string{"11.0.0.1", "2001:db9::1", "192.0.2.8", "::ffff:10.0.0.1", "", "x"},
		},
		"uri": {
			yes: []string{"urn:device:1", "spiffe://fleet.example/meter/7", "https://example.com/exact"},
			no:  []string{"urn:devices:1", "URN:device:1", "urn:Device:1", "spiffe://fleet.example.evil/", "spiffe://fleet.example", "https://example.com/exactly", "https://example.com/exact/more"},
		},
	} {
		c, _ := checkNamed(check)
		for _, s := range row.yes {
			if !c.covered(names, s) {
				t.Errorf("%s %s is not covered", check, s)
			}
		}
		for _, s := range row.no {
			if c.covered(names, s) {
				t.Errorf("%s %s is covered", check, s)
			}
			if c.covered(pki.Names{}, s) {
				t.Errorf("%s %s is covered by nothing", check, s)
			}
		}
	}
}

func TestCheckNames(t *testing.T) {
	for _, names := range []pki.Names{
		{DNS: []string{""}},
		{DNS: []string{"*"}},
		{DNS: []string{"*.*.example.com"}},
		{DNS: []string{"a*.example.com"}},
		{DNS: []string{"Example.com"}},
		{IP: []string{"10.0.0.1"}},
		{IP: []string{"10.0.0.1/8"}},
		{IP: []string{"::ffff:10.0.0.0/104"}},
		{URI: []string{""}},
		{URI: []string{":"}},
		{URI: []string{"example.com"}},
		{URI: []string{"URN:device:"}},
	} {
		if err := CheckNames(names); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%+v: %v", names, err)
		}
	}
}
