//go:build !race

package restapi

import "testing"

// What the API adds to an enrolment is bounded, with what the test's own request and
// answer take. (The race detector allocates too.)
func TestEnrollAllocations(t *testing.T) {
	const budget = 58
	if got := testing.AllocsPerRun(100, enrolments(t)); got > budget {
		t.Errorf("an enrolment takes %v allocations in the API, more than %d", got, budget)
	}
}
