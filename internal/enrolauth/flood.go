package enrolauth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/visits"
)

// Each source may fail for as long as package limit says. That an endpoint is tried from
// many sources at once, or by many devices with a wrong secret, no limit of a source
// shows: hence the alarm. It refuses nobody: else a stranger could keep devices out.
const (
	floodWindow = 5 * time.Minute
	floodAt     = 50 // failures in a window
	maxFloods   = 1000
	floodLook   = time.Minute // how often an alarm is looked at, whether it still holds
)

// A flood counts the failures at one endpoint.
type flood struct {
	begun  time.Time // of the window
	count  int
	before int // in the window before it
}

// roll begins a new window where the last is over.
func (f *flood) roll(now time.Time) {
	switch passed := now.Sub(f.begun); {
	case passed >= 2*floodWindow || passed < 0:
		*f = flood{begun: now}
	case passed >= floodWindow:
		*f = flood{begun: f.begun.Add(floodWindow), before: f.count}
	}
}

// failed remembers a proof that did not hold, where there is such an endpoint. why is for
// the operator.
func (s *Service) failed(ctx context.Context, label string, p *Presented, kind pki.Kind, why string) {
	tenant, name, _ := strings.Cut(label, ".")
	if _, err := s.cfg.Store.Endpoint(ctx, pki.TenantID(tenant), name); err != nil {
		return
	}
	s.noteRefusal(ctx, label, p, kind, why)
	if s.count(label, s.cfg.Now()) {
		s.cfg.Alarms.Raise(alarm.Alarm{Key: floodKey(label), Severity: alarm.Warning,
			What: fmt.Sprintf("At the endpoint %s more than %d proofs of who asks failed within %s.", label, floodAt, pki.FormatDuration(floodWindow)),
			Do:   fmt.Sprintf("See what comes and from where, with 'pando endpoint trace %s': devices with a secret that has ended get another ('pando secret create'); against a stranger, say from which networks the endpoint takes requests ('pando endpoint update --network').", name)})
	}
}

// noteRefusal has the operator see what an endpoint, which exists, refused and why.
func (s *Service) noteRefusal(ctx context.Context, label string, p *Presented, kind pki.Kind, why string) {
	s.cfg.Visits.Note(label, visits.Visit{At: s.cfg.Now().UTC(), Protocol: p.Protocol, Source: sourceOf(p.Remote), Device: s.Claimed(ctx, label, *p), Refused: true, Kind: kind, Why: why + p.certificate()})
}

// noteGone has the operator see that what waited at an endpoint is not done, since nobody
// vouches any more for whoever asked.
func (s *Service) noteGone(tenant pki.TenantID, id string, why error) {
	name, _ := took(id)
	s.cfg.Visits.Note(string(tenant)+"."+name, visits.Visit{At: s.cfg.Now().UTC(), Protocol: pki.ProtocolSCEP, Who: id, Refused: true, Kind: pki.KindOf(why), Why: pki.DetailOf(why)})
}

func floodKey(label string) alarm.Key {
	tenant, name, _ := strings.Cut(label, ".")
	return alarm.Key{Tenant: pki.TenantID(tenant), Name: "endpoint.failures", Target: "endpoint:" + name}
}

// count counts a failure, and reports whether there are too many.
func (s *Service) count(label string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.floods[label]
	if f == nil {
		if len(s.floods) >= maxFloods {
			return false
		}
		f = &flood{begun: now}
		s.floods[label] = f
	}
	f.roll(now)
	f.count++
	return f.count > floodAt
}

// Run takes alarms off the board whose endpoints are quiet again, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(floodLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.calm(s.cfg.Now())
		}
	}
}

// calm forgets the endpoints where a whole window brought no flood.
func (s *Service) calm(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for label, f := range s.floods {
		if f.roll(now); f.count <= floodAt && f.before <= floodAt {
			s.cfg.Alarms.Clear(floodKey(label))
			if f.count+f.before == 0 {
				delete(s.floods, label)
			}
		}
	}
}
