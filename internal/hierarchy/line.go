package hierarchy

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// lineLife is how long a node may go on with an authority as it knows it; a
// change on another node shows after this at the latest.
const lineLife = 2 * time.Second

type cachedLine struct {
	line  *issuance.Line
	until time.Time
}

// Line returns the authority with the issuer that signs for it now, for the RA.
// NotReady where the authority has no certificate yet or is retired, NotFound
// where the tenant has no such authority.
func (s *Service) Line(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (*issuance.Line, error) {
	now := s.cfg.Now()
	s.mu.RLock()
	c := s.lines[authority]
	s.mu.RUnlock()
	if c.line != nil && c.line.Authority.Tenant == tenant && now.Before(c.until) {
		return c.line, nil
	}
	line, err := s.loadLine(ctx, tenant, authority)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[authority] = cachedLine{line, now.Add(lineLife)}
	return line, nil
}

func (s *Service) loadLine(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (*issuance.Line, error) {
	a, err := s.cfg.Store.Authority(ctx, tenant, authority)
	if err != nil {
		return nil, err
	}
	if a.State != pki.AuthorityActive {
		return nil, pki.Errorf(pki.NotReady, "the authority %s is %s", a.Name, a.State)
	}
	v, err := s.view(ctx, a)
	if err != nil {
		return nil, err
	}
	if active := v.Active(); active != nil {
		return s.lineOf(ctx, a, active)
	}
	return nil, pki.Errorf(pki.NotReady, "the authority %s has no active issuer", a.Name)
}

// IssuerLine returns the line of one issuer of the tenant, whatever the state of
// its authority: status goes on for as long as certificates are out.
func (s *Service) IssuerLine(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID) (*issuance.Line, error) {
	i, err := s.cfg.Store.Issuer(ctx, issuer)
	if err != nil {
		return nil, err
	}
	if i.Tenant != tenant || len(i.Certificate) == 0 {
		return nil, pki.Errorf(pki.NotFound, "no issuer %.60q", string(issuer))
	}
	a, err := s.cfg.Store.Authority(ctx, tenant, i.Authority)
	if err != nil {
		return nil, err
	}
	return s.lineOf(ctx, a, i)
}

func (s *Service) lineOf(ctx context.Context, a *pki.Authority, i *pki.Issuer) (*issuance.Line, error) {
	if i.Key == pki.OfflineKey {
		return nil, pki.Errorf(pki.NotReady, "the key of %s is offline: it signs in a ceremony only", a.Name)
	}
	parsed, err := tbs.ParseCertificate(i.Certificate)
	if err != nil {
		return nil, err
	}
	public, hardware, err := s.cfg.Keys.Public(ctx, i.Key)
	if err != nil {
		return nil, pki.Because(pki.Unavailable, err, "the key of %s cannot be reached", a.Name)
	}
	if !bytes.Equal(public.SPKI(), parsed.Key.SPKI()) {
		return nil, fmt.Errorf("issuer %s: its key %s is not that of its certificate: its row was changed", i.ID, i.Key)
	}
	parsed.Key = public // how it signs the certificate does not say
	chain, err := s.Chain(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	return &issuance.Line{Authority: *a, Issuer: *i, Parsed: parsed, Chain: chain[:len(chain)-1], Hardware: hardware}, nil
}

// forget drops what is known of an authority after it was changed here.
func (s *Service) forget(authority pki.AuthorityID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lines, authority)
}

// maxDepth bounds the chains that are walked.
const maxDepth = 8

// Chain returns DER certificates: the issuer's own, then up to and with the
// root. It is public. NotFound for an issuer that is not known or has no
// certificate yet.
func (s *Service) Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error) {
	s.mu.RLock()
	chain := s.chains[issuer]
	s.mu.RUnlock()
	if chain != nil {
		return chain, nil
	}
	for id := issuer; len(chain) < maxDepth; {
		i, err := s.cfg.Store.Issuer(ctx, id)
		if err != nil {
			return nil, err
		}
		if len(i.Certificate) == 0 {
			return nil, pki.Errorf(pki.NotFound, "the issuer has no certificate yet")
		}
		chain = append(chain, i.Certificate)
		if i.Parent == i.ID {
			break
		}
		id = i.Parent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chains[issuer] = chain
	return chain, nil
}
