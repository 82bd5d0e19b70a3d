package enrolauth

import (
	"net/netip"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// TestWaitsOfOneSource: whoever has as many guesses checked as one source may keeps no
// other source waiting, and may go on when one of them is done.
func TestWaitsOfOneSource(t *testing.T) {
	c := newChosen(nil)
	guesser, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var leave func()
	for range maxSource {
		var err error
		if leave, err = c.waits.enter(guesser, "acme"); err != nil {
			t.Fatal(err)
		}
	}
	hash := func(from netip.Addr) error {
		_, err := c.hash(t.Context(), from, "acme", "correct horse battery", make([]byte, 16))
		return err
	}
	if err := hash(guesser); pki.KindOf(err) != pki.RateLimited {
		t.Errorf("a guess more than one source may have checked: %v", err)
	}
	for name, from := range map[string]netip.Addr{"another source": other, "this machine": {}} {
		if err := hash(from); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	leave()
	if err := hash(guesser); err != nil {
		t.Errorf("after one is done: %v", err)
	}
}
