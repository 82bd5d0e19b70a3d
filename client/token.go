package client

import (
	"fmt"
	"log/slog"
)

// A Token is the text of an API token. It prints as [secret]; as JSON, and by
// Reveal, it is the text.
type Token string

// Reveal returns the token's text.
func (t Token) Reveal() string { return string(t) }

// String returns "[secret]".
func (Token) String() string { return "[secret]" }

// Format prints "[secret]" for every verb.
func (Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

// LogValue returns "[secret]".
func (Token) LogValue() slog.Value { return slog.StringValue("[secret]") }
