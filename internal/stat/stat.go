// Package stat counts what the parts of pando do, at the price of an atomic
// addition: counters, counters by kind of error, and histograms.
//
// It knows no format and no names: package metrics shows the counts.
package stat

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Counter only grows. Its zero value is ready.
type Counter struct{ n atomic.Uint64 }

// Add adds n.
func (c *Counter) Add(n int) { c.n.Add(uint64(n)) }

// Value returns the count.
func (c *Counter) Value() uint64 { return c.n.Load() }

// A Moment is when something last happened. Its zero value is never.
type Moment struct{ micros atomic.Int64 }

// Set notes that it happened at t; a zero t takes it back.
func (m *Moment) Set(t time.Time) {
	if t.IsZero() {
		m.micros.Store(0)
		return
	}
	m.micros.Store(t.UnixMicro())
}

// Value returns the moment, zero for never.
func (m *Moment) Value() time.Time {
	if n := m.micros.Load(); n != 0 {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

// ByKind counts errors by their kind. Its zero value is ready.
type ByKind struct {
	counts [pki.Pending + 1]Counter // the last of the kinds
}

// Add counts one more of a kind.
func (b *ByKind) Add(k pki.Kind) { b.counts[k].Add(1) }

// Value returns the count of a kind.
func (b *ByKind) Value(k pki.Kind) uint64 { return b.counts[k].Value() }

// A Histogram counts values by the bound that they do not exceed. It is made by
// NewHistogram.
type Histogram struct {
	bounds []float64
	counts []Counter // one more than bounds: the last is of what exceeds them all
	sum    atomic.Uint64
}

// NewHistogram returns a Histogram with the given upper bounds, which ascend.
func NewHistogram(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]Counter, len(bounds)+1)}
}

// Seconds are bounds for how long work takes: from 100 µs to 10 s.
func Seconds() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// Observe counts a value.
func (h *Histogram) Observe(v float64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Read returns how many values there were, their sum, and how many did not exceed
// each bound. Values that come meanwhile may be in one of these and not in another.
func (h *Histogram) Read() (count uint64, sum float64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, len(h.bounds))
	for i, bound := range h.bounds {
		count += h.counts[i].Value()
		upTo[bound] = count
	}
	return count + h.counts[len(h.bounds)].Value(), math.Float64frombits(h.sum.Load()), upTo
}

// A StoreSize is how much there is in a store.
type StoreSize struct {
	Database    int64 // bytes of the file
	Log         int64 // bytes of the write-ahead log beside it
	Revocations int64 // entries that were ever stored, those of void serials with them
}

// StatusChecks is what a checker of published status counts.
type StatusChecks struct {
	Rounds      Counter // that came to their end
	Wrong       Counter // times that a CRL or an OCSP answer was not as it must be
	Unreachable Counter // times that a place could not be fetched from
	Round       Moment  // when the last round ended
}

// Purges is what housekeeping counts of one kind of what has its time.
type Purges struct {
	Removed  Counter
	Failures Counter // rounds that failed
}

// Answers is what somebody outside who is asked says, yes or no.
type Answers struct {
	Yes Counter
	No  ByKind // by what it becomes here; Unavailable is no answer
}

// OpenWork is the work on many certificates, and changes that want approval, that have not
// come to their end.
type OpenWork struct {
	Batches map[string]int64 // by state, those without any left out
	Jobs    map[string]int64 // of revocation, likewise
	Seen    int64            // certificates that these jobs have looked at
	Changes map[string]int64 // by state, those without any left out
}
