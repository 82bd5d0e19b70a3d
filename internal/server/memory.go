package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much the heap may grow between two collections. Go's default, as much as is
// live, makes a small server collect all the time: half a millisecond of work for
// every few megabytes. A multiple of it would cost a large one, with thousands of
// connections, gigabytes; a fixed memory limit would have it collect without end.
const (
	growth     = 40 << 20 // bytes, where that is between the two below
	minPercent = 100      // of what is live: Go's own default
	maxPercent = 400
)

// TuneMemory has the garbage collector run less often in this process, at the cost
// of some tens of megabytes, unless the environment has GOGC. It is for a process
// that serves, once.
func TuneMemory() {
	if os.Getenv("GOGC") != "" {
		return
	}
	afterEachCollection(func() { debug.SetGCPercent(percentOf(live())) })
}

// percentOf returns the GC percentage for so many live bytes.
func percentOf(live uint64) int {
	return int(min(max(growth*100/max(live, 1), minPercent), maxPercent))
}

// live returns the bytes that were in use after the last collection.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// afterEachCollection calls f now and, a moment later, after each collection: an
// object that nobody holds ends with each.
func afterEachCollection(f func()) {
	f()
	type sentinel struct{ _ [64]byte }
	runtime.AddCleanup(new(sentinel), afterEachCollection, f)
}
