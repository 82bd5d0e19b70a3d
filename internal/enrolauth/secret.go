package enrolauth

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A Secret is an enrolment secret as it is kept: without its text. Whoever holds the
// text may enrol at one endpoint.
type Secret struct {
	ID       pki.SecretID
	Tenant   pki.TenantID
	Endpoint string       // name
	Name     string       // for people; "" is none
	Device   pki.DeviceID // the only one that it enrols; "" is any
	Subject  string       // the only subject of requests, as tbs.Name prints it; "" is any
	Once     bool         // it is good for one certificate
	Salt     []byte       // of a text that somebody chose; nil where it is random
	Hash     []byte       // of the text
	Maker    string       // the principal that made it
	Created  time.Time
	Expires  time.Time
	Revoked  time.Time // zero while it holds
}

const principalPrefix = "secret:"

// Principal returns the id of whoever holds the secret.
func (s *Secret) Principal() string { return principalPrefix + string(s.ID) }

// onceKey returns the idempotency key of all that a secret for one certificate asks for.
// No key that a client sends has a control character.
func (s *Secret) onceKey() string {
	if !s.Once {
		return ""
	}
	return OnceKey(s.ID)
}

// OnceKey returns the idempotency key under which a secret for one certificate enrols.
func OnceKey(id pki.SecretID) string { return "secret\n" + string(id) }

func (s *Secret) principal() access.Principal {
	role := access.Enroller
	if s.Device != "" {
		role = access.Device
	}
	return access.Principal{
		Tenant: s.Tenant, ID: s.Principal(), Name: cmp.Or(s.Name, string(s.Device)), Device: s.Device, CSRSubject: s.Subject,
		Grants: access.Given(role, access.Scope{Endpoint: s.Endpoint}), Expires: s.Expires, Proofs: pki.BySecret, Once: s.onceKey(),
	}
}

// holds is an Unauthenticated error that says why a secret does not hold now.
func (s *Secret) holds(now time.Time) error {
	switch {
	case !s.Revoked.IsZero():
		return pki.Errorf(pki.Unauthenticated, "the secret %s is revoked", s.ID)
	case !now.Before(s.Expires):
		return pki.Errorf(pki.Unauthenticated, "the secret %s expired at %s", s.ID, s.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// chosen reports whether somebody chose the text.
func (s *Secret) chosen() bool { return len(s.Salt) > 0 }

// named reports whether a user name that came with the secret is one of its: its id, or
// its device. A challenge comes without one.
func (s *Secret) named(user string) bool {
	return user == "" || user == string(s.ID) || s.Device != "" && user == string(s.Device)
}

// Random texts are the id, by which they are found, and 160 random bits, joined by a
// hyphen. They are PrintableStrings, for a challengePassword of any client.
const (
	idLength     = 26
	randomLength = 32
)

var encoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

func newText(id pki.SecretID) pki.Secret {
	var b [20]byte
	rand.Read(b[:])
	return pki.NewSecret(string(id) + "-" + encoding.EncodeToString(b[:]))
}

// IsRandom reports whether a text that proved somebody is one that was made here, of 160
// random bits, and not one that somebody chose.
func IsRandom(text pki.Secret) bool {
	_, random := idOf(text.Reveal())
	return random
}

// idOf returns the id in a text that has the form of random ones.
func idOf(text string) (id pki.SecretID, ok bool) {
	if len(text) != idLength+1+randomLength || text[idLength] != '-' {
		return "", false
	}
	for i := range len(text) {
		if c := text[i]; i != idLength && (c < '0' || c > '9') && (c < 'a' || c > 'v') {
			return "", false
		}
	}
	return pki.SecretID(text[:idLength]), true
}

// matches reports whether a text of random form is the secret's.
func (s *Secret) matches(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return !s.chosen() && subtle.ConstantTimeCompare(sum[:], s.Hash) == 1
}

// The lives of secrets.
const (
	minLife     = time.Minute
	MaxLife     = 2 * 365 * 24 * time.Hour
	DefaultLife = 7 * 24 * time.Hour
)

// MinChosen and MaxChosen bound a text that somebody chooses, in bytes: a
// challengePassword has 255 characters at most (RFC 2985, 5.4.1).
const (
	MinChosen = 16
	MaxChosen = 128
)

// NewSecret is what is asked for when a secret is made.
type NewSecret struct {
	Endpoint string // name or label
	Name     string // for people
	Device   pki.DeviceID
	Subject  string
	Once     bool
	Life     time.Duration // 0 is DefaultLife; at most MaxLife
	Chosen   pki.Secret    // zero is a random one
}

// maxText bounds names and subjects, in bytes.
const (
	maxName    = 100
	maxSubject = 1024
)

// check refuses what no secret can be, and fills in what is left out.
func (n *NewSecret) check() error {
	if n.Life == 0 {
		n.Life = DefaultLife
	}
	if n.Device != "" {
		if err := pki.CheckDevice(n.Device); err != nil {
			return err
		}
	}
	unseen := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }
	switch {
	case len(n.Name) > maxName || strings.ContainsFunc(n.Name, unseen):
		return pki.Errorf(pki.Malformed, "a secret's name is one line of at most %d bytes", maxName)
	case len(n.Subject) > maxSubject || strings.ContainsFunc(n.Subject, unseen):
		return pki.Errorf(pki.Malformed, "a subject is one line of at most %d bytes, as RFC 4514 writes it", maxSubject)
	case n.Life < minLife || n.Life > MaxLife:
		return pki.Errorf(pki.Malformed, "a secret lives for a minute at least and for %d days at most", MaxLife/(24*time.Hour))
	}
	return n.checkChosen()
}

func (n *NewSecret) checkChosen() error {
	text := n.Chosen.Reveal()
	if text == "" {
		return nil
	}
	notASCII := func(r rune) bool { return r < ' ' || r > '~' }
	if len(text) < MinChosen || len(text) > MaxChosen || strings.ContainsFunc(text, notASCII) {
		return pki.Errorf(pki.Malformed, "a secret that you choose has %d to %d printable ASCII characters; leave it out for a random one, which is better", MinChosen, MaxChosen)
	}
	if _, random := idOf(text); random {
		return pki.Errorf(pki.Malformed, "the secret looks like a random one of pando's: leave it out, or choose another")
	}
	return nil
}

// says tells for people what a secret is for.
func (s *Secret) says() string {
	text := "endpoint " + s.Endpoint
	if s.Device != "" {
		text += fmt.Sprintf(", device %q", s.Device)
	}
	if s.Subject != "" {
		text += fmt.Sprintf(", subject %q", s.Subject)
	}
	if s.Once {
		text += ", one certificate"
	}
	if s.chosen() {
		text += ", its text was chosen"
	}
	return text + ", until " + s.Expires.UTC().Format(time.RFC3339)
}
