package scep

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
)

// keyLife is how long a key that was derived from a challenge is used, and maxKeys how many
// are remembered.
const (
	keyLife = 10 * time.Minute
	maxKeys = 1024
)

// passwords has the keys of answers that are encrypted under a challenge. What nobody
// guesses needs no slow derivation. One that somebody chose does, which costs a tenth of a
// second: it is done once for many answers, since a plant's devices all come with one
// challenge, and whoever recorded a message sends it as often as they like.
type passwords struct {
	key [32]byte // of the names of challenges, made by this process

	mu    sync.Mutex
	known map[[32]byte]knownKey // guarded by mu
}

type knownKey struct {
	*cms.PasswordKey
	until time.Time
}

func newPasswords() *passwords {
	p := &passwords{known: make(map[[32]byte]knownKey)}
	rand.Read(p.key[:])
	return p
}

func (p *passwords) look(name [32]byte, now time.Time) *cms.PasswordKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have, ok := p.known[name]; ok && now.Before(have.until) {
		return have.PasswordKey
	}
	return nil
}

func (p *passwords) keep(name [32]byte, k *cms.PasswordKey, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxKeys {
		clear(p.known)
	}
	p.known[name] = knownKey{k, now.Add(keyLife)}
}

// passwordKey returns the key of the message's challenge, which has been proved.
func (op *operation) passwordKey(ctx context.Context) (*cms.PasswordKey, error) {
	if enrolauth.IsRandom(op.challenge) {
		return cms.DerivePassword(op.challenge, cms.RandomIterations)
	}
	known := op.server.passwords
	mac := hmac.New(sha256.New, known.key[:])
	mac.Write([]byte(op.challenge.Reveal()))
	name := [32]byte(mac.Sum(nil))
	if k := known.look(name, op.server.cfg.Now()); k != nil {
		return k, nil
	}
	leave, err := op.server.cfg.Limits.Slow(ctx, op.tenant())
	if err != nil {
		return nil, err
	}
	defer leave()
	if k := known.look(name, op.server.cfg.Now()); k != nil { // by whoever had the turn before
		return k, nil
	}
	k, err := cms.DerivePassword(op.challenge, cms.PasswordIterations)
	if err != nil {
		return nil, pki.Because(pki.Internal, err, "")
	}
	known.keep(name, k, op.server.cfg.Now())
	return k, nil
}
