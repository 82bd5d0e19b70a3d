package alarm

// Standing is the alarms of somebody who looks at everything of a kind, again and
// again. Its zero value has none. It is not safe for concurrent use.
type Standing struct {
	raised map[Key]bool
}

// Replace puts on the board what a look found wrong, and takes off what the look
// before found and this one did not. It returns what is new on the board.
func (s *Standing) Replace(b *Board, wrong []Alarm) (fresh []Alarm) {
	now := make(map[Key]bool, len(wrong))
	for _, a := range wrong {
		now[a.Key] = true
		if b.Raise(a) {
			fresh = append(fresh, a)
		}
	}
	for k := range s.raised {
		if !now[k] {
			b.Clear(k)
		}
	}
	s.raised = now
	return fresh
}
