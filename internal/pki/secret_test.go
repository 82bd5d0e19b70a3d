package pki_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

const hunter = "hunter2"

// holders are the places where a secret may stand when something is printed.
func holders() map[string]any {
	all := holdersOf("secret", pki.NewSecret(hunter))
	maps.Copy(all, holdersOf("private key", pki.NewPrivateKey([]byte(hunter))))
	return all
}

func holdersOf[S any](what string, secret S) map[string]any {
	return map[string]any{
		what + " itself":              secret,
		what + " by pointer":          &secret,
		what + " in field":            struct{ Password S }{secret},
		what + " in unexported field": struct{ password S }{secret},
		what + " pointed to":          struct{ password *S }{&secret},
		what + " in list":             []S{secret},
		what + " in map":              map[string]S{"password": secret},
		what + " in interface":        struct{ v any }{secret},
	}
}

// leaks reports whether text has the secret, in any of the forms that verbs give.
func leaks(text string) bool {
	for _, form := range []string{hunter, fmt.Sprintf("%x", hunter), fmt.Sprintf("%X", hunter), fmt.Sprintf("% x", hunter), fmt.Sprint([]byte(hunter))} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestSecretInFormats(t *testing.T) {
	for name, holder := range holders() {
		for verb := '!'; verb <= '~'; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "20", ".3", "+#"} {
				format := "%" + flags + string(verb)
				if got := fmt.Sprintf(format, holder); leaks(got) {
					t.Errorf("%s with %s: %s", name, format, got)
				}
			}
		}
	}
	secret := pki.NewSecret(hunter)
	for _, got := range []string{secret.String(), fmt.Sprint(secret), fmt.Sprintf("%s", secret), fmt.Sprintf("%#v", secret), fmt.Sprintf("%q", &secret)} {
		if got != "[secret]" {
			t.Errorf("it prints as %q", got)
		}
	}
	if err := fmt.Errorf("signing in with %v", secret); leaks(err.Error()) {
		t.Error(err)
	}
}

func TestSecretInLogsAndJSON(t *testing.T) {
	for name, holder := range holders() {
		var text bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&text, nil)} {
			log := slog.New(handler)
			log.Info("sign in", "with", holder)
			log.With("with", holder).WithGroup("g").Info("sign in", slog.Group("of", slog.Any("with", holder)))
		}
		if leaks(text.String()) {
			t.Errorf("%s in a log: %s", name, &text)
		}
		got, err := json.Marshal(holder)
		if err != nil || leaks(string(got)) {
			t.Errorf("%s in JSON: %s, %v", name, got, err)
		}
	}
}

func TestSecretRevealed(t *testing.T) {
	if got := pki.NewSecret(hunter).Reveal(); got != hunter {
		t.Errorf("it reveals %q", got)
	}
	if !(pki.Secret{}).IsZero() || !pki.NewSecret("").IsZero() || pki.NewSecret("x").IsZero() || (pki.Secret{}).Reveal() != "" {
		t.Error("the empty secret is the zero one")
	}
}

// TestPrivateKeyCleared: whoever clears a key clears it for all who hold it.
func TestPrivateKeyCleared(t *testing.T) {
	octets := []byte(hunter)
	key := pki.NewPrivateKey(octets)
	other := key
	if string(other.Reveal()) != hunter || other.IsZero() {
		t.Error("it does not reveal the key")
	}
	key.Clear()
	key.Clear()
	(pki.PrivateKey{}).Clear()
	if !other.IsZero() || other.Reveal() != nil || !bytes.Equal(octets, make([]byte, len(hunter))) {
		t.Errorf("a key that was cleared is %q still", octets)
	}
	if !(pki.PrivateKey{}).IsZero() || (pki.PrivateKey{}).Reveal() != nil || key.String() != "[secret]" {
		t.Error("the zero key is none")
	}
}
