// Package expiry looks out for what ends: authorities, the server's own
// certificates, CRLs of offline roots, tokens, profiles whose certificates would
// outlive their authority, and the certificates of devices, which are counted by
// month and profile.
//
// It renews nothing: what renews itself does so elsewhere, and shows here when it
// does not.
package expiry

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/revocation"
)

// Store is what there is to look at.
type Store interface {
	Tenants(ctx context.Context) ([]*pki.Tenant, error)
	AllIssuers(ctx context.Context) ([]*pki.Issuer, error)
	Authority(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID) (*pki.Authority, error)
	Shards(ctx context.Context, issuer pki.IssuerID) ([]revocation.ShardState, error)
	Tokens(ctx context.Context, tenant pki.TenantID) ([]*access.Token, error)
	Endpoints(ctx context.Context, tenant pki.TenantID) ([]*pki.Endpoint, error)
	// Credentials returns a tenant's credentials, by name.
	Credentials(ctx context.Context, tenant pki.TenantID) ([]*keystore.Credential, error)

	// CountExpiry counts up to limit certificates that it has not counted yet, in
	// one transaction, and returns how many these were.
	CountExpiry(ctx context.Context, limit int) (int, error)
	// ExpiryCounts returns the counts of an owner's certificates that end in the
	// months from and to and those between, by month and profile.
	ExpiryCounts(ctx context.Context, owner pki.TenantID, from, to Month) ([]Count, error)
}

// A Month is a month of the calendar in UTC, as 202611.
type Month int

// MonthOf returns the month of a time.
func MonthOf(t time.Time) Month { return Month(t.UTC().Year()*100 + int(t.UTC().Month())) }

// A Count is how many certificates of one profile end within a month, whether or
// not they have been revoked since.
type Count struct {
	Month   Month
	Profile pki.ProfileRef
	Count   int64
}

// A Directory knows authorities and profiles.
type Directory interface {
	Line(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (*issuance.Line, error)
	Bound(ctx context.Context, ref pki.ProfileRef, line *issuance.Line) (*policy.Bound, error)
}

// The kinds of what ends.
const (
	Authority  = "authority"  // its certificate
	Credential = "credential" // a certificate of the server's own
	CRL        = "crl"        // of an issuer whose key is offline
	Token      = "token"
	Profile    = "profile" // at an endpoint: its certificates would outlive the authority
)

// An Item is one thing that ends.
type Item struct {
	Kind     string
	Name     string // for people; unique within its kind and tenant
	Ends     time.Time
	Severity alarm.Severity // "" while nobody needs to act
	Do       string
}

// A Report is what of a tenant ends within a window.
type Report struct {
	Until  time.Time
	Items  []Item // the first to end first
	Counts []Count
}

// MaxWindow is the longest window of a report.
const MaxWindow = 3 * 366 * 24 * time.Hour

// Report returns what of the permit's tenant ends within the window from now, and
// everything that somebody must act on. It needs access.ReadAlarms.
func (s *Service) Report(ctx context.Context, g access.Permit, window time.Duration) (*Report, error) {
	if err := g.Check(access.ReadAlarms); err != nil {
		return nil, err
	}
	if window <= 0 || window > MaxWindow {
		return nil, pki.Errorf(pki.Malformed, "a window is from one day to %d", MaxWindow/(24*time.Hour))
	}
	now := s.cfg.Now().UTC()
	r := &Report{Until: now.Add(window)}
	items, err := s.items(ctx, g.Tenant(), now)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if item.Severity != "" || !item.Ends.After(r.Until) {
			r.Items = append(r.Items, item)
		}
	}
	r.Counts, err = s.cfg.Store.ExpiryCounts(ctx, g.Tenant(), MonthOf(now), MonthOf(r.Until))
	return r, err
}

// items returns everything of a tenant that ends, the first to end first.
func (s *Service) items(ctx context.Context, tenant pki.TenantID, now time.Time) ([]Item, error) {
	var all []Item
	for _, look := range []func(context.Context, pki.TenantID, time.Time) ([]Item, error){s.issuers, s.credentials, s.tokens, s.profiles} {
		items, err := look(ctx, tenant, now)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	slices.SortFunc(all, func(a, b Item) int {
		return cmp.Or(a.Ends.Compare(b.Ends), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

const day = 24 * time.Hour

// issuers looks at authorities, and at the CRLs of those whose key is offline.
func (s *Service) issuers(ctx context.Context, tenant pki.TenantID, now time.Time) ([]Item, error) {
	issuers, err := s.cfg.Store.AllIssuers(ctx)
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, i := range issuers {
		if i.Tenant != tenant {
			continue
		}
		a, err := s.cfg.Store.Authority(ctx, tenant, i.Authority)
		if err != nil {
			return nil, err
		}
		if i.State == pki.IssuerActive && a.State == pki.AuthorityActive {
			items = append(items, Item{Kind: Authority, Name: a.Name, Ends: i.NotAfter, Severity: within(i.NotAfter.Sub(now), 30*day, 365*day), Do: renewal(a)})
		}
		if i.Key != pki.OfflineKey || now.After(i.NotAfter) {
			continue // their CRLs are made anew by themselves, and watched by who makes them; or nobody goes by them any more
		}
		shards, err := s.cfg.Store.Shards(ctx, i.ID)
		if err != nil {
			return nil, err
		}
		for _, shard := range shards {
			if shard.Number > 0 {
				items = append(items, Item{Kind: CRL, Name: a.Name, Ends: shard.NextUpdate, Severity: within(shard.NextUpdate.Sub(now), 3*day, 21*day),
					Do: "Have a ceremony sign a new one: 'pando authority crl-request', 'pando ceremony sign', 'pando authority install'."})
			}
		}
	}
	return items, nil
}

// credentials looks at certificates of the server's own, which are renewed at half
// of their life: one in its last quarter is not. The responder of an issuer that ended is
// renewed no more, and nobody goes by it.
func (s *Service) credentials(ctx context.Context, tenant pki.TenantID, now time.Time) ([]Item, error) {
	credentials, err := s.cfg.Store.Credentials(ctx, tenant)
	if err != nil {
		return nil, err
	}
	issuers, err := s.cfg.Store.AllIssuers(ctx)
	if err != nil {
		return nil, err
	}
	over := make(map[string]bool)
	for _, i := range issuers {
		over["ocsp:"+string(i.ID)] = i.Tenant == tenant && now.After(i.NotAfter)
	}
	var items []Item
	for _, c := range credentials {
		if over[c.Name] {
			continue
		}
		leaf, err := x509.ParseCertificate(c.Chain[0])
		if err != nil {
			return nil, fmt.Errorf("credential %s: %w", c.Name, err)
		}
		life := leaf.NotAfter.Sub(leaf.NotBefore)
		item := Item{Kind: Credential, Name: c.Name, Ends: leaf.NotAfter, Severity: within(leaf.NotAfter.Sub(now), life/20, life/4),
			Do: "Nothing: it renews itself at half of its life."}
		if item.Severity != "" {
			item.Do = "It renews itself at half of its life, and has not: the server's log says why. One that nobody uses any more is no harm."
		}
		items = append(items, item)
	}
	return items, nil
}

// tokens looks at tokens that hold. Only of one that was made to last somebody needs
// to be told before it ends.
func (s *Service) tokens(ctx context.Context, tenant pki.TenantID, now time.Time) ([]Item, error) {
	tokens, err := s.cfg.Store.Tokens(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, t := range tokens {
		if !t.Revoked.IsZero() || now.After(t.Expires) {
			continue
		}
		item := Item{Kind: Token, Name: fmt.Sprintf("%s (%s)", t.ID, t.Name), Ends: t.Expires, Do: "Give who uses it a new one ('pando token create'), or revoke it."}
		if t.Expires.Sub(t.Created) >= 30*day {
			item.Severity = within(t.Expires.Sub(now), 0, 7*day)
		}
		items = append(items, item)
	}
	return items, nil
}

// profiles looks at endpoints whose certificates, issued now, would outlive their
// authority, and are refused for that.
func (s *Service) profiles(ctx context.Context, tenant pki.TenantID, now time.Time) ([]Item, error) {
	endpoints, err := s.cfg.Store.Endpoints(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, ep := range endpoints {
		line, err := s.cfg.Directory.Line(ctx, ep.Profile.Tenant, ep.Authority)
		if err != nil {
			continue // its authority issues no more: its requests are refused with that
		}
		bound, err := s.cfg.Directory.Bound(ctx, ep.Profile, line)
		if err != nil {
			return nil, err
		}
		if bound.Outlives(now) {
			items = append(items, Item{Kind: Profile, Name: ep.Name, Ends: line.Issuer.NotAfter, Severity: alarm.Warning,
				Do: "Give the authority a next issuer and switch to it ('pando authority rollover', 'pando authority switch'), or publish a profile with a shorter validity."})
		}
	}
	return items, nil
}

// renewal says what to do about an authority that ends.
func renewal(a *pki.Authority) string {
	if a.Kind == pki.Root {
		return "Have it followed by another root ('pando authority rollover', 'pando ceremony rollover') and switch to that: certificates cannot be valid for longer than their issuer."
	}
	return "Give it a next issuer and switch to it ('pando authority rollover', 'pando authority switch'): certificates cannot be valid for longer than their issuer."
}

// within returns how urgent it is that something ends after left.
func within(left, critical, warning time.Duration) alarm.Severity {
	switch {
	case left < critical:
		return alarm.Critical
	case left < warning:
		return alarm.Warning
	}
	return ""
}
