//go:build !race

package revocation_test

import (
	"crypto"
	"testing"

	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// Most OCSP requests are for an answer that is signed already: it allocates a bounded
// number of times, whatever is stored. (The race detector allocates too.)
func TestKeptAnswerAllocations(t *testing.T) {
	const budget = 4
	v := revocationtest.New(t, 1)
	request := revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, v.Issue())
	got := testing.AllocsPerRun(100, func() {
		if _, err := v.Respond(t.Context(), v.CA.Issuer.ID, request); err != nil {
			t.Fatal(err)
		}
	})
	if got > budget {
		t.Errorf("a kept answer takes %v allocations, more than %d", got, budget)
	}
}
