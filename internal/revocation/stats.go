package revocation

import (
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/tbs"
)

// Stats is what a Service counts of its OCSP answers since it was made.
type Stats struct {
	Good, Revoked, Unknown stat.Counter // certificates that answers told about
	Kept                   stat.Counter // answers that were signed before
	Refused                stat.ByKind  // requests without a signed answer
	CRLs                   stat.Counter // that were made
}

// Stats returns the counts of the Service's work.
func (s *Service) Stats() *Stats { return &s.stats }

// A tally is how many certificates of each status a response tells about.
type tally struct{ good, revoked, unknown int }

func (t *tally) add(status tbs.OCSPStatus) {
	switch status {
	case tbs.OCSPGood:
		t.good++
	case tbs.OCSPRevoked:
		t.revoked++
	default:
		t.unknown++
	}
}

func (s *Stats) answered(t tally) {
	s.Good.Add(t.good)
	s.Revoked.Add(t.revoked)
	s.Unknown.Add(t.unknown)
}
