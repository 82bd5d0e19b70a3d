package limit

import "sync"

// A recent remembers what was asked for lately: when the young half is full it becomes
// the old half, and the old half is forgotten.
type recent[K comparable, V any] struct {
	half int // how many are in one half at most

	mu         sync.Mutex
	young, old map[K]V // guarded by mu
}

func newRecent[K comparable, V any](size int) *recent[K, V] {
	return &recent[K, V]{half: size / 2, young: make(map[K]V)}
}

// get returns what is remembered under a key, or remembers what is new.
func (r *recent[K, V]) get(key K, fresh func() V) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.young[key]; ok {
		return v
	}
	v, ok := r.old[key]
	if !ok {
		v = fresh()
	}
	if len(r.young) >= r.half {
		r.old, r.young = r.young, make(map[K]V)
	}
	r.young[key] = v
	return v
}

// look returns what is remembered under a key, and whether anything is.
func (r *recent[K, V]) look(key K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.young[key]; ok {
		return v, true
	}
	v, ok := r.old[key]
	return v, ok
}

// forget forgets what is remembered under a key.
func (r *recent[K, V]) forget(key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, key)
	delete(r.old, key)
}
