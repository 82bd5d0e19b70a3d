package client

import (
	"fmt"
	"log/slog"

	"github.com/go-json-experiment/json"
)

// A Token is the text of an API token. It prints as [secret] in every form that
// fmt and slog know; in JSON, and by Reveal, it is the text. The zero Token is
// none. Tokens are compared with Equal, not with ==.
type Token struct {
	// A pointer, since fmt calls no method of an unexported field and prints what
	// is in it: of a pointer to text that is its address.
	text *string
}

// TokenOf returns the Token with the given text.
func TokenOf(text string) Token { return Token{&text} }

// Reveal returns the token's text.
func (t Token) Reveal() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t.Reveal() == "" }

// Equal reports whether both are the same text.
func (t Token) Equal(other Token) bool { return t.Reveal() == other.Reveal() }

// String returns "[secret]".
func (Token) String() string { return "[secret]" }

// Format prints "[secret]" for every verb.
func (Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

// LogValue returns "[secret]".
func (Token) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalJSON returns the token's text as a JSON string.
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(t.Reveal()) }

// UnmarshalJSON takes the token's text from a JSON string.
func (t *Token) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	*t = TokenOf(text)
	return nil
}
