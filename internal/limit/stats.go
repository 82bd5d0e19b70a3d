package limit

// A Bound is one of the limits, as it is counted.
type Bound int

// The bounds: rates, and places at once, a tenant's or a source's share of them
// included.
const (
	TenantRate Bound = iota
	DeviceRate
	FailureRate
	StatusRate
	Requests
	Streams
	Answers
	Messages
	Slow
	bounds
)

// String names the bound.
func (b Bound) String() string {
	return [bounds]string{"tenant-rate", "device-rate", "failure-rate", "status-rate", "requests", "streams", "answers", "messages", "slow"}[b]
}

// Bounds lists every bound.
func Bounds() []Bound {
	return []Bound{TenantRate, DeviceRate, FailureRate, StatusRate, Requests, Streams, Answers, Messages, Slow}
}

// Refused returns how many were refused at a bound.
func (l *Limits) Refused(b Bound) uint64 { return l.refused[b].Value() }

// Places returns how many places of a bound are taken, and how many there are; ok is
// false for a rate.
func (l *Limits) Places(b Bound) (taken, size int64, ok bool) {
	p, ok := map[Bound]*place{Requests: &l.requests, Streams: &l.streams, Answers: &l.answers.all, Messages: &l.messages.all}[b]
	if !ok {
		return 0, 0, false
	}
	return p.taken.Load(), p.size, true
}

// count counts an error as a refusal, and returns it.
func (l *Limits) count(b Bound, err error) error {
	if err != nil {
		l.refused[b].Add(1)
	}
	return err
}

func (l *Limits) counted(b Bound, enter func() (func(), error)) (leave func(), err error) {
	leave, err = enter()
	return leave, l.count(b, err)
}
