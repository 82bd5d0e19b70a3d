package enroll

import (
	"cmp"
	"context"
	"net/netip"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/visits"
)

// note remembers what became of a request, where there is such an endpoint.
func (s *Service) note(ctx context.Context, r *Request, got *pki.Enrollment, err error) {
	if s.cfg.Visits == nil {
		return
	}
	name, unknown := nameOf(r.Grant, r.Endpoint)
	if unknown != nil || !s.exists(ctx, r.Grant.Tenant(), name) {
		return
	}
	who := r.Grant.Principal()
	v := visits.Visit{At: s.cfg.Now().UTC(), Protocol: r.Protocol, Who: who.ID, Device: who.Device}
	if who.Source.IsValid() {
		v.Source = who.Source.String()
	}
	if r.Device != "" {
		v.Device = r.Device
	}
	switch {
	case err != nil:
		v.Kind, v.Why = pki.KindOf(err), pki.DetailOf(err)
		v.Refused = v.Kind != pki.Pending
		if v.Device == "" {
			if csr, unread := s.requests.Parse(r.CSR); unread == nil {
				v.Device, _ = DeviceOf(csr) // what names none stays unsaid
			}
		}
	default:
		v.Device, v.Serial = got.Certificate.Device, got.Certificate.Serial.String()
	}
	s.cfg.Visits.Note(string(r.Grant.Tenant())+"."+name, v)
}

// A Refusal is a request that its adapter refused before it came to Enroll.
type Refusal struct {
	Label    string
	Protocol pki.Protocol
	Remote   string           // address and port that it came from, as net/http has it; "" is that of Who
	Who      access.Principal // zero where nobody was proved
	Device   pki.DeviceID     // that the request names, for where nobody's device was proved; "" is not known
	Why      string           // for the operator; "" is the detail of the error
}

// NoteRefusal remembers what an adapter refused with err, where there is such an endpoint, and
// returns err marked as noted; one that is marked already is not remembered again. What a
// limit refuses is not remembered: it is to cost nothing, and would drive out the rest.
func (s *Service) NoteRefusal(ctx context.Context, r Refusal, err error) error {
	kind := pki.KindOf(err)
	if err == nil || s.cfg.Visits == nil || visits.IsNoted(err) || kind == pki.RateLimited || kind == pki.Unavailable {
		return err
	}
	tenant, name, _ := strings.Cut(r.Label, ".")
	if !s.exists(ctx, pki.TenantID(tenant), name) {
		return err
	}
	v := visits.Visit{At: s.cfg.Now().UTC(), Protocol: r.Protocol, Who: r.Who.ID, Device: cmp.Or(r.Who.Device, r.Device), Refused: true, Kind: kind, Why: r.Why}
	if from, unknown := netip.ParseAddrPort(r.Remote); unknown == nil {
		v.Source = from.Addr().String()
	} else if r.Who.Source.IsValid() {
		v.Source = r.Who.Source.String()
	}
	if v.Why == "" {
		v.Why = pki.DetailOf(err)
	}
	s.cfg.Visits.Note(r.Label, v)
	return visits.Noted(err)
}

// exists reports whether there is an endpoint, also where its lane cannot be resolved.
func (s *Service) exists(ctx context.Context, tenant pki.TenantID, name string) bool {
	s.mu.RLock()
	_, cached := s.lanes[string(tenant)+"."+name]
	s.mu.RUnlock()
	if cached {
		return true
	}
	_, err := s.cfg.Store.Endpoint(ctx, tenant, name)
	return err == nil
}
