package statuscheck

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

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

// An asking is a store that counts the serials that it is asked about, and has no more than
// what looking back needs.
type asking struct {
	Store
	of    *revocationtest.FakeStore
	asked int
}

// LatestEntries implements Store.
func (s *asking) LatestEntries(ctx context.Context, issuer pki.IssuerID, shard int, serials []pki.Serial) ([]pki.Revocation, error) {
	s.asked += len(serials)
	return s.of.LatestEntries(ctx, issuer, shard, serials)
}

// Status implements Store.
func (s *asking) Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	return s.of.Status(ctx, issuer, serial)
}

// TestLookBackBounded: a look back asks for as many serials as a window has, and for none when
// its time is over, whatever else there is in the shards.
func TestLookBackBounded(t *testing.T) {
	const shards = 3
	v := revocationtest.New(t, shards)
	s := &asking{of: v.Store}
	c := newPatrol(New(Config{Store: s, Now: v.Clock.Now, Alarms: v.Alarms, Log: slog.New(slog.DiscardHandler)}), revocationtest.Tenant)
	c.follow([]*pki.Issuer{v.CA.Issuer})
	for shard := range shards {
		c.finals[turn{v.CA.Issuer.ID, shard}] = &finals{begun: v.Clock.Now()}
	}
	all := window + window/2
	for range all {
		serial := v.Issue()
		v.RevokeElsewhere(t, serial, pki.Superseded)
		f := c.finals[turn{v.CA.Issuer.ID, serial.Shard(shards)}]
		f.serials = append(f.serials, serial)
	}
	for _, f := range c.finals {
		slices.SortFunc(f.serials, compareSerials)
	}
	for i, test := range []struct {
		spent time.Duration
		want  int
	}{{0, window}, {lookTime + time.Second, 0}, {0, window}, {0, window}} { // three windows are twice round
		c.last, s.asked = time.Now().Add(-test.spent), 0
		c.lookBack(t.Context(), shards)
		if s.asked > test.want || s.asked < test.want/2 {
			t.Errorf("look %d asked for %d serials, of %d", i, s.asked, test.want)
		}
	}
	for shard, f := range c.finals {
		if f.well.IsZero() {
			t.Errorf("%v was not gone round", shard)
		}
	}
	if a := v.Alarms.All(); len(a) > 0 {
		t.Errorf("%+v", a)
	}
}
