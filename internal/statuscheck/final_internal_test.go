package statuscheck

import (
	"testing"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// TestRememberBounded: of more revocations than have their place some are remembered, by
// chance and of all alike; a hold is none, nor is the same CRL read twice.
func TestRememberBounded(t *testing.T) {
	const share, more = 1000, 2500
	v := revocationtest.New(t, 2)
	c := newPatrol(New(Config{Now: v.Clock.Now}), revocationtest.Tenant)
	c.share = share
	all := 0
	remember := func(n int) {
		t.Helper()
		for range n {
			v.RevokeElsewhere(t, v.Issue(), pki.Superseded)
			all++
		}
		v.RevokeElsewhere(t, v.Issue(), pki.CertificateHold)
		if _, err := v.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		for shard := range 2 {
			list := revocation.List{Issuer: v.CA.Issuer.ID, Shard: shard}
			crl, err := v.CRL(t.Context(), list)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // at two places
				parsed, err := v.Verify(t.Context(), list, crl.DER)
				if err != nil {
					t.Fatal(err)
				}
				c.remember(list, parsed)
			}
		}
		count := 0
		for _, f := range c.finals {
			count += len(f.serials)
		}
		if count != c.remembered {
			t.Errorf("%d are remembered, and %d counted", count, c.remembered)
		}
	}
	remember(share / 2)
	if c.remembered != all {
		t.Errorf("%d of %d are remembered, which all have their place", c.remembered, all)
	}
	remember(more)
	if c.remembered > share || c.remembered < share/4 {
		t.Errorf("%d of %d are remembered", c.remembered, all)
	}
	for shard, f := range c.finals {
		if part := len(f.serials); part < c.remembered/4 {
			t.Errorf("of %v %d are remembered, of all %d", shard, part, c.remembered)
		}
	}
	was := c.halvings
	remember(10)
	if c.halvings != was {
		t.Errorf("a few more halved it again, for the %dth time", c.halvings)
	}
}
