package tbs

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

func TestBlankChallenge(t *testing.T) {
	challenge := func(values ...[]byte) []byte {
		return seq(der.MustOID(der.OIDChallengePassword), set(values...))
	}
	text := func(tag asn1.Tag, n int) []byte { return node(tag, []byte(strings.Repeat("s", n))) }
	stars := func(tag asn1.Tag, n int) []byte { return node(tag, []byte(strings.Repeat("*", n))) }
	san := extensionRequest(sanExtension(t, 2))
	name := seq(der.MustOID("1.2.840.113549.1.9.2"), set(node(asn1.UTF8String, []byte("sss")))) // unstructuredName
	for _, c := range []struct {
		name       string
		have, want [][]byte
	}{
		{"UTF8String", [][]byte{challenge(text(asn1.UTF8String, 8))}, [][]byte{challenge(stars(asn1.UTF8String, 8))}},
		{"PrintableString", [][]byte{challenge(text(asn1.PrintableString, 8))}, [][]byte{challenge(stars(asn1.PrintableString, 8))}},
		{"T61String", [][]byte{challenge(text(asn1.T61String, 8))}, [][]byte{challenge(stars(asn1.T61String, 8))}},
		{"BMPString", [][]byte{challenge(text(30, 8))}, [][]byte{challenge(stars(30, 8))}},
		{"not ASCII", [][]byte{challenge(node(asn1.UTF8String, []byte("naïve")))}, [][]byte{challenge(stars(asn1.UTF8String, 6))}},
		{"long", [][]byte{challenge(text(asn1.UTF8String, 300))}, [][]byte{challenge(stars(asn1.UTF8String, 300))}},
		{"among others", [][]byte{san, challenge(text(asn1.UTF8String, 8)), name}, [][]byte{san, challenge(stars(asn1.UTF8String, 8)), name}},
		{"twice", [][]byte{challenge(text(asn1.UTF8String, 8)), name, challenge(text(asn1.PrintableString, 9)), san}, [][]byte{challenge(stars(asn1.UTF8String, 8)), name, challenge(stars(asn1.PrintableString, 9)), san}},
		{"two values", [][]byte{challenge(text(asn1.UTF8String, 8), text(asn1.PrintableString, 9))}, [][]byte{challenge(stars(asn1.UTF8String, 8), stars(asn1.PrintableString, 9))}},
		{"no string", [][]byte{challenge(seq(text(asn1.UTF8String, 8)))}, [][]byte{challenge(node(asn1.SEQUENCE, []byte("**********")))}},
		{"no element", [][]byte{challenge([]byte("secret"))}, [][]byte{challenge([]byte("******"))}},
		{"in a value of another", [][]byte{seq(der.MustOID("1.2.3"), set(challenge(text(asn1.UTF8String, 8))))}, [][]byte{seq(der.MustOID("1.2.3"), set(challenge(text(asn1.UTF8String, 8))))}},
		{"empty", [][]byte{challenge(node(asn1.UTF8String))}, [][]byte{challenge(node(asn1.UTF8String))}},
		{"no value", [][]byte{challenge()}, [][]byte{challenge()}},
		{"none", [][]byte{san, name}, [][]byte{san, name}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(t, c.have...)
			request := r.sign(t)
			before := bytes.Clone(request)
			r.attributes = node(der.Explicit(0), c.want...)
			want := bytes.Replace(before, node(der.Explicit(0), c.have...), r.attributes, 1)
			if c.name != "none" && c.name != "in a value of another" {
				parsed, err := ParseCSR(before)
				if err != nil {
					t.Fatal(err)
				}
				copy(want[len(want)-len(parsed.Signature):], strings.Repeat("*", len(parsed.Signature)))
			}
			got := BlankChallenge(request)
			if !bytes.Equal(got, want) {
				t.Errorf("%x, want %x", got, want)
			}
			if !bytes.Equal(request, before) {
				t.Error("the request itself was changed")
			}
			if _, err := ParseCSR(got); err != nil {
				t.Error(err)
			}
		})
	}
	plain := newRequest(t, san, name).sign(t)
	if got := BlankChallenge(plain); &got[0] != &plain[0] {
		t.Error("a request without a challenge is copied")
	}
	if n := testing.AllocsPerRun(10, func() { BlankChallenge(plain) }); n != 0 {
		t.Errorf("%v allocations for a request without a challenge", n)
	}
}

// FuzzBlankChallenge: what is read as a request is the same request after, without its
// challenges; anything else is left as it is.
func FuzzBlankChallenge(f *testing.F) {
	once := seq(der.MustOID(der.OIDChallengePassword), set(node(asn1.UTF8String, []byte("once"))))
	request := newRequest(f, once, extensionRequest(sanExtension(f, 2)), once).sign(f)
	f.Add(request)
	f.Add(request[:len(request)/2])
	f.Add(challengeOID)
	f.Fuzz(func(t *testing.T, request []byte) {
		before := bytes.Clone(request)
		got := BlankChallenge(request)
		if !bytes.Equal(request, before) || len(got) != len(request) || !bytes.Equal(BlankChallenge(got), got) {
			t.Fatalf("%x of %x, which was %x", got, request, before)
		}
		c, err := ParseCSR(request)
		if err != nil {
			return
		}
		blanked, err := ParseCSR(got)
		if err != nil || !bytes.Equal(blanked.SubjectDER, c.SubjectDER) || !bytes.Equal(blanked.Key.SPKI(), c.Key.SPKI()) || len(blanked.Extensions) != len(c.Extensions) {
			t.Fatalf("another request: %x, %v", got, err)
		}
		if secret, err := c.Challenge(); err == nil && !secret.IsZero() && strings.Trim(string(blanked.Signature), "*") != "" {
			t.Fatal("the signature is still there")
		}
		if secret, err := blanked.Challenge(); err == nil && strings.Trim(secret.Reveal(), "*") != "" {
			t.Fatal("the challenge is still there")
		}
	})
}
