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
			q.push(tenant, fmt.Sprintf("%s%d", tenant, i))
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
