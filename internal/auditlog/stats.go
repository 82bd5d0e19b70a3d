package auditlog

import (
	"sync/atomic"

	"github.com/pando-pki/pando/internal/stat"
)

// Stats is what a Service knows of its work. It is safe for concurrent use.
type Stats struct {
	Signed  stat.Moment             // when it last signed a checkpoint
	Anchors map[string]*AnchorStats // by name; the map is not changed

	Exports, ExportFailures stat.Counter // that were written to their end, and that were not

	waiting atomic.Pointer[Backlog] // as the last look found it
}

// AnchorStats is how an anchor fared with this Service.
type AnchorStats struct {
	Taken    stat.Moment // when it last took a checkpoint
	Failures stat.Counter
}

func newStats(anchors []Anchor) *Stats {
	s := &Stats{Anchors: make(map[string]*AnchorStats, len(anchors))}
	for _, a := range anchors {
		s.Anchors[a.Name()] = new(AnchorStats)
	}
	return s
}

// Stats returns what the Service knows.
func (s *Service) Stats() *Stats { return s.stats }

// Waiting returns what all logs together had still to do when they were last looked
// at, which is once a second.
func (s *Stats) Waiting() Backlog {
	if b := s.waiting.Load(); b != nil {
		return *b
	}
	return Backlog{}
}
