package statuscheck

import (
	"bytes"

	"github.com/pando-pki/pando/internal/pki"
)

// window is how many revocations are looked for in a CRL at once: all where there are
// no more, otherwise those that follow the ones of the look before, and the newest.
const window = 20_000

// A sweep goes round what is revoked in a shard, window by window, one at each look.
type sweep struct {
	of      string     // the CRLs in which it is looked for, and up to which revocation
	from    pki.Serial // behind which it began with them
	after   pki.Serial // behind which the next window is
	wrapped bool       // it went on from the first revocation
	young   bool       // some of a window could not be looked for yet
}

// begin goes on with the CRLs that there are now; what was looked for in others does
// not count.
func (s *sweep) begin(of string) {
	if of != s.of {
		*s = sweep{of: of, from: s.after, after: s.after}
	}
}

// past notes that a window was looked at, in which nothing was wrong, and returns
// whether everything was now, and nothing too young.
func (s *sweep) past(page []pki.Revocation, young bool) (settled bool) {
	s.young = s.young || young
	if len(page) == window {
		s.after = page[len(page)-1].Serial
	} else {
		s.after, s.wrapped = pki.Serial{}, true
	}
	if !s.wrapped || bytes.Compare(s.after[:], s.from[:]) < 0 {
		return false
	}
	settled = !s.young
	*s = sweep{of: s.of, from: s.after, after: s.after}
	return settled
}
