package enroll

import (
	"context"

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
				v.Device, _ = deviceOf(csr) // what names none stays unsaid
			}
		}
	default:
		v.Device, v.Serial = got.Certificate.Device, got.Certificate.Serial.String()
	}
	s.cfg.Visits.Note(string(r.Grant.Tenant())+"."+name, v)
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
