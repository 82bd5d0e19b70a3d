package access

import (
	"context"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

// A Gate has it wait for approval that somebody gets to decide on approvals, or to say
// what needs them: whoever made such people alone could make those who approve what they
// ask for. Of what the certificates of a trusted authority are good for, it has each change
// wait that a rule of the tenant about trust is for. approval.Service is one.
type Gate interface {
	// GivesAlone reports whether the permit's principal may give a role that decides
	// with nobody else, on a scope.
	GivesAlone(ctx context.Context, p Permit, s Scope) (bool, error)
	// PassGrant lets it go on that somebody gets such a role, or has it wait.
	PassGrant(ctx context.Context, p Permit, principal string, role Role, s Scope) error
	// PassTrusted and PassTaking let it go on that all whom a trusted authority certifies
	// get a role, and that a grant is taken from them; PassTrustedRole, that an own role
	// includes something else that holders have by such certificates. Or they have it wait.
	PassTrusted(ctx context.Context, p Permit, given Grant) error
	PassTaking(ctx context.Context, p Permit, taken Grant) error
	PassTrustedRole(ctx context.Context, p Permit, r *OwnRole, was []Permission, holders []string) error
	// PassRole lets it go on that an own role comes to decide, or has it wait.
	PassRole(ctx context.Context, p Permit, r *OwnRole, was []Permission) error
}

// decides reports whether permissions let their holder decide on approvals, or say what
// needs them.
func decides(all []Permission) bool {
	return slices.Contains(all, DecideApprovals) || slices.Contains(all, ManageApprovals)
}

// Heed has tokens for those who decide wait for what a gate says. It is called before
// any other method: the gate knows who holds tokens.
func (t *Tokens) Heed(g Gate) { t.gate = g }

// checkAlone refuses a token with grants that decide where its maker may not give them
// alone: the secret of a token that is made when somebody approves would be nobody's.
func (t *Tokens) checkAlone(ctx context.Context, p Permit, grants []Grant) error {
	if t.gate == nil {
		return nil
	}
	for i := range grants {
		g := &grants[i]
		if !decides(g.Permissions()) {
			continue
		}
		alone, err := t.gate.GivesAlone(ctx, p, g.Scope)
		if err != nil {
			return err
		}
		if !alone {
			return pki.Errorf(pki.Conflict, "whoever has the role %s decides on approvals, or on what needs them, which you do not give alone: make the token with a role that does not, as %s, and give it this one with 'pando grant add', which waits for approval", g.Role, Auditor)
		}
	}
	return nil
}

// Active returns everybody who holds a token of the tenant at this moment.
func (t *Tokens) Active(ctx context.Context, tenant pki.TenantID) ([]Principal, error) {
	all, err := t.store.Tokens(ctx, tenant)
	var active []Principal
	for _, tok := range all {
		if tok.Revoked.IsZero() && t.now().Before(tok.Expires) {
			active = append(active, tok.principal())
		}
	}
	return active, err
}
