package revocation

import (
	"maps"
	"sync"
	"weak"
)

const (
	// maxCRLBytes bounds the CRLs that are kept for later requests. Where single
	// ones are longer than half of it, the last two that were asked for are kept.
	maxCRLBytes = 128 << 20
	// crlOverhead is what a kept CRL takes beside its DER.
	crlOverhead = 512
)

// A crlCache finds the CRLs that are in memory. It keeps those that were asked for
// of late, as answers does: when the young half is full it becomes the old half,
// and the old half is dropped. One that was dropped is found for as long as a
// request still holds it, so that strangers who read slowly from many shards make
// no second copy of any.
type crlCache struct {
	half       int // bytes
	mu         sync.Mutex
	known      map[List]weak.Pointer[CRL] // guarded by mu, as are the others
	young, old map[List]*CRL              // a part of known
	bytes      int                        // in young
}

func newCRLCache(size int) *crlCache {
	return &crlCache{half: size / 2, known: make(map[List]weak.Pointer[CRL]), young: make(map[List]*CRL)}
}

// get returns the shard's CRL if it is in memory and has the number, or one above.
func (c *crlCache) get(key List, number int64) *CRL {
	c.mu.Lock()
	defer c.mu.Unlock()
	crl := c.known[key].Value()
	if crl == nil || crl.Number < number {
		return nil
	}
	c.keep(key, crl)
	return crl
}

// add returns the CRL that is to be used from now on: a later or the same one
// where there is one already, else the given one.
func (c *crlCache) add(crl *CRL) *CRL {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := crl.List
	if have := c.known[key].Value(); have != nil && have.Number >= crl.Number {
		crl = have
	} else {
		c.known[key] = weak.Make(crl)
	}
	c.keep(key, crl)
	return crl
}

// keep needs mu.
func (c *crlCache) keep(key List, crl *CRL) {
	if c.young[key] == crl {
		return
	}
	if earlier := c.young[key]; earlier != nil {
		c.bytes -= len(earlier.DER) + crlOverhead
		delete(c.young, key)
	}
	delete(c.old, key)
	size := len(crl.DER) + crlOverhead
	if len(c.young) > 0 && c.bytes+size > c.half {
		c.old, c.young, c.bytes = c.young, make(map[List]*CRL), 0
		maps.DeleteFunc(c.known, func(_ List, p weak.Pointer[CRL]) bool { return p.Value() == nil })
	}
	c.young[key] = crl
	c.bytes += size
}
