package approval

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Most is how many open changes there may be.
type Most struct {
	Tenant    int
	Requester int // of one requester
}

// Store keeps rules and changes. Each change of them stores its event in the same
// transaction.
type Store interface {
	// ApprovalRules returns the rules that the tenant has set, by kind, and whether
	// those of Defaults hold for the other kinds. NotFound without the tenant.
	ApprovalRules(ctx context.Context, tenant pki.TenantID) (set []Rule, defaults bool, err error)
	// SetApprovalRule sets a rule; Conflict where the tenant has set others, by kind, than
	// those that it was decided on: some kinds follow the rule about another. NotFound
	// without the tenant.
	SetApprovalRule(ctx context.Context, tenant pki.TenantID, r Rule, was []Rule, e pki.Event) error
	// Tenant returns a tenant, or NotFound.
	Tenant(ctx context.Context, id pki.TenantID) (*pki.Tenant, error)
	// Roles returns the tenant's own roles, by name.
	Roles(ctx context.Context, tenant pki.TenantID) ([]*access.OwnRole, error)

	// PutChange stores a pending change, and returns it; or the one that is open
	// with the same hash and requester, without an event: with again also the newest
	// that is not open any more. RateLimited where there are as many open ones as there
	// may be.
	PutChange(ctx context.Context, c *Change, again bool, most Most, e pki.Event) (*Change, error)
	// AskedChange returns the newest change of a requester with the hash, in whatever
	// state; NotFound where there is none.
	AskedChange(ctx context.Context, tenant pki.TenantID, requester string, hash [32]byte) (*Change, error)
	Change(ctx context.Context, tenant pki.TenantID, id pki.ChangeID) (*Change, error)
	// Changes returns up to limit changes, newest first, with ids below before (""
	// from the newest), of one state where it is not "". They have no payload.
	Changes(ctx context.Context, tenant pki.TenantID, state State, before pki.ChangeID, limit int) ([]*Change, error)
	// OpenChanges returns up to limit changes of all tenants that are pending or
	// approved, oldest first, with ids above after. They have no payload.
	OpenChanges(ctx context.Context, after pki.ChangeID, limit int) ([]*Change, error)
	// FailedChanges returns how many changes of each tenant that has any failed at
	// since or later.
	FailedChanges(ctx context.Context, since time.Time) (map[pki.TenantID]int, error)

	// Decide adds a decision to a pending change that has seen others, and moves it
	// to the given state; Conflict where it is not pending any more, has another
	// number of decisions, or has one of the same principal.
	Decide(ctx context.Context, tenant pki.TenantID, id pki.ChangeID, seen int, d Decision, to State, outcome string, e pki.Event) error
	// EndChange moves a change from one state to a final one; Conflict where it is
	// not in it, or an open intent is executing it.
	EndChange(ctx context.Context, tenant pki.TenantID, id pki.ChangeID, from, to State, outcome string, at time.Time, e pki.Event) error
}
