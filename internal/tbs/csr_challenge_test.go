package tbs

import (
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

func TestChallenge(t *testing.T) {
	challenge := func(values ...[]byte) []byte {
		return seq(der.MustOID(der.OIDChallengePassword), set(values...))
	}
	once := challenge(node(asn1.UTF8String, []byte("once")))
	for name, c := range map[string]struct {
		attributes [][]byte
		want       string
		malformed  bool
	}{
		"none":            {},
		"UTF8String":      {[][]byte{once}, "once", false},
		"PrintableString": {[][]byte{challenge(node(asn1.PrintableString, []byte("once")))}, "once", false},
		"IA5String":       {[][]byte{challenge(node(asn1.IA5String, []byte("o_n@ce")))}, "o_n@ce", false},
		"T61String":       {[][]byte{challenge(node(asn1.T61String, []byte("once")))}, "once", false},
		"not ASCII":       {[][]byte{challenge(node(asn1.UTF8String, []byte("naïve")))}, "naïve", false},
		"beside others":   {[][]byte{extensionRequest(sanExtension(t, 1)), once}, "once", false},
		"empty":           {[][]byte{challenge(node(asn1.PrintableString, nil))}, "", false},
		"longest":         {[][]byte{challenge(node(asn1.UTF8String, []byte(strings.Repeat("a", MaxChallenge))))}, strings.Repeat("a", MaxChallenge), false},
		"too long":        {[][]byte{challenge(node(asn1.UTF8String, []byte(strings.Repeat("a", MaxChallenge+1))))}, "", true},
		"twice":           {[][]byte{once, once}, "", true},
		"two values":      {[][]byte{challenge(node(asn1.UTF8String, []byte("a")), node(asn1.UTF8String, []byte("b")))}, "", true},
		"no value":        {[][]byte{challenge()}, "", true},
		"not UTF-8":       {[][]byte{challenge(node(asn1.UTF8String, []byte{0xff}))}, "", true},
		"T61 not ASCII":   {[][]byte{challenge(node(asn1.T61String, []byte{0xe4}))}, "", true},
		"octets":          {[][]byte{challenge(node(asn1.OCTET_STRING, []byte("once")))}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			csr, err := ParseCSR(newRequest(t, c.attributes...).sign(t))
			if err != nil {
				t.Fatal(err)
			}
			got, err := csr.Challenge()
			if c.malformed != (pki.KindOf(err) == pki.Malformed) || !c.malformed && err != nil {
				t.Errorf("%v", err)
			}
			if got.Reveal() != c.want {
				t.Errorf("a challenge of %d octets, want %q", len(got.Reveal()), c.want)
			}
		})
	}
}
