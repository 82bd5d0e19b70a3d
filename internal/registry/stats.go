package registry

import "github.com/pando-pki/pando/internal/stat"

// Stats is what this process did in the registry. It is safe for concurrent use.
type Stats struct {
	Acts map[Act]*stat.Counter // on devices that were carried out; the map is not changed

	// Rows of imports, by what became of them; see Import.
	Planned, Moved, Unchanged, Refused stat.Counter
}

func newStats() *Stats {
	s := &Stats{Acts: make(map[Act]*stat.Counter)}
	for _, act := range Acts() {
		s.Acts[act] = new(stat.Counter)
	}
	return s
}

// Stats returns what this process did.
func (s *Service) Stats() *Stats { return s.stats }
