//go:build !race

package tbs

import (
	"crypto"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// What the hot path allocates is exact, where its time is not: a budget that is
// exceeded is a change that somebody should have meant. Beside it stand
// TestTemplateAllocations and TestOCSPAllocations. Most of it is in
// crypto/ecdsa and crypto/x509. (The race detector allocates too.)
func TestAllocationBudgets(t *testing.T) {
	plain, names := newRequest(t).sign(t), newCSR(t, newSigner(t, pki.P256))
	reader := new(CSRReader)
	parsed, err := reader.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	r := newResponder(t)
	id := AppendCertID(nil, crypto.SHA1, parseCertificate(t, r.issuer.Raw), pki.NewSerial(pki.SerialLong, time.Now()))
	ocsp := AppendOCSPRequest(nil, [][]byte{id}, nil)
	for _, c := range []struct {
		name   string
		budget float64
		do     func() error
	}{
		{"read a request of a known shape", 12, func() error { _, err := reader.Parse(plain); return err }},
		{"parse a request", 51, func() error { _, err := ParseCSR(plain); return err }},
		{"parse a request with six names", 110, func() error { _, err := ParseCSR(names); return err }},
		{"check its proof", 10, func() error { return parsed.CheckProof() }},
		{"parse an OCSP request", 3, func() error { _, err := ParseOCSPRequest(ocsp); return err }},
	} {
		got := testing.AllocsPerRun(100, func() {
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.budget {
			t.Errorf("to %s takes %v allocations, more than %v", c.name, got, c.budget)
		}
	}
}
