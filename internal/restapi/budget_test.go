//go:build !race

package restapi

import (
	"io"
	"testing"

	"github.com/pando-pki/pando/internal/batch"
)

// What the API adds to an enrolment is bounded, with what the test's own request and
// answer take. (The race detector allocates too.)
func TestEnrollAllocations(t *testing.T) {
	const budget = 58
	if got := testing.AllocsPerRun(100, enrolments(t)); got > budget {
		t.Errorf("an enrolment takes %v allocations in the API, more than %d", got, budget)
	}
}

// A row of results in PEM is written into memory that the rows share.
func TestResultPEMAllocations(t *testing.T) {
	row := &batch.Result{Row: 7, Device: "SM-7", Certificate: &batch.Issued{Issuer: "iss", DER: make([]byte, 600)}}
	write := resultPEMWriter()
	if got := testing.AllocsPerRun(100, func() {
		if err := write(io.Discard, row); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("a row takes %v allocations, want none", got)
	}
}
