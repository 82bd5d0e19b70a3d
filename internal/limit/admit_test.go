package limit

import (
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// TestFailures: what counts as a failed proof of its source, and what does not.
func TestFailures(t *testing.T) {
	const remote, burst = "192.0.2.1:1", 3
	known := Asker{Known: true, Tenant: "acme"}
	for name, c := range map[string]struct {
		who  Asker
		kind pki.Kind // 0 is no error
		dear bool
		want int // of 10 requests that are looked at
	}{
		"a proof that does not hold":                     {Asker{}, pki.Unauthenticated, false, burst},
		"one that took long to look at":                  {Asker{}, pki.Unauthenticated, true, 1},
		"one that a validator refuses":                   {Asker{}, pki.PolicyRefused, false, burst},
		"one that is refused something once it holds":    {known, pki.PolicyRefused, false, 10},
		"one that found no place of its source":          {Asker{}, pki.RateLimited, false, 10},
		"one that found no place at all":                 {Asker{}, pki.Unavailable, false, 10},
		"one from where nobody may come":                 {Asker{}, pki.Forbidden, false, 10},
		"a store that does not answer":                   {Asker{}, pki.Internal, false, 10},
		"a proof that holds":                             {known, 0, false, 10},
		"one that holds and is not allowed what it asks": {known, pki.Forbidden, false, 10},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLimits(Config{Failures: Rate{1, burst}})
			looked := 0
			for range 10 {
				err := l.Admit(remote, 1, func() (Asker, error) {
					looked++
					if c.kind == 0 {
						return c.who, nil
					}
					err := pki.Errorf(c.kind, "of the proof")
					if c.dear {
						err = Dear(err)
					}
					return c.who, err
				})
				if c.want == 10 && c.kind != 0 && pki.KindOf(err) != c.kind {
					t.Fatalf("%v, want the proof's own error", err)
				}
			}
			if looked != c.want {
				t.Errorf("%d were looked at, want %d", looked, c.want)
			}
		})
	}
}
