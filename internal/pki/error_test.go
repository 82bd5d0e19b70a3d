package pki_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func TestKinds(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range pki.Kinds() {
		name := k.String()
		if name == "" || seen[name] || name != strings.ToLower(name) {
			t.Errorf("kind %d is called %q", k, name)
		}
		seen[name] = true
		if got := pki.ParseKind(name); got != k {
			t.Errorf("%q is parsed as %s", name, got)
		}
	}
	if last := pki.Kinds()[len(pki.Kinds())-1]; last != pki.Pending {
		t.Errorf("the last kind is %s: Kinds does not list all", last)
	}
	if got := pki.Refusals(); len(got) != len(seen)-1 || slices.Contains(got, pki.Pending.String()) {
		t.Errorf("the kinds of refusal are %v", got)
	}
	for _, k := range []pki.Kind{-1, pki.Pending + 1, 1 << 20} {
		if k.String() != "internal" {
			t.Errorf("kind %d is called %q", int(k), k)
		}
	}
	for _, s := range []string{"", "Malformed", "unknown"} {
		if got := pki.ParseKind(s); got != pki.Internal {
			t.Errorf("%q is parsed as %s", s, got)
		}
	}
}

// TestWhatIsShown: only the detail of the outermost error with a kind leaves, and
// of an internal one not even that.
func TestWhatIsShown(t *testing.T) {
	const hidden = "SQL logic error: no such table: sealed_key"
	cause := errors.New(hidden)
	const plain = "an internal error; the operator's log has the cause"
	tests := []struct {
		name   string
		err    error
		kind   pki.Kind
		detail string
	}{
		{"nil", nil, pki.Internal, plain},
		{"without a kind", cause, pki.Internal, plain},
		{"of the standard library", fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), pki.Internal, plain},
		{"the end of a context", context.Canceled, pki.Internal, plain},
		{"internal with a detail", pki.Because(pki.Internal, cause, "%s", hidden), pki.Internal, plain},
		{"with a kind", pki.Errorf(pki.NotFound, "no tenant %q", "x"), pki.NotFound, `no tenant "x"`},
		{"with a cause", pki.Because(pki.Unavailable, cause, "come again"), pki.Unavailable, "come again"},
		{"wrapped", fmt.Errorf("endpoint %s: %w", hidden, pki.Errorf(pki.BadKey, "weak")), pki.BadKey, "weak"},
		{"joined", errors.Join(cause, pki.Errorf(pki.Conflict, "taken")), pki.Conflict, "taken"},
		{"a kind around a kind", pki.Because(pki.Unavailable, pki.Errorf(pki.NotFound, "%s", hidden), "come again"), pki.Unavailable, "come again"},
		{"internal around a kind", pki.Because(pki.Internal, pki.Errorf(pki.NotFound, "%s", hidden), "%s", hidden), pki.Internal, plain},
		{"a kind without a detail", &pki.Error{Kind: pki.Forbidden, Cause: cause}, pki.Forbidden, ""},
	}
	for _, test := range tests {
		kind, detail := pki.KindOf(test.err), pki.DetailOf(test.err)
		if kind != test.kind || detail != test.detail {
			t.Errorf("%s: %s %q, want %s %q", test.name, kind, detail, test.kind, test.detail)
		}
		if strings.Contains(detail, "SQL") {
			t.Errorf("%s: shows its cause: %s", test.name, detail)
		}
	}
}

// TestWhatIsLogged: the cause is there for logs, and for errors.Is.
func TestWhatIsLogged(t *testing.T) {
	err := pki.Because(pki.Unavailable, io.ErrUnexpectedEOF, "the store is busy")
	if got := err.Error(); got != "the store is busy: unexpected EOF" {
		t.Errorf("it says %q", got)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("its cause is out of reach")
	}
	if got := pki.Errorf(pki.NotFound, "gone").Error(); got != "gone" {
		t.Errorf("without a cause it says %q", got)
	}
}

// TestErrorSaysNothingTwice: a detail that repeats its cause's is printed once, and
// what is below that cause is kept.
func TestErrorSaysNothingTwice(t *testing.T) {
	inner := pki.Because(pki.Malformed, errors.New("disk"), "it is too long")
	for want, err := range map[string]error{
		"asn1: it is too long":       pki.Because(pki.Malformed, pki.Errorf(pki.Malformed, "it is too long"), "asn1: it is too long"),
		"asn1: it is too long: disk": pki.Because(pki.Malformed, inner, "asn1: it is too long"),
		"refused: disk":              pki.Because(pki.Malformed, errors.New("disk"), "refused"),
		"the disk: mend it":          pki.Because(pki.Malformed, errors.New("disk"), "the disk: mend it"),
		"it is too long, says asn1":  pki.Because(pki.Malformed, pki.Errorf(pki.Malformed, "it is too long"), "it is too long, says asn1"),
		"refused by the disk":        pki.Because(pki.Malformed, errors.New("disk"), "refused by the disk"),
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
