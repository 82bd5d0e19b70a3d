// Package turns says whose work goes on next, fairly by family and within one by
// tenant: that of the family which has waited longest, of its tenants that which has,
// and of its work the piece that has. What failed is put off meanwhile.
//
// It runs nothing, and knows nothing of what the work is.
package turns

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Turns are those of pieces of work W, known by an ID. M is what a worker remembers of
// a piece from one turn to the next. Its methods are safe for concurrent use.
type Turns[W any, ID comparable, M any] struct {
	of     func(W) (pki.TenantID, ID)
	family pki.FamilyOf

	mu       sync.Mutex // guards the rest
	now      uint64     // counts the turns that began
	families map[pki.TenantID]uint64
	tenants  map[pki.TenantID]uint64
	pieces   map[ID]*piece[M]
}

type piece[M any] struct {
	last    uint64    // its latest turn
	restful time.Time // it does not go on before
	memory  M
}

// New returns Turns of work that belongs to a tenant and has an ID, as of says.
func New[W any, ID comparable, M any](family pki.FamilyOf, of func(W) (pki.TenantID, ID)) *Turns[W, ID, M] {
	return &Turns[W, ID, M]{
		of: of, family: family,
		families: make(map[pki.TenantID]uint64), tenants: make(map[pki.TenantID]uint64), pieces: make(map[ID]*piece[M]),
	}
}

// Order returns the pieces that may go on, the next one first, and forgets those that
// are not active any more.
func (t *Turns[W, ID, M]) Order(active []W) []W {
	t.mu.Lock()
	defer t.mu.Unlock()
	families, tenants, pieces := t.families, t.tenants, t.pieces
	t.families, t.tenants, t.pieces = make(map[pki.TenantID]uint64), make(map[pki.TenantID]uint64), make(map[ID]*piece[M])
	for _, w := range active {
		tenant, id := t.of(w)
		family := t.family.Of(tenant)
		t.families[family], t.tenants[tenant] = families[family], tenants[tenant]
		if t.pieces[id] = pieces[id]; t.pieces[id] == nil {
			t.pieces[id] = new(piece[M])
		}
	}
	now := time.Now()
	ready := slices.DeleteFunc(slices.Clone(active), func(w W) bool {
		_, id := t.of(w)
		return now.Before(t.pieces[id].restful)
	})
	slices.SortStableFunc(ready, func(x, y W) int {
		tenantX, idX := t.of(x)
		tenantY, idY := t.of(y)
		return cmp.Or(
			cmp.Compare(t.families[t.family.Of(tenantX)], t.families[t.family.Of(tenantY)]),
			cmp.Compare(t.tenants[tenantX], t.tenants[tenantY]),
			cmp.Compare(t.pieces[idX].last, t.pieces[idY].last))
	})
	return ready
}

// piece needs mu.
func (t *Turns[W, ID, M]) piece(id ID) *piece[M] {
	if t.pieces[id] == nil {
		t.pieces[id] = new(piece[M])
	}
	return t.pieces[id]
}

// Begin notes that a piece has its turn.
func (t *Turns[W, ID, M]) Begin(w W) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tenant, id := t.of(w)
	t.now++
	t.families[t.family.Of(tenant)], t.tenants[tenant], t.piece(id).last = t.now, t.now, t.now
}

// Rest puts a piece off for a while.
func (t *Turns[W, ID, M]) Rest(id ID, pause time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.piece(id).restful = time.Now().Add(pause)
}

// Memory returns what is remembered of a piece, for its worker to read and change.
func (t *Turns[W, ID, M]) Memory(id ID) *M {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &t.piece(id).memory
}

// Backoff returns a pause that doubles with each failure, up to most.
func Backoff(first time.Duration, failures int, most time.Duration) time.Duration {
	return min(first<<min(failures, 10), most)
}
