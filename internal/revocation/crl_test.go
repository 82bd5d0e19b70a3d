package revocation_test

import (
	"crypto/sha256"
	"sync"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// TestCRLIsShared: however many ask for a CRL, it is read and in memory once, until
// there is a later one.
func TestCRLIsShared(t *testing.T) {
	v := revocationtest.New(t, 1)
	for round := range 3 {
		revoke(t, v, v.Issue(), pki.Superseded)
		publish(t, v, 1)
		got := make([]*revocation.CRL, 50)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				var err error
				if got[i], err = v.CRL(t.Context(), revocation.List{Issuer: v.CA.Issuer.ID, Shard: 0}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, c := range got {
			if c == nil || &c.DER[0] != &got[0].DER[0] {
				t.Fatal("two requests have a copy each")
			}
		}
		if got[0].Number != int64(round+1) || got[0].Hash != sha256.Sum256(got[0].DER) {
			t.Errorf("number %d after %d CRLs, hash %x", got[0].Number, round+1, got[0].Hash)
		}
		if n := v.Store.Reads(); n != round+1 {
			t.Errorf("%d CRLs took %d reads", round+1, n)
		}
	}
}
