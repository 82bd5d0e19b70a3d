package sqlstore

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

// What a transaction claimed that was not committed is not claimed.
func TestClaimRolledBack(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	id := keyID{1, [keyHashSize]byte{1, 2, 3}}
	failed := errors.New("no")
	err := s.update(t.Context(), func(t *tx) error {
		r, err := t.recentClaims()
		if err != nil {
			return err
		}
		r.add(1, 1, []claimEntry{{owner: id.owner, hasKey: true, hash: id.hash, device: "meter-1"}})
		return failed
	})
	if err != failed {
		t.Fatal(err)
	}
	if k, used, err := s.recentKey(t.Context(), id); used || err != nil {
		t.Errorf("the key is used: %v, %v", k, err)
	}
}

func TestClaimEntries(t *testing.T) {
	want := []claimEntry{
		{owner: 1, hasKey: true, hash: [keyHashSize]byte{1}, device: "meter-1"},
		{owner: 300, hasKey: true, hash: [keyHashSize]byte{2}, kept: true},
		{owner: 2, order: "order-1", request: [32]byte{3}, issuer: 4, serial: pki.Serial{5}},
		{owner: 2, hasKey: true, hash: [keyHashSize]byte{6}, device: "meter-2", order: "order-2", request: [32]byte{7}, issuer: 8, serial: pki.Serial{9}},
	}
	packed := encodeClaims(want)
	got, err := decodeClaims(packed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(claimEntry{})); diff != "" {
		t.Error(diff)
	}
	if _, err := decodeClaims(packed[:len(packed)-1]); !errors.Is(err, errDamaged) {
		t.Errorf("cut short: %v", err)
	}
}
