package client

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

const hunter = "pando_hunter2"

// holders are the places where a token may stand when something is printed.
func holders() map[string]any {
	token := TokenOf(hunter)
	return map[string]any{
		"itself":           token,
		"pointer":          &token,
		"field":            Config{Token: token},
		"unexported field": Client{token: token},
		"pointed to":       struct{ token *Token }{&token},
		"list":             []Token{token},
		"map":              map[string]Token{"token": token},
		"interface":        struct{ v any }{token},
		"created":          CreatedToken{Secret: token},
	}
}

// leaks reports whether text has the token, in any of the forms that verbs give.
func leaks(text string) bool {
	for _, form := range []string{hunter, fmt.Sprintf("%x", hunter), fmt.Sprintf("%X", hunter), fmt.Sprintf("% x", hunter), fmt.Sprint([]byte(hunter))} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestTokenInFormats(t *testing.T) {
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
	token := TokenOf(hunter)
	for _, got := range []string{token.String(), fmt.Sprint(token), fmt.Sprintf("%#v", token), fmt.Sprintf("%q", &token)} {
		if got != "[secret]" {
			t.Errorf("it prints as %q", got)
		}
	}
}

// TestTokenInLogs: as text, whatever it stands in; as JSON, by itself, since JSON
// is the way that it takes to where it is needed.
func TestTokenInLogs(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	for name, holder := range holders() {
		log.Info("sign in", "with", holder)
		log.With("with", holder).WithGroup("g").Info("sign in", slog.Group("of", slog.Any("with", holder)))
		if leaks(text.String()) {
			t.Errorf("%s in a log: %s", name, &text)
		}
		text.Reset()
	}
	log = slog.New(slog.NewJSONHandler(&text, nil))
	token := TokenOf(hunter)
	log.With("with", token).Info("sign in", "with", token, "also", &token)
	if leaks(text.String()) || !strings.Contains(text.String(), "[secret]") {
		t.Errorf("in a log as JSON: %s", &text)
	}
}

func TestTokenInJSON(t *testing.T) {
	type file struct {
		Token Token `json:"token"`
	}
	for text, token := range map[string]Token{`{"token":"` + hunter + `"}`: TokenOf(hunter), `{"token":""}`: {}} {
		got, err := json.Marshal(file{token})
		if err != nil || string(got) != text {
			t.Errorf("%s, %v, want %s", got, err, text)
		}
		if got, err := stdjson.Marshal(file{token}); err != nil || string(got) != text {
			t.Errorf("by encoding/json: %s, %v, want %s", got, err, text)
		}
		var f file
		if err := json.Unmarshal([]byte(text), &f); err != nil || !f.Token.Equal(token) {
			t.Errorf("%s is read as %q, %v", text, f.Token.Reveal(), err)
		}
	}
	for _, wrong := range []string{`{"token":7}`, `{"token":["x"]}`} {
		if err := json.Unmarshal([]byte(wrong), new(file)); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

func TestTokenRevealed(t *testing.T) {
	if got := TokenOf(hunter).Reveal(); got != hunter {
		t.Errorf("it reveals %q", got)
	}
	if !(Token{}).IsZero() || !TokenOf("").IsZero() || TokenOf("x").IsZero() || (Token{}).Reveal() != "" {
		t.Error("the empty token is the zero one")
	}
	if !TokenOf("x").Equal(TokenOf("x")) || TokenOf("x").Equal(TokenOf("y")) || !(Token{}).Equal(TokenOf("")) {
		t.Error("tokens are equal where their texts are")
	}
}
