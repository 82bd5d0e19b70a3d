package approval

import (
	"context"

	"github.com/pando-pki/pando/internal/alarm"
)

// Alarms returns where it raises alarms.
func (s *Service) Alarms() *alarm.Board { return s.cfg.Alarms }

// Round is one round of Run.
func (s *Service) Round(ctx context.Context) error {
	return s.round(ctx, new(alarm.Standing))
}
