package expiry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store     Store
	Directory Directory
	Alarms    *alarm.Board
	Now       pki.Clock
	Log       *slog.Logger
}

// A Service looks out. Its methods are safe for concurrent use.
type Service struct {
	cfg    Config
	alarms alarm.Standing // owned by Run
}

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg: cfg} }

const (
	lookEvery  = 10 * time.Minute
	countEvery = time.Minute
	// countSlice bounds one transaction: issuance waits for no longer one.
	countSlice = 5000
)

// Run counts certificates as they are issued and raises alarms for what is about to
// end, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	var looked time.Time // by this process's own clock
	for {
		if err := s.Count(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "counting what expires", "error", err)
		}
		if time.Since(looked) >= lookEvery {
			looked = time.Now()
			if err := s.Look(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.ErrorContext(ctx, "looking for what expires", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Count counts every certificate that has not been counted. Each is counted once,
// however often it is called.
func (s *Service) Count(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := s.cfg.Store.CountExpiry(ctx, countSlice)
		if err != nil || n < countSlice {
			return err
		}
	}
	return ctx.Err()
}

// Look raises an alarm for everything that somebody must act on, and clears those
// that it raised before and that do not stand any more. It is not called twice at
// once.
func (s *Service) Look(ctx context.Context) error {
	tenants, err := s.cfg.Store.Tenants(ctx)
	if err != nil {
		return err
	}
	now := s.cfg.Now().UTC()
	var wrong []alarm.Alarm
	for _, tenant := range append(tenants, &pki.Tenant{ID: pki.Platform}) {
		items, err := s.items(ctx, tenant.ID, now)
		if err != nil {
			return fmt.Errorf("tenant %s: %w", tenant.ID, err)
		}
		for _, item := range items {
			if item.Severity != "" {
				wrong = append(wrong, alarmOf(tenant.ID, item))
			}
		}
	}
	s.alarms.Replace(s.cfg.Alarms, wrong)
	return nil
}

func alarmOf(tenant pki.TenantID, item Item) alarm.Alarm {
	what := fmt.Sprintf("The %s %s ends at %s.", item.Kind, item.Name, item.Ends.UTC().Format(time.RFC3339))
	if item.Kind == Profile {
		what = fmt.Sprintf("Certificates of the endpoint %s would outlive their authority, which ends at %s.", item.Name, item.Ends.UTC().Format(time.RFC3339))
	}
	return alarm.Alarm{Key: alarm.Key{Tenant: tenant, Name: "expiry." + item.Kind, Target: item.Name},
		Severity: item.Severity, What: what, Do: item.Do}
}
