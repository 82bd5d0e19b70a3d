package keypool

import (
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// Made returns how many seconds keys took to be made, of all kinds.
func (p *Pool) Made() *stat.Histogram { return p.made }

// Ready returns how many keys of each kind that is made in advance are ready, and how
// many requests wait for one.
func (p *Pool) Ready() (ready map[pki.KeyKind]int, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ready = make(map[pki.KeyKind]int, len(p.shelves))
	for kind, s := range p.shelves {
		ready[kind] = len(s.keys)
	}
	return ready, p.waiters
}
