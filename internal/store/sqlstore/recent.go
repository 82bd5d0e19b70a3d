package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/pando-pki/pando/internal/pki"
)

// The keys of what is claimed are random: each put into its table by itself would
// write a page of its own, and the more of them the larger the table. So table
// claim has what each intent claimed in one row, and memory has the same by key.
// From time to time those that have become many are moved to key_use and
// idempotency, in the order of the keys and a few with each commit, while new ones
// gather anew. Whether something is claimed is decided by memory and the two tables
// together, in the transaction of the intent.
//
// Memory may know it since no other process has the database (see takeLock). A
// store that several nodes write to must decide by a table with a unique key.

const (
	// recentClaims is how many claims gather before they are moved: twice as many
	// take some 20 MB of memory at most.
	recentClaims = 1 << 16

	// moveFactor is how many claims are moved for each that is added: more than
	// one, so that all are gone before as many have gathered again.
	moveFactor = 2

	// moveSlice is how many are moved at once where no commit does it by the way.
	moveSlice = 1000
)

// A keyID names a key of an owner's, a keyClaim who has it.
type keyID struct {
	owner int64
	hash  [keyHashSize]byte
}

type keyClaim struct {
	device string
	intent int64 // that gives it up if it comes to nothing; 0 is none
}

// An orderID names an idempotency key of an owner's, an orderClaim what it is for.
type orderID struct {
	owner int64
	key   string
}

type orderClaim struct {
	request [32]byte
	intent  int64
	issuer  int64
	serial  pki.Serial
	created int64
}

// A generation is the claims of consecutive intents.
//
// Of each key it has no pointer, so that the garbage collector passes over the map: it
// is most of what a process that works on batches holds on to.
type generation struct {
	keys    map[keyID]heldKey
	devices []byte // of the keys, one after the other
	orders  map[orderID]orderClaim
	intents []int64 // with a row in table claim
	oldest  int64   // when the first of them claimed
}

// A heldKey is a keyClaim whose device is a part of the generation's.
type heldKey struct {
	intent     int64
	from, size uint32
}

func newGeneration() *generation {
	return &generation{keys: make(map[keyID]heldKey), orders: make(map[orderID]orderClaim), oldest: math.MaxInt64}
}

func (g *generation) size() int { return len(g.keys) + len(g.orders) }

// recent is what memory has of table claim. Whoever has the writer's turn changes
// it, holding mu, and reads it; others read it holding mu. It may show a claim a
// moment before that is committed.
type recent struct {
	limit int // recentClaims, but in tests

	mu     sync.RWMutex
	loaded bool
	young  *generation // takes what is new
	old    *generation // is being moved; nil where none is

	// Of old: what is not moved yet, in order, and then not deleted.
	keys    []keyID
	orders  []orderID
	intents []int64

	// files has what memory knows of the devices of files whose rows claimed some
	// lately. The writer alone reads it.
	files map[int64]*fileDevices
}

// forget has memory read anew, where it may have more than is committed.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded, r.young, r.old = false, nil, nil
	r.keys, r.orders, r.intents = nil, nil, nil
	clear(r.files)
}

// recentClaims returns what memory has, for this transaction to change.
func (t *tx) recentClaims() (*recent, error) {
	r := &t.s.recent
	t.claiming = true
	if r.loaded {
		return r, nil
	}
	all := newGeneration()
	err := t.queryEach(func(row row) error {
		var intent, created int64
		var packed []byte
		if err := row.Scan(&intent, &created, &packed); err != nil {
			return err
		}
		entries, err := decodeClaims(packed)
		if err != nil {
			return fmt.Errorf("what intent %d claimed: %w", intent, err)
		}
		all.add(intent, created, entries)
		return nil
	}, `SELECT intent, created, entries FROM claim ORDER BY intent`)
	if err != nil {
		return nil, fmt.Errorf("reading recent claims: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded, r.young, r.files = true, all, make(map[int64]*fileDevices)
	return r, nil
}

// add adds what an intent claimed.
func (g *generation) add(intent, created int64, entries []claimEntry) {
	for i := range entries {
		e := &entries[i]
		if e.hasKey {
			k := heldKey{intent, uint32(len(g.devices)), uint32(len(e.device))}
			if e.kept {
				k.intent = 0
			}
			g.devices = append(g.devices, e.device...)
			g.keys[keyID{e.owner, e.hash}] = k
		}
		if e.order != "" {
			g.orders[orderID{e.owner, e.order}] = orderClaim{e.request, intent, e.issuer, e.serial, created}
		}
	}
	if n := len(g.intents); n == 0 || g.intents[n-1] != intent {
		g.intents = append(g.intents, intent)
	}
	g.oldest = min(g.oldest, created)
}

// key returns the claim of a key.
func (g *generation) key(id keyID) (keyClaim, bool) {
	k, there := g.keys[id]
	return keyClaim{string(g.devices[k.from : k.from+k.size]), k.intent}, there
}

// add adds what an intent claimed to what is new.
func (r *recent) add(intent, created int64, entries []claimEntry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.young.add(intent, created, entries)
}

// generations are those that there are, the new one first.
func (r *recent) generations() []*generation {
	if r.old == nil {
		return []*generation{r.young}
	}
	return []*generation{r.young, r.old}
}

func (r *recent) key(id keyID) (keyClaim, bool) {
	for _, g := range r.generations() {
		if k, ok := g.key(id); ok {
			return k, true
		}
	}
	return keyClaim{}, false
}

func (r *recent) order(id orderID) (orderClaim, bool) {
	for _, g := range r.generations() {
		if o, ok := g.orders[id]; ok {
			return o, true
		}
	}
	return orderClaim{}, false
}

// keep has a claim outlive its intent.
func (r *recent) keep(id keyID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.generations() {
		if k, ok := g.keys[id]; ok {
			k.intent = 0
			g.keys[id] = k
		}
	}
}

// dropKey and dropOrder forget a claim of an intent's.
func (r *recent) dropKey(id keyID, intent int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.generations() {
		if k, ok := g.keys[id]; ok && k.intent == intent {
			delete(g.keys, id)
		}
	}
}

func (r *recent) dropOrder(id orderID, intent int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.generations() {
		if o, ok := g.orders[id]; ok && o.intent == intent {
			delete(g.orders, id)
		}
	}
}

// oldest returns when the oldest claim was made, the end of time where there is none.
func (r *recent) oldest() int64 {
	if r.old != nil {
		return r.old.oldest
	}
	return r.young.oldest
}

// turnOver makes what has gathered old, to be moved but for the keys that need not be.
func (r *recent) turnOver(skip func(keyID, heldKey) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.old, r.young = r.young, newGeneration()
	r.keys = make([]keyID, 0, len(r.old.keys))
	for id, k := range r.old.keys {
		if !skip(id, k) {
			r.keys = append(r.keys, id)
		}
	}
	slices.SortFunc(r.keys, func(a, b keyID) int {
		return cmp.Or(cmp.Compare(a.owner, b.owner), bytes.Compare(a.hash[:], b.hash[:]))
	})
	r.orders = make([]orderID, 0, len(r.old.orders))
	for id := range r.old.orders {
		r.orders = append(r.orders, id)
	}
	slices.SortFunc(r.orders, func(a, b orderID) int {
		return cmp.Or(cmp.Compare(a.owner, b.owner), strings.Compare(a.key, b.key))
	})
	r.intents = r.old.intents
}

// What was moved before the process ended is moved again: it is the same.
var (
	moveKeys   = newRowsText(`key_use (owner, hash, device, intent)`, 4, `ON CONFLICT DO NOTHING`)
	moveOrders = newRowsText(`idempotency (owner, key, request_hash, intent, issuer, serial, created)`, 7,
		`ON CONFLICT DO NOTHING`)
)

// moveClaims moves up to n claims, where many have gathered or some are being moved;
// now, whatever has gathered.
func (t *tx) moveClaims(n int, now bool) error {
	r, err := t.recentClaims()
	if err != nil {
		return err
	}
	if r.old == nil {
		if size := r.young.size(); size < r.limit && !now {
			return nil
		}
		issued, err := t.issuedDevices(r.young)
		if err != nil {
			return err
		}
		r.turnOver(issued)
	}
	// One kind in one transaction: what is deleted, and what memory forgets, was
	// committed to its table before.
	switch {
	case len(r.keys) > 0:
		part := r.keys[:min(n, len(r.keys))]
		r.keys = r.keys[len(part):]
		args := make([]any, 0, 4*len(part))
		for i, id := range part {
			if k, there := r.old.key(id); there { // it was not given up
				args = append(args, id.owner, part[i].hash[:], k.device, k.intent)
			}
		}
		err = t.execRows(moveKeys, args)
	case len(r.orders) > 0:
		part := r.orders[:min(n, len(r.orders))]
		r.orders = r.orders[len(part):]
		args := make([]any, 0, 7*len(part))
		for _, id := range part {
			if o, there := r.old.orders[id]; there {
				args = append(args, id.owner, id.key, o.request[:], o.intent, o.issuer, o.serial[:], o.created)
			}
		}
		err = t.execRows(moveOrders, args)
	case len(r.intents) > 0:
		part := r.intents[:min(n, len(r.intents))]
		r.intents = r.intents[len(part):]
		_, err = t.exec(`DELETE FROM claim WHERE intent <= $1`, part[len(part)-1])
	}
	if err != nil {
		return fmt.Errorf("moving recent claims: %w", err)
	}
	if len(r.keys)+len(r.orders)+len(r.intents) == 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.noteGone()
		r.old = nil
	}
	return nil
}

// moveSome moves some claims if the transaction made any.
func (t *tx) moveSome() error {
	if t.claimed == 0 {
		return nil
	}
	return t.moveClaims(moveFactor*t.claimed, false)
}

// moveBefore moves all claims that were made before a time, a slice at a time.
func (s *Store) moveBefore(ctx context.Context, before int64) error {
	for over := false; !over; {
		err := s.update(ctx, func(t *tx) error {
			r, err := t.recentClaims()
			if err != nil {
				return err
			}
			if over = r.oldest() >= before; over {
				return nil
			}
			return t.moveClaims(moveSlice, true)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// recentKey returns the claim of a key that is not in its table yet.
func (s *Store) recentKey(ctx context.Context, id keyID) (k keyClaim, ok bool, err error) {
	err = s.readRecent(ctx, func(r *recent) { k, ok = r.key(id) })
	return k, ok, err
}

// readRecent reads the claims that are not in their tables yet.
func (s *Store) readRecent(ctx context.Context, read func(r *recent)) error {
	r := &s.recent
	for {
		r.mu.RLock()
		if r.loaded {
			defer r.mu.RUnlock()
			read(r)
			return nil
		}
		r.mu.RUnlock()
		err := s.update(ctx, func(t *tx) error {
			_, err := t.recentClaims()
			return err
		})
		if err != nil {
			return err
		}
	}
}
