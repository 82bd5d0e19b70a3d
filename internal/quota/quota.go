// Package quota bounds how many certificates a tenant has: in all, from one
// authority, of one profile, in one product line, or by one endpoint.
//
// A quota is counted by the store, exactly: the transaction of an intent takes from
// it what is to be signed, and what comes to nothing is given back with it. Nothing
// here decides on a request; this is how quotas are set, shown, counted where there
// were certificates before them, and watched.
package quota

import (
	"context"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Kind says what a quota is for.
type Kind string

// The kinds.
const (
	Tenant      Kind = "tenant"
	Authority   Kind = "authority"
	Profile     Kind = "profile"
	ProductLine Kind = "product-line"
	Endpoint    Kind = "endpoint"
	Loan        Kind = "loan" // of what the parent lends: see pki.Loan; it is set by the parent alone
)

// A Target is what a quota is for. Its text is "tenant", or kind and name, as
// "profile:meter".
type Target struct {
	Kind Kind
	Name string // of the authority, the profile (all its versions), the product line or the endpoint
}

// String returns the target's text.
func (t Target) String() string {
	if t.Kind == Tenant {
		return string(Tenant)
	}
	return string(t.Kind) + ":" + t.Name
}

// ParseTarget is the reverse of String.
func ParseTarget(text string) (Target, error) {
	if text == string(Tenant) {
		return Target{Kind: Tenant}, nil
	}
	kind, name, _ := strings.Cut(text, ":")
	t := Target{Kind(kind), name}
	var err error
	switch t.Kind {
	case Authority, Profile, Endpoint:
		err = pki.CheckSlug(kind, name)
	case ProductLine:
		if pki.CheckDevice(pki.DeviceID(name)) != nil { // names of places are as ids of devices
			err = pki.Errorf(pki.Malformed, "product line %.40q: it has 1 to 128 printable ASCII characters", name)
		}
	default:
		err = pki.Errorf(pki.Malformed, "%.60q: a quota is for tenant, authority:NAME, profile:NAME, product-line:NAME or endpoint:NAME", text)
	}
	return t, err
}

// A Quota is how many certificates a tenant may have of a target.
type Quota struct {
	Tenant pki.TenantID
	Target
	Limit int64
	// Used is how many count: each certificate from its intent on, revoked and
	// expired ones too, but for those of decommissioned devices and those that are
	// archived.
	Used int64
	// Counting says that certificates from before the quota are still being counted:
	// Used is a part of them, and all that were made since.
	Counting bool
	Actor    string // who set it last
	Changed  time.Time
}

// Left returns how many more there may be.
func (q *Quota) Left() int64 { return max(0, q.Limit-q.Used) }

// High reports whether nine tenths are used.
func (q *Quota) High() bool { return q.Limit-q.Used <= q.Limit/10 }

// MaxLimit is the highest limit, and MaxQuotas how many quotas a tenant has at most.
const (
	MaxLimit  = 1_000_000_000_000
	MaxQuotas = 1000
)

// Counts reports whether a certificate counts: those that pando enrols for itself,
// of authorities, responders and listeners, do not, since what is used up must not
// end status or the listeners. row is its row in a batch, 0 for a single request,
// and actor who asked for that.
func Counts(row int64, actor string) bool {
	return row > 0 || actor != "" && !strings.HasPrefix(actor, "system:")
}

// Exceeded is the refusal of what a quota has no room for.
func Exceeded(t Target, limit int64) error {
	if t.Kind == Loan {
		return pki.Errorf(pki.QuotaExceeded, "the loan %s, %d certificates, is used up: whoever lent it can raise it", t.Name, limit)
	}
	what := "the tenant's quota"
	if t.Kind != Tenant {
		what = "the quota of " + t.String()
	}
	return pki.Errorf(pki.QuotaExceeded, "%s, %d certificates, is used up: raise it with 'pando quota set', or decommission devices that are gone", what, limit)
}

// Store keeps quotas, and debits them: see issuance.Store.Commit.
type Store interface {
	// SetQuota sets a quota's limit, and begins to count where it is new. An
	// authority may be given by its id, which becomes its name. NotFound where the
	// tenant has no such authority, profile, product line or endpoint, Conflict where it has
	// MaxQuotas, or where the limit would be raised without raise. The store completes
	// the event's target and detail.
	SetQuota(ctx context.Context, q Quota, raise bool, e pki.Event) (*Quota, error)
	// RemoveQuota ends a quota; NotFound where there is none.
	RemoveQuota(ctx context.Context, tenant pki.TenantID, t Target, e pki.Event) error
	// Quotas returns a tenant's quotas, in order of kind and name.
	Quotas(ctx context.Context, tenant pki.TenantID) ([]*Quota, error)
	// AllQuotas returns the quotas of all tenants.
	AllQuotas(ctx context.Context) ([]*Quota, error)
	// CountQuotas looks at up to limit certificates for one quota that is being
	// counted, in one transaction, and reports whether there is more to look at now.
	// A quota is counted when all intents from before it are closed, too.
	CountQuotas(ctx context.Context, limit int) (more bool, err error)
}
