package cms

import (
	"crypto/rand"
	"fmt"
)

// A secret is a key in memory. It prints as [secret].
type secret []byte

// newSecret returns n random octets.
func newSecret(n int) secret {
	s := make(secret, n)
	rand.Read(s) // never fails: crypto/rand
	return s
}

// Format prints "[secret]" for every verb.
func (secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

// MarshalText returns "[secret]": a secret does not leave through an encoder.
func (secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
