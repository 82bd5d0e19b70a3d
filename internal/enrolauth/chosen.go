package enrolauth

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Texts that somebody chose are hashed slowly, and the hash is hashed under a key of the
// deployment: whoever has the database alone cannot try any, and whoever has the key as well
// tries fewer. Two hundred milliseconds a try are also what a stranger could have this machine
// do, so that few are tried at once, and who tries wrongly is limited (package limit).
const (
	rounds    = 600_000 // of PBKDF2 with HMAC-SHA-256, as OWASP advises for it
	atOnce    = 1
	maxWaits  = 16
	maxSource = 2 // of them, from one source
	maxFamily = 8 // of them, at the endpoints of a family of tenants
	knownLife = 10 * time.Minute
	maxKnown  = 4096
	keyedSalt = 24 // bytes of salt; before, it was 16, and the hash was not keyed
)

// Keyed hashes what can be guessed under a key of the deployment; soft.KEK does.
type Keyed interface {
	MAC(label string, text []byte) []byte
}

// chosen hashes texts that somebody chose, and remembers those that were right, by a hash
// under a key of this process: a plant's devices come with the same one.
type chosen struct {
	keyed Keyed
	key   [32]byte
	work  chan struct{}
	waits *places

	mu    sync.Mutex
	known map[[32]byte]time.Time // until when; guarded by mu
}

func newChosen(keyed Keyed) *chosen {
	c := &chosen{keyed: keyed, work: make(chan struct{}, atOnce), waits: newPlaces(maxWaits, maxSource, maxFamily), known: make(map[[32]byte]time.Time)}
	rand.Read(c.key[:])
	return c
}

// hash hashes a text that came from a source to an endpoint of a family, or is RateLimited
// or Unavailable where too many wait for that.
func (c *chosen) hash(ctx context.Context, from netip.Addr, family pki.TenantID, text string, salt []byte) ([]byte, error) {
	leave, err := c.waits.enter(from, family)
	if err != nil {
		return nil, err
	}
	defer leave()
	select {
	case c.work <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.work }()
	sum, err := pbkdf2.Key(sha256.New, text, salt, rounds, sha256.Size)
	if err == nil && len(salt) == keyedSalt {
		sum = c.keyed.MAC("chosen secret", sum)
	}
	return sum, err
}

// matches reports whether a text is a secret's that somebody chose.
func (c *chosen) matches(ctx context.Context, from netip.Addr, family pki.TenantID, s *Secret, text string, now time.Time) (bool, error) {
	name := sha256.Sum256(append(append(c.key[:], s.Hash...), text...))
	c.mu.Lock()
	until, known := c.known[name]
	c.mu.Unlock()
	if known && now.Before(until) {
		return true, nil
	}
	sum, err := c.hash(ctx, from, family, text, s.Salt)
	if err != nil || subtle.ConstantTimeCompare(sum, s.Hash) != 1 {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[name] = now.Add(knownLife)
	return true, nil
}
