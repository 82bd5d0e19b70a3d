package publish

import "github.com/pando-pki/pando/internal/stat"

// TargetStats is how publishing to a target went since the Publisher was made.
type TargetStats struct {
	Lists    stat.Counter // that were published, or found to be there
	Failures stat.Counter // attempts that will be made again
	Refused  stat.Counter // lists that were left out, as something else is in their place
	Done     stat.Moment  // when a list, or certificates, were last published
	Failing  stat.Moment  // since when nothing gets there; never while it works
}

// Stats calls f for each target with how many lists wait for it.
func (p *Publisher) Stats(f func(target string, s *TargetStats, waiting int)) {
	for _, l := range p.lanes {
		l.mu.Lock()
		waiting := len(l.queue)
		l.mu.Unlock()
		f(l.name, &l.stats, waiting)
	}
}
