package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// registrarRound is the time between two looks at all endpoints that take SCEP, whether or
// not anybody asks there.
const registrarRound = time.Minute

// Run keeps the keys of all endpoints that take SCEP ready, and raises alarms for those
// that have none, and for those that take legacy messages, until ctx ends.
func (r *registrars) Run(ctx context.Context) error {
	tick := time.NewTicker(registrarRound)
	defer tick.Stop()
	for {
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.credentials.log.ErrorContext(ctx, "endpoints that take SCEP", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look sees to all endpoints once.
func (r *registrars) look(ctx context.Context) error {
	tenants, err := r.store.Tenants(ctx)
	if err != nil {
		return err
	}
	var wrong []alarm.Alarm
	for _, tenant := range tenants {
		endpoints, err := r.store.Endpoints(ctx, tenant.ID)
		if err != nil {
			return err
		}
		for _, ep := range endpoints {
			if !slices.Contains(ep.Protocols, pki.ProtocolSCEP) {
				continue
			}
			if slices.Contains(ep.Protocols, pki.ProtocolSCEPLegacy) {
				wrong = append(wrong, alarm.Alarm{
					Key: alarm.Key{Tenant: tenant.ID, Name: "scep.legacy", Target: "endpoint:" + ep.Name}, Severity: alarm.Warning,
					What: fmt.Sprintf("the endpoint %s takes SCEP with SHA-1, DES and 3DES, which protect challenges and requests from nobody", ep.Label()),
					Do:   "Replace the clients that need it, and take scep-legacy off the endpoint's protocols; the log says who uses it.",
				})
			}
			if _, err := r.RA(ctx, ep.Label()); err != nil && ctx.Err() == nil {
				wrong = append(wrong, alarm.Alarm{
					Key: alarm.Key{Tenant: tenant.ID, Name: "scep.keys", Target: "endpoint:" + ep.Name}, Severity: alarm.Critical,
					What: fmt.Sprintf("the endpoint %s takes no SCEP requests: %s", ep.Label(), pki.DetailOf(err)),
					Do:   "See that the profiles scep-signer and scep-recipient of the authority's tenant allow RSA keys, and that the authority can sign; the log says what failed.",
				})
				r.credentials.log.ErrorContext(ctx, "keys for SCEP", "endpoint", ep.Label(), "error", err)
			}
		}
	}
	r.standing.Replace(r.alarms, wrong)
	return nil
}
