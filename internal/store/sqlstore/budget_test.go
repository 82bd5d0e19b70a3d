//go:build !race

package sqlstore

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// A certificate is packed without allocation, into memory that there is. (The race
// detector allocates too.)
func TestPackAllocations(t *testing.T) {
	der := make([]byte, 620)
	for i := range der {
		der[i] = byte(i * i)
	}
	r := newReference(1, 1, 1, der)
	other := append([]byte(nil), der...)
	copy(other[100:], make([]byte, 150))
	into := make([]byte, 0, 1024)
	for _, against := range []*reference{nil, r} {
		got := testing.AllocsPerRun(100, func() { appendPacked(into, against, other, sha256.Sum256(other)) })
		if got > 0 {
			t.Errorf("packing takes %v allocations", got)
		}
	}
}

// The transaction of a group, its intent and then its record, takes a bounded number of
// allocations for each certificate, those of the driver included.
func TestCommitAllocations(t *testing.T) {
	const group, runs = 125, 4
	const intend, record = 5, 8 // some of a transaction's own vary with the chance of maps
	s, err := Open(t.Context(), t.TempDir()+"/pando.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	if err := s.PutAuthority(t.Context(), &pki.Authority{ID: "authority", Tenant: "acme", Name: "a", Shards: 1},
		&pki.Issuer{ID: "issuer", Authority: "authority", Tenant: "acme", Shards: 1}, pki.Event{Tenant: "acme", At: now}); err != nil {
		t.Fatal(err)
	}
	certs := newCertificates(t, group)
	var groups []*issuance.Intent
	for run := range runs + 1 { // AllocsPerRun has one to get warm
		in := &issuance.Intent{ID: pki.IntentID(pki.NewID(now)), Issuer: "issuer", Tenant: "acme", Attempt: 1}
		for i, der := range certs {
			serial := pki.NewSerial(pki.SerialLong, now)
			in.Items = append(in.Items, &issuance.Item{Serial: serial, Owner: "acme", Device: pki.DeviceID(fmt.Sprintf("meter-%06d", run*group+i)),
				Profile: pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 1}, NotBefore: now, NotAfter: now,
				TBS: der, KeyHash: sha256.Sum256(serial[:]), Row: int64(i + 1), Endpoint: "line"})
		}
		groups = append(groups, in)
	}
	each := func(commit func(in *issuance.Intent) error) float64 {
		i := 0
		return testing.AllocsPerRun(runs, func() {
			in := groups[i]
			i++
			if err := commit(in); err != nil || in.Err != nil {
				t.Fatal(err, in.Err)
			}
		}) / group
	}
	got := each(func(in *issuance.Intent) error { return s.Commit(t.Context(), now, nil, []*issuance.Intent{in}) })
	if got > intend {
		t.Errorf("an intent takes %.1f allocations a certificate, more than %d", got, intend)
	}
	for _, in := range groups {
		for _, it := range in.Items {
			it.DER = it.TBS
		}
	}
	got = each(func(in *issuance.Intent) error { return s.Commit(t.Context(), now, []*issuance.Intent{in}, nil) })
	if got > record {
		t.Errorf("a record takes %.1f allocations a certificate, more than %d", got, record)
	}
}
