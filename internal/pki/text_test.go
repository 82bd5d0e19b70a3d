package pki_test

import (
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func TestCheckText(t *testing.T) {
	for _, text := range []string{"x", "Example Meter Root", "Žižkov 2", strings.Repeat("é", 64)} {
		if err := pki.CheckText("common name", text); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []string{"", " ", " x", "x ", "x\ty", "x\x00", "x\x7f", "x\u0085", "x\u200by", "x\xff", strings.Repeat("x", 65), strings.Repeat("x", 300)} {
		if err := pki.CheckText("common name", text); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%q: %v", text, err)
		}
	}
}
