package issuance

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

func TestFairQueueTakesTurns(t *testing.T) {
	var q fairQueue[string]
	push := func(tenant pki.TenantID, n int) {
		for i := range n {
			q.push(parentBeforeDash(tenant), tenant, fmt.Sprintf("%s%d", tenant, i))
		}
	}
	push("a", 4)
	push("b", 1)
	push("c", 2)
	var got []string
	for q.len() > 0 {
		got = append(got, q.pop())
		if len(got) == 3 {
			push("d", 1) // comes after those who wait, not after all they have
		}
	}
	want := []string{"a0", "b0", "c0", "a1", "c1", "d0", "a2", "a3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestFairQueueByFamily: twenty children have one turn between them, and take turns
// within it.
func TestFairQueueByFamily(t *testing.T) {
	var q fairQueue[pki.TenantID]
	for child := range 20 {
		for range 2 {
			id := pki.TenantID(fmt.Sprintf("a-%d", child))
			q.push("a", id, id)
		}
	}
	for range 20 {
		q.push("b", "b", "b")
	}
	seen := make(map[pki.TenantID]int)
	for range 40 {
		seen[q.pop()]++
	}
	if seen["b"] != 20 || len(seen) != 21 || q.len() != 20 {
		t.Errorf("of the first 40: %v", seen)
	}
}
