package enrolauth

import (
	"net/netip"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// TestPlaces: no source and no family of tenants takes all places, and what is given back can
// be taken again.
func TestPlaces(t *testing.T) {
	p := newPlaces(6, 2, 4)
	from := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, last}) }
	var leaves []func()
	take := func(what string, last byte, family pki.TenantID, want pki.Kind) {
		t.Helper()
		leave, err := p.enter(from(last), family)
		switch {
		case want == 0 && err == nil:
			leaves = append(leaves, leave)
		case want == 0 || err == nil || pki.KindOf(err) != want:
			t.Errorf("%s: %v", what, err)
		}
	}
	const none = pki.Kind(0)
	take("the first", 1, "a", none)
	take("the second", 1, "a", none)
	take("a third of one source", 1, "b", pki.RateLimited)
	take("another source", 2, "a", none)
	take("another source", 3, "a", none)
	take("a fifth of one family", 4, "a", pki.RateLimited)
	take("another family", 4, "b", none)
	take("another family", 5, "b", none)
	take("a seventh of all", 6, "c", pki.Unavailable)
	for _, leave := range leaves {
		leave()
	}
	if p.taken != 0 || len(p.byFamily) != 0 || len(p.bySource) != 0 {
		t.Errorf("%+v is left", p)
	}
	for range 6 { // what comes from this machine has no source
		if _, err := p.enter(netip.Addr{}, pki.TenantID([]byte{'a' + byte(p.taken%3)})); err != nil {
			t.Error(err)
		}
	}
}
