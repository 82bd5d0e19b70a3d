// Package pki holds the words that all of pando speaks: tenants, authorities,
// issuers, profiles, certificates, revocations, events, and errors with a kind.
//
// It has no behaviour beyond naming, parsing and printing its own words. It
// imports only the standard library and nothing of pando.
package pki

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"regexp"
	"time"
)

// A TenantID names an organisation. It is a slug chosen at creation (see
// CheckSlug), never changed and never used again.
type TenantID string

// Platform is the tenant of principals that run the deployment itself. It owns
// no authority, no device and no certificate.
const Platform TenantID = ""

// An AuthorityID is the opaque identifier of an authority.
type AuthorityID string

// An IssuerID is the opaque identifier of an issuer, as it stands in status
// URLs. It is random and never used again.
type IssuerID string

// A BatchID identifies a manufacturing job.
type BatchID string

// An IntentID identifies one committed intent to sign a group of certificates.
// IntentIDs of one node grow with time.
type IntentID string

// A TokenID identifies an API token; it is not secret.
type TokenID string

// A SecretID identifies an enrolment secret; it is not secret itself.
type SecretID string

// A ChangeID identifies an act that others must approve first.
type ChangeID string

// A DeviceID is a device's identifier within its owner's registry: 1 to 128
// bytes of printable ASCII (see CheckDevice).
type DeviceID string

// A KeyURI names a private key and the means to reach it, as in
// "software:0d3k..." or "pkcs11:token=...". The scheme is never empty, except
// for OfflineKey.
type KeyURI string

// OfflineKey is the key URI of an issuer whose key this deployment does not
// hold: a root, used only in a ceremony.
const OfflineKey KeyURI = "offline:"

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// NewID returns a new identifier: 48 bits of milliseconds and 80 random bits as
// 26 characters of lower-case base32hex, so that identifiers sort by time.
func NewID(now time.Time) string {
	var b [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	rand.Read(b[6:])
	return idEncoding.EncodeToString(b[:])
}

// NewOpaqueID returns a new identifier of 130 random bits as 26 characters of
// lower-case base32hex. It tells nothing, not even when it was made.
func NewOpaqueID() string {
	var b [17]byte
	rand.Read(b[:])
	return idEncoding.EncodeToString(b[:])[:26]
}

// IsID reports whether s has the form of what NewID and NewOpaqueID return.
func IsID(s string) bool { return idForm.MatchString(s) }

var idForm = regexp.MustCompile(`^[0-9a-v]{26}$`)

var slug = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)

// CheckSlug reports whether s can name a tenant, an authority, a profile or an
// endpoint: 1 to 40 characters of a-z, 0-9 and inner hyphens.
func CheckSlug(what, s string) error {
	if !slug.MatchString(s) {
		return Errorf(Malformed, "%s %.80q: a name has 1 to 40 characters of a-z, 0-9 and inner hyphens", what, s)
	}
	return nil
}

// CheckDevice reports whether id can name a device: 1 to 128 printable ASCII
// characters without space at either end.
func CheckDevice(id DeviceID) error {
	if !isDevice(string(id)) {
		return Errorf(Malformed, "device id %.40q: it has 1 to 128 printable ASCII characters and no space at either end", string(id))
	}
	return nil
}

func isDevice(id string) bool {
	if len(id) == 0 || len(id) > 128 || id[0] == ' ' || id[len(id)-1] == ' ' {
		return false
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// A KeyKind is a public key algorithm with its size.
type KeyKind string

// The key kinds that pando knows.
const (
	P256    KeyKind = "p256"
	P384    KeyKind = "p384"
	P521    KeyKind = "p521"
	RSA2048 KeyKind = "rsa2048"
	RSA3072 KeyKind = "rsa3072"
	RSA4096 KeyKind = "rsa4096"
	Ed25519 KeyKind = "ed25519"

	// Keys of RSA that sign by RSASSA-PSS alone (RFC 4055), for authorities and
	// responders: with SHA-256, SHA-384 and SHA-512. Their certificates say RSA, so
	// that everybody reads them.
	RSA2048PSS KeyKind = "rsa2048-pss"
	RSA3072PSS KeyKind = "rsa3072-pss"
	RSA4096PSS KeyKind = "rsa4096-pss"

	MLDSA44 KeyKind = "mldsa44" // FIPS 204
	MLDSA65 KeyKind = "mldsa65"
	MLDSA87 KeyKind = "mldsa87"
	SLHDSA  KeyKind = "slhdsa-sha2-128s" // FIPS 205; half a second a signature, for roots
)

// KeyKinds lists every KeyKind that a key can be generated in.
func KeyKinds() []KeyKind {
	return []KeyKind{P256, P384, P521, RSA2048, RSA3072, RSA4096, RSA2048PSS, RSA3072PSS, RSA4096PSS, Ed25519, MLDSA44, MLDSA65, MLDSA87, SLHDSA}
}

// ParseKeyKind returns the KeyKind named s, or a Malformed error that lists the
// names.
func ParseKeyKind(s string) (KeyKind, error) {
	for _, k := range KeyKinds() {
		if s == string(k) {
			return k, nil
		}
	}
	return "", Errorf(Malformed, "key kind %.80q: it is one of %v", s, KeyKinds())
}

// A Secret is text that prints as [secret] in every form that fmt and slog know.
// Its bytes are reached with Reveal, so that a search finds every use. Secrets are
// not compared with ==.
type Secret struct {
	// A pointer, since fmt calls no method of an unexported field and prints what
	// is in it: of a pointer to text that is its address.
	text *string
}

// NewSecret wraps s.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the secret text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns "[secret]".
func (Secret) String() string { return "[secret]" }

// Format prints "[secret]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

// MarshalText returns "[secret]": a secret does not leave through an encoder.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
