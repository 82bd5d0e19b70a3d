package validator

import (
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// raise raises an alarm for the operator of the server, and for each tenant whose
// challenges a validator checks: they learn what does not work, and not why, which may
// tell of the server's own network.
func (s *Service) raise(v *validator, name string, severity alarm.Severity, what, do string) {
	s.cfg.Alarms.Raise(alarm.Alarm{Key: v.key(pki.Platform, name), Severity: severity, What: what, Do: do})
	for _, tenant := range v.Tenants {
		s.cfg.Alarms.Raise(alarm.Alarm{Key: v.key(tenant, name), Severity: severity, What: what,
			Do: "See whether its service runs; whoever operates this server has the same alarm, with what went wrong."})
	}
}

func (s *Service) clear(v *validator, name string) {
	s.cfg.Alarms.Clear(v.key(pki.Platform, name))
	for _, tenant := range v.Tenants {
		s.cfg.Alarms.Clear(v.key(tenant, name))
	}
}

func (v *validator) key(tenant pki.TenantID, name string) alarm.Key {
	return alarm.Key{Tenant: tenant, Name: name, Target: "validator:" + v.Name}
}
