package approval

import (
	"context"

	"github.com/pando-pki/pando/internal/alarm"
)

// Round is one round of Run.
func (s *Service) Round(ctx context.Context) error {
	return s.round(ctx, new(alarm.Standing))
}
