package hierarchy

import (
	"context"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
)

// Executors returns what does the acts of this service that were approved.
func (s *Service) Executors() map[approval.Kind]approval.Executor {
	return map[approval.Kind]approval.Executor{
		approval.PublishProfile: approval.Execute(access.ManageProfiles, func(ctx context.Context, g access.Permit, ch profileChange) error {
			_, err := s.PublishProfile(ctx, g, []byte(ch.Source))
			return err
		}),
	}
}
