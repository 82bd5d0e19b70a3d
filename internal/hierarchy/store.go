package hierarchy

import (
	"context"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

// Store keeps tenants, authorities, issuers and profiles. A change stores its
// event in the same transaction; a name that is taken is Conflict.
type Store interface {
	PutTenant(ctx context.Context, t *pki.Tenant, e pki.Event) error
	Tenant(ctx context.Context, id pki.TenantID) (*pki.Tenant, error)
	Tenants(ctx context.Context) ([]*pki.Tenant, error)
	// SetTenant replaces a tenant's settings, or is NotFound.
	SetTenant(ctx context.Context, id pki.TenantID, n pki.TenantSettings, e pki.Event) error

	// Children returns a tenant's children, in order of their ids. PutTenant of one is
	// Conflict where the parent has all that it MayHave, or is a child itself, or the name begins with
	// that of a tenant that is longer than the parent's and no child of it; it stores its
	// event in the parent's log.
	Children(ctx context.Context, parent pki.TenantID) ([]*pki.Tenant, error)
	// SuspendChild suspends or resumes a child of the parent's, with an event in the
	// logs of both; NotFound where it has no such child, Conflict where it is so already.
	SuspendChild(ctx context.Context, parent, child pki.TenantID, suspended bool, e pki.Event) error
	// PutLoan stores a loan to a child of its parent's, or changes its limit, with an
	// event in the logs of both. NotFound where the parent has no such child, Conflict
	// where the name or the pair is lent otherwise, or the limit is not before any more,
	// which is 0 where the name is not lent.
	PutLoan(ctx context.Context, l *pki.Loan, before int64, e pki.Event) error
	// TakeBack ends a loan, with an event in the logs of both: no intent for it is
	// stored any more.
	TakeBack(ctx context.Context, parent, child pki.TenantID, name string, e pki.Event) error
	// Loans returns what was lent to a child, in order of name.
	Loans(ctx context.Context, child pki.TenantID) ([]*pki.Loan, error)

	// PutAuthority stores a new authority with its first issuer.
	PutAuthority(ctx context.Context, a *pki.Authority, i *pki.Issuer, e pki.Event) error
	Authority(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID) (*pki.Authority, error)
	AuthorityByName(ctx context.Context, tenant pki.TenantID, name string) (*pki.Authority, error)
	Authorities(ctx context.Context, tenant pki.TenantID) ([]*pki.Authority, error)
	// SetAuthorityState changes the state, and refuses with Conflict where it is not from.
	SetAuthorityState(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID, from, to pki.AuthorityState, e pki.Event) error

	// AddIndexes has an authority get further indexes, which AdvanceIndexing makes.
	// Conflict where it has one of them, or others are being made.
	AddIndexes(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID, indexes []pki.SearchIndex, e pki.Event) error
	// Indexings returns the authorities that indexes are being made for.
	Indexings(ctx context.Context) ([]*pki.Authority, error)
	// AdvanceIndexing looks at up to limit more certificates for the indexes that are being
	// made for an authority, and returns at how many it did. After the last one they are
	// there, with the event, and made is true. Conflict where none are being made, or
	// somebody else went on.
	AdvanceIndexing(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID, limit int, done pki.Event) (seen int, made bool, err error)

	// Issuers returns an authority's issuers, newest first.
	Issuers(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([]*pki.Issuer, error)
	// Issuer returns an issuer by its public id, for status and chains.
	Issuer(ctx context.Context, id pki.IssuerID) (*pki.Issuer, error)
	// AllIssuers returns every issuer of every tenant that has a certificate, for status workers.
	AllIssuers(ctx context.Context) ([]*pki.Issuer, error)
	// PutIssuer stores a further issuer of an active authority, pending or next. Conflict
	// where the authority is not active or has one that is pending or next.
	PutIssuer(ctx context.Context, i *pki.Issuer, e pki.Event) error
	// InstallIssuer gives a pending issuer its certificate, and a root that follows
	// another its links (Conflict where it is not pending). One of a pending authority becomes active with it, any other is next.
	// What a ceremony signed besides is stored with it, intents and records, or nothing is:
	// what issuance's Commit would say as Err or Refused is its error.
	InstallIssuer(ctx context.Context, tenant pki.TenantID, id pki.IssuerID, certificate []byte, links pki.RootLinks, notBefore, notAfter time.Time, signed []*issuance.Intent, e pki.Event) error
	// SwitchIssuer makes the next issuer of an active authority the active one, whose
	// name and kind of key the authority then has, and the active one an earlier one.
	// Conflict where it is not next.
	SwitchIssuer(ctx context.Context, tenant pki.TenantID, id pki.IssuerID, commonName string, kind pki.KeyKind, e pki.Event) error
	// DropIssuer ends an issuer that is pending or next: else it is Conflict. A pending
	// authority is taken out of the store with its own: Conflict where a grant or a quota
	// is about it.
	DropIssuer(ctx context.Context, tenant pki.TenantID, id pki.IssuerID, e pki.Event) error

	// PutProfile stores the next version of a profile and sets p.Version, or is
	// Conflict where p.Version is another than 0 and that; the latest version is
	// returned as Repeated (and no event stored) where its hash is equal. The event's
	// detail is preceded by "version N, ". A quota that is not nil is set with it, as
	// quota.Store.SetQuota sets one, with an event of its own, and not raised.
	PutProfile(ctx context.Context, p *pki.ProfileVersion, q *quota.Quota, e pki.Event) error
	// Quotas returns a tenant's quotas.
	Quotas(ctx context.Context, tenant pki.TenantID) ([]*quota.Quota, error)
	// Profile returns a version; 0 is the latest.
	Profile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error)
	// Profiles returns the latest version of each profile, by name.
	Profiles(ctx context.Context, tenant pki.TenantID) ([]*pki.ProfileVersion, error)
	// ProfileVersions returns the versions of a profile, the latest first, without their
	// sources and with who published each, as its event has it; NotFound where there is none.
	ProfileVersions(ctx context.Context, tenant pki.TenantID, name string) ([]*pki.ProfileVersion, error)

	// Events returns up to limit of the tenant's events that the filter has, newest first,
	// after those that end with the id before ("" from the newest), and where to go on
	// from, "" at the end. It looks at a bounded number: a page may have fewer than limit,
	// or none, and not be the last.
	Events(ctx context.Context, tenant pki.TenantID, f EventFilter, before string, limit int) (events []pki.Event, next string, err error)
}

// An EventFilter says which events are wanted; what is empty does not matter.
type EventFilter struct {
	Target string // exactly
	Actor  string // with or without the name that stands behind it
	Action string // or the part before its dot, as "batch"
}

// Has reports whether an event is wanted.
func (f EventFilter) Has(e *pki.Event) bool {
	begins := func(text, with, sep string) bool {
		rest, ok := strings.CutPrefix(text, with)
		return with == "" || ok && (rest == "" || strings.HasPrefix(rest, sep))
	}
	return (f.Target == "" || f.Target == e.Target) && begins(e.Actor, f.Actor, " (") && begins(e.Action, f.Action, ".")
}
