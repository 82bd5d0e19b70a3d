package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// listAlarms shows a tenant its own alarms, and the platform those of all.
func (s *server) listAlarms(_ context.Context, g access.Permit, _ *nothing) (*listOf[client.Alarm], error) {
	if err := g.Check(access.ReadAlarms); err != nil {
		return nil, err
	}
	alarms := s.cfg.Alarms.Of(g.Tenant())
	if g.Tenant() == pki.Platform {
		alarms = s.cfg.Alarms.All()
	}
	return each(alarms, "", func(a alarm.Alarm) client.Alarm {
		return client.Alarm{Tenant: string(a.Tenant), Name: a.Name, Target: a.Target, Severity: string(a.Severity),
			What: a.What, Do: a.Do, Since: a.Since}
	}), nil
}
