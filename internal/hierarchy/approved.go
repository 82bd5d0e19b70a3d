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
		approval.CreateAuthority: approval.Execute(access.ManageAuthorities, func(ctx context.Context, g access.Permit, n NewAuthority) error {
			_, err := s.CreateAuthority(ctx, g, n)
			return err
		}),
		approval.ImportRoot: approval.Execute(access.ManageAuthorities, func(ctx context.Context, g access.Permit, n NewRoot) error {
			_, err := s.ImportRoot(ctx, g, n)
			return err
		}),
		approval.InstallAuthority: approval.Execute(access.ManageAuthorities, func(ctx context.Context, g access.Permit, ch installChange) error {
			_, err := s.Install(ctx, g, ch.response())
			return err
		}),
		approval.Lend: approval.Execute(access.ManageChildren, func(ctx context.Context, g access.Permit, ch lendChange) error {
			_, err := s.Lend(ctx, g, ch.Child, NewLoan{Name: ch.Name, Authority: string(ch.Authority), Profile: ch.Profile, Limit: ch.Limit})
			return err
		}),
		approval.RetireAuthority: approval.Execute(access.ManageAuthorities, func(ctx context.Context, g access.Permit, ch retireChange) error {
			return s.Retire(ctx, g, string(ch.Authority))
		}),
		approval.RollAuthority: approval.Execute(access.ManageAuthorities, func(ctx context.Context, g access.Permit, ch rolloverChange) error {
			_, err := s.Rollover(ctx, g, string(ch.Authority), Rollover{CommonName: ch.CommonName, KeyKind: ch.KeyKind})
			return err
		}),
		approval.SwitchAuthority: approval.Execute(access.ManageAuthorities, func(ctx context.Context, g access.Permit, ch switchChange) error {
			_, err := s.Switch(ctx, g, string(ch.Authority))
			return err
		}),
	}
}
