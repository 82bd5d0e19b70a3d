//go:build system

package acceptance

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// readyWithin is the promise of how soon a killed server is ready again. It is no
// benchmark: what a start does must not grow with what was left undone.
const readyWithin = 5 * time.Second

// TestKill kills the server at random moments under load. What must hold then: no
// certificate that anybody was told of is lost, no row and no idempotency key has
// two, every batch comes to its end, and the store is sound.
func TestKill(t *testing.T) {
	kills, rows := 50, 4000
	if testing.Short() {
		kills, rows = 10, 1000
	}
	random := seeded(t)
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.begin(t)
	undisturbed := h.ready(t)
	l := startLoad(t, h, rows)

	var waits []time.Duration
	early := 0
	for range kills {
		within := time.Second // of work
		if random.IntN(5) == 0 {
			within = 200 * time.Millisecond // of a start, with recovery
			h.server.kill(t)
			h.begin(t)
			early++
		}
		time.Sleep(time.Duration(random.Int64N(int64(within))))
		h.server.kill(t)
		h.begin(t)
		waits = append(waits, h.ready(t))
		if l.failed.Err() != nil {
			break
		}
	}
	after := l.end(t, h, before)
	if want := int64(l.acks.count); after.Acknowledged != want {
		t.Errorf("%d acknowledgements were checked, want %d", after.Acknowledged, want)
	}
	log, err := os.ReadFile(h.log)
	if err != nil {
		t.Fatal(err)
	}
	adopted := strings.Count(string(log), "adopted an open intent")
	if adopted == 0 && !testing.Short() {
		t.Error("of all kills none left an intent to be adopted: recovery was not tried")
	}
	slices.Sort(waits)
	if longest := waits[len(waits)-1]; longest > max(readyWithin, 10*undisturbed) { // of a machine that is busy with other things
		t.Errorf("after a kill it took %v to be ready again, more than %v; a start with nothing left undone took %v", longest, readyWithin, undisturbed)
	}
	t.Logf("%d kills, %d more during a start; ready again in %v at most, %v in the median",
		len(waits), early, waits[len(waits)-1], waits[len(waits)/2])
	t.Logf("%d batches of %d rows and %d single certificates; %d intents adopted, %d serial numbers void",
		l.batches, l.rows, len(l.singles), adopted, after.Voids-before.Voids)
}
