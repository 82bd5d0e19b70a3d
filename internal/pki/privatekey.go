package pki

import "fmt"

// A PrivateKey is one that was made for somebody else, as PKCS #8 in DER. It prints as
// [secret] in every form that fmt and slog know.
type PrivateKey struct {
	// A function, since fmt calls no method of an unexported field and prints what is in
	// it, also what a pointer to octets points to: of a function that is its address.
	octets func() *[]byte
}

// NewPrivateKey wraps pkcs8, which it takes over.
func NewPrivateKey(pkcs8 []byte) PrivateKey {
	return PrivateKey{func() *[]byte { return &pkcs8 }}
}

// Reveal returns the key. It is overwritten by Clear: the caller keeps no part of it.
func (k PrivateKey) Reveal() []byte {
	if k.octets == nil {
		return nil
	}
	return *k.octets()
}

// IsZero reports whether there is no key, or none any more.
func (k PrivateKey) IsZero() bool { return len(k.Reveal()) == 0 }

// Clear overwrites the key, for all who hold it.
func (k PrivateKey) Clear() {
	if k.octets != nil {
		clear(*k.octets())
		*k.octets() = nil
	}
}

// String returns "[secret]".
func (PrivateKey) String() string { return "[secret]" }

// Format prints "[secret]" for every verb.
func (PrivateKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

// MarshalText returns "[secret]": a key does not leave through an encoder.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
