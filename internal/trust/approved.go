package trust

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// A Gate has acts wait for approval that the tenant has a rule about.
type Gate interface {
	Pass(ctx context.Context, g access.Permit, r approval.Request) error
}

// addChange is what a change of kind approval.AddTrust asks for.
type addChange struct {
	Name        string          `json:"name"`
	Authority   pki.AuthorityID `json:"authority,omitempty"` // the tenant's own, of which certificate is
	Certificate []byte          `json:"certificate"`
	Role        access.Role     `json:"role"`
	Scopes      []string        `json:"scopes"`

	// Permissions is what an own role includes: one that includes something else when the
	// authority is trusted is not what was approved.
	Permissions []access.Permission `json:"permissions,omitempty"`
}

// removeChange is what a change of kind approval.RemoveTrust asks for.
type removeChange struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of the certificate
}

func (s *Service) passAdd(ctx context.Context, g access.Permit, n *NewAnchor, authority pki.AuthorityID, a *Anchor) error {
	ch := addChange{Name: n.Name, Authority: authority, Certificate: a.Certificate, Role: n.Role, Permissions: a.Grants[0].Own}
	for _, scope := range n.Scopes {
		ch.Scopes = append(ch.Scopes, scope.String())
	}
	return s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.AddTrust, Target: a.Principal(), Payload: ch,
		Summary: fmt.Sprintf("whoever is certified by %x is %s", fingerprint(a.Certificate), access.GrantsText(a.Grants)),
	})
}

// updateChange is what a change of kind approval.UpdateTrust asks for: of an authority
// that is trusted with a role, other scopes.
type updateChange struct {
	Name   string      `json:"name"`
	SHA256 string      `json:"sha256"` // of the certificate
	Role   access.Role `json:"role"`
	Before []string    `json:"before"`
	Scopes []string    `json:"scopes"`
}

func (s *Service) passUpdate(ctx context.Context, g access.Permit, a *Anchor, before []access.Grant, scopes []access.Scope, takes bool) error {
	sum := fingerprint(a.Certificate)
	ch := updateChange{Name: a.Name, SHA256: hex.EncodeToString(sum[:]), Role: before[0].Role}
	for _, b := range before {
		ch.Before = append(ch.Before, b.Scope.String())
	}
	for _, scope := range scopes {
		ch.Scopes = append(ch.Scopes, scope.String())
	}
	return s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.UpdateTrust, Target: a.Principal(), Payload: ch, Takes: takes,
		Summary: fmt.Sprintf("whoever is certified by %x: before %s, after %s", sum, access.GrantsText(before), access.GrantsText(a.Grants)),
	})
}

func (s *Service) passRemove(ctx context.Context, g access.Permit, a *Anchor) error {
	sum := fingerprint(a.Certificate)
	return s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.RemoveTrust, Target: a.Principal(), Payload: removeChange{a.Name, hex.EncodeToString(sum[:])},
		Summary: fmt.Sprintf("nobody is proved by the certificate %x any more", sum),
	})
}

// Executors returns what does the acts of this service that were approved.
func (s *Service) Executors() map[approval.Kind]approval.Executor {
	return map[approval.Kind]approval.Executor{
		approval.AddTrust: approval.Execute(access.ManageTrust, func(ctx context.Context, g access.Permit, ch addChange) error {
			scopes, err := access.ParseScopes(ch.Scopes)
			if err != nil {
				return err
			}
			n := NewAnchor{Name: ch.Name, Authority: string(ch.Authority), Role: ch.Role, Scopes: scopes}
			if ch.Authority == "" {
				n.Certificate = ch.Certificate
			}
			_, err = s.Add(ctx, g, n)
			return err
		}),
		approval.UpdateTrust: approval.Execute(access.ManageTrust, func(ctx context.Context, g access.Permit, ch updateChange) error {
			scopes, err := access.ParseScopes(ch.Scopes)
			if err != nil {
				return err
			}
			_, err = s.Update(ctx, g, ch.Name, scopes)
			return err
		}),
		approval.RemoveTrust: approval.Execute(access.ManageTrust, func(ctx context.Context, g access.Permit, ch removeChange) error {
			return s.Remove(ctx, g, ch.Name)
		}),
	}
}
