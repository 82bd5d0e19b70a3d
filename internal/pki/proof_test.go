package pki_test

import (
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func TestProofs(t *testing.T) {
	for text, want := range map[string]pki.Proofs{
		"certificate": pki.ByCertificate, "secret": pki.BySecret, "token": pki.ByToken,
		"certificate+secret": pki.ByCertificate | pki.BySecret, "certificate+secret+token": pki.ByCertificate | pki.BySecret | pki.ByToken,
	} {
		got, err := pki.ParseProofs(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q is %q: %v", text, got, err)
		}
	}
	if got, err := pki.ParseProofs("secret+certificate"); err != nil || got.String() != "certificate+secret" {
		t.Errorf("in another order: %q, %v", got, err)
	}
	for _, text := range []string{"", "+", "secret+", "secret+secret", "Secret", "password", "secret,token", "secret +token"} {
		if got, err := pki.ParseProofs(text); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%q is %q: %v", text, got, err)
		}
	}
	both := pki.ByCertificate | pki.BySecret
	if !both.Has(pki.BySecret) || !both.Has(both) || both.Has(pki.ByToken) || pki.BySecret.Has(both) {
		t.Error("Has")
	}
}

func FuzzParseProofs(f *testing.F) {
	f.Add("certificate+secret")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := pki.ParseProofs(text)
		if err != nil {
			return
		}
		if again, err := pki.ParseProofs(p.String()); err != nil || again != p {
			t.Errorf("%q becomes %q: %v", text, p, err)
		}
	})
}
