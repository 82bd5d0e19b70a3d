package turns

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

type work struct {
	id     string
	tenant pki.TenantID
}

func newTurns() *Turns[work, string, int] {
	return New[work, string, int](parentBeforeDash, func(w work) (pki.TenantID, string) { return w.tenant, w.id })
}

// parentBeforeDash has a-1 and a-2 as children of a.
func parentBeforeDash(t pki.TenantID) pki.TenantID {
	top, _, _ := strings.Cut(string(t), "-")
	return pki.TenantID(top)
}

// TestTurnsAreFairByFamily: a family with twenty children has every second turn beside
// a single tenant, as another single tenant would, and its children have them in turn.
func TestTurnsAreFairByFamily(t *testing.T) {
	turns, active := newTurns(), []work{{"b", "b"}}
	for n := range 20 {
		tenant := pki.TenantID(fmt.Sprintf("a-%d", n))
		active = append(active, work{string(tenant) + ".1", tenant}, work{string(tenant) + ".2", tenant})
	}
	had := make(map[string]int)
	for range 80 {
		w := turns.Order(active)[0]
		turns.Begin(w)
		had[w.id]++
	}
	if had["b"] != 40 {
		t.Errorf("the single tenant had %d turns of 80", had["b"])
	}
	for id, n := range had {
		if id != "b" && n != 1 {
			t.Errorf("%s had %d turns", id, n)
		}
	}
	turns.Order(active[:1])
	if len(turns.families) != 1 {
		t.Errorf("%d families are remembered", len(turns.families))
	}
}

func TestTurnsAreFairByTenant(t *testing.T) {
	turns := newTurns()
	active := []work{{"a1", "a"}, {"a2", "a"}, {"a3", "a"}, {"b1", "b"}}
	var got []string
	for range 8 { // one worker
		w := turns.Order(active)[0]
		turns.Begin(w)
		*turns.Memory(w.id)++
		got = append(got, w.id)
	}
	if diff := cmp.Diff([]string{"a1", "b1", "a2", "b1", "a3", "b1", "a1", "b1"}, got); diff != "" {
		t.Error(diff)
	}
	if n := *turns.Memory("b1"); n != 4 {
		t.Errorf("b1 remembers %d turns", n)
	}
	turns.Order(active[:1])
	if len(turns.pieces) != 1 || len(turns.tenants) != 1 {
		t.Errorf("%d pieces and %d tenants are remembered, want those that are active", len(turns.pieces), len(turns.tenants))
	}
}

func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, active := newTurns(), []work{{"a", "a"}, {"b", "a"}}
		turns.Rest("a", time.Second)
		if ready := turns.Order(active); len(ready) != 1 || ready[0].id != "b" {
			t.Errorf("while a rests %v may go on", ready)
		}
		time.Sleep(time.Second)
		if ready := turns.Order(active); len(ready) != 2 {
			t.Errorf("after that %v may go on", ready)
		}
	})
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: time.Minute, 100: time.Minute} {
		if got := Backoff(time.Second, failures, time.Minute); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
	}
}
