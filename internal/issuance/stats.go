package issuance

import (
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// Stats is what a Service counts of its work since it was made. It is read while
// it grows.
type Stats struct {
	Singles stat.Counter    // certificates of single requests that were recorded
	Rows    stat.Counter    // certificates of batches' rows
	Refused stat.ByKind     // rows of batches without a certificate
	Groups  *stat.Histogram // certificates in a committed intent
	Commits *stat.Histogram // seconds for the transaction of intents and records
}

func newStats() *Stats {
	return &Stats{
		Groups:  stat.NewHistogram(1, 2, 5, 10, 25, 50, 100, 250, 500, MaxGroup),
		Commits: stat.NewHistogram(stat.Seconds()...),
	}
}

// Stats returns the counts of the Service's work.
func (s *Service) Stats() *Stats { return s.stats }

// A Queue is what is under way at a moment.
type Queue struct {
	Requests int // single requests that have no answer yet
	Singles  int // of these, those that wait for an intent
	Chunks   int // of batches, that wait for an intent
	Intents  int // committed and not recorded
}

// Queue returns what is under way now.
func (s *Service) Queue() Queue {
	q := Queue{Requests: s.openRequests(), Intents: s.openIntents()}
	s.commit.mu.Lock()
	defer s.commit.mu.Unlock()
	q.Singles, q.Chunks = s.commit.singles.len(), s.commit.groups.len()
	return q
}

// recorded counts a group whose record is stored.
func (s *Stats) recorded(n *Intent) {
	made := 0
	for _, item := range n.Items {
		if item.DER != nil {
			made++
		}
	}
	if n.Batch != "" {
		s.Rows.Add(made)
	} else {
		s.Singles.Add(made)
	}
}

// intended counts a group whose intent is stored, before what was refused is left out.
func (s *Stats) intended(n *Intent) {
	live := 0
	for _, item := range n.Items {
		switch {
		case item.Refused == nil && item.Earlier == nil:
			live++
		case n.Batch != "":
			s.Refused.Add(pki.KindOf(item.Refused))
		}
	}
	for _, r := range n.Refusals {
		s.Refused.Add(r.Kind)
	}
	if live > 0 {
		s.Groups.Observe(float64(live))
	}
}
