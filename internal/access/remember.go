package access

import (
	"sync"
	"time"
)

const (
	// rememberFor is how long a node goes on with a token as the store last had
	// it. One that another node revokes ends here after it; with what a stream
	// adds (restapi), within five seconds everywhere. One that is revoked here
	// ends at once.
	rememberFor = 2 * time.Second
	// maxRemembered bounds the tokens that are remembered, to some 5 MB.
	maxRemembered = 10_000
)

// memory holds tokens as the store had them a moment ago, by their hash. Its zero
// value is empty.
type memory struct {
	mu     sync.RWMutex
	tokens map[[32]byte]remembered // guarded by mu
	age    uint64                  // how often all was forgotten; guarded by mu
}

type remembered struct {
	token *Token
	at    time.Time
}

// get returns a token that was read a moment ago, or nil, and the memory's age:
// what is read from the store now is put under it.
func (m *memory) get(hash [32]byte, now time.Time) (*Token, uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.tokens[hash]
	if passed := now.Sub(r.at); !ok || passed < 0 || passed >= rememberFor {
		return nil, m.age
	}
	return r.token, m.age
}

// put remembers a token that was read at the given time, unless all was forgotten
// since: it may have been read before it was revoked.
func (m *memory) put(token *Token, at time.Time, age uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if age != m.age {
		return
	}
	if m.tokens == nil || len(m.tokens) >= maxRemembered {
		m.tokens = make(map[[32]byte]remembered)
	}
	m.tokens[token.Hash] = remembered{token, at}
}

// forget forgets all.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = nil
	m.age++
}
