package approval

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// executor is the actor of what becomes of a change without anybody's doing.
const executor = "system:approval"

// execute does what an approved change asks for, unless this node is at it. What may
// pass leaves it approved, for the next round of Run; any other failure ends it. Another
// node that does the same at once does no harm: the store moves the change once. It
// reports whether the change was tried and put off.
func (s *Service) execute(ctx context.Context, c *Change) (delayed bool) {
	if !s.begin(c.ID) {
		return false
	}
	defer s.end(c.ID)
	c, err := s.cfg.Store.Change(ctx, c.Tenant, c.ID)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "reading an approved change", "error", err)
		return true
	}
	if c.State != Approved {
		return false
	}
	err = s.perform(ctx, c)
	switch kind := pki.KindOf(err); {
	case err == nil:
		s.finish(ctx, c, Executed, "")
	case s.now().Before(c.Expires) && (kind == pki.Internal || kind == pki.Unavailable || kind == pki.RateLimited):
		s.stats.Delayed.Add(1)
		s.cfg.Log.WarnContext(ctx, "an approved change cannot be done now, and is tried again", "tenant", c.Tenant, "change", c.ID, "kind", c.Kind, "error", err)
		return true
	default:
		s.cfg.Log.WarnContext(ctx, "an approved change failed", "tenant", c.Tenant, "change", c.ID, "kind", c.Kind, "error", err)
		s.finish(ctx, c, Failed, pki.DetailOf(err))
	}
	return false
}

// finish ends an approved change that its act did not end: it failed, or there was
// nothing left to do.
func (s *Service) finish(ctx context.Context, c *Change, to State, outcome string) {
	now, err := s.cfg.Store.Change(ctx, c.Tenant, c.ID)
	if err == nil && now.State == Approved {
		verb := map[State]string{Executed: "execute", Failed: "fail"}[to]
		if to == Executed {
			outcome = "it was so already"
		}
		e := s.event(c.Tenant, executor, verb, c.ID, fmt.Sprintf("%s, %s: %s", c.Kind, c.Target, outcome))
		err = s.cfg.Store.EndChange(ctx, c.Tenant, c.ID, Approved, to, outcome, e.At, e)
		now = &Change{State: to}
	}
	switch {
	case pki.KindOf(err) == pki.Conflict: // another is doing it, or has
	case err != nil:
		s.cfg.Log.ErrorContext(ctx, "ending a change", "tenant", c.Tenant, "change", c.ID, "error", err)
	case now.State == Executed:
		s.stats.Executed.Add(1)
	case now.State == Failed:
		s.stats.Failed.Add(1)
	}
}

// perform checks again what was checked when the change was asked for and decided, and
// has it done.
func (s *Service) perform(ctx context.Context, c *Change) error {
	if err := c.intact(); err != nil {
		return err
	}
	if !s.now().Before(c.Expires) {
		return pki.Errorf(pki.Conflict, "it was not done before it expired, at %s", c.Expires.Format(time.RFC3339))
	}
	do, ok := s.executors[c.Kind]
	if !ok {
		return fmt.Errorf("nothing executes changes of kind %s", c.Kind)
	}
	if err := s.inForce(ctx, c); err != nil {
		return err
	}
	requester, err := s.requester(ctx, c)
	if err != nil {
		return gone(err, "the requester")
	}
	g, err := requester.Authorize(do.Permission, c.Tenant)
	if err != nil {
		return gone(err, "the requester")
	}
	if err := s.approvedStill(ctx, c); err != nil {
		return err
	}
	return do.Do(ctx, g.For(access.Change{ID: c.ID, Hash: c.Hash}), c.Payload)
}

// inForce refuses what somebody of a tenant asked for that its parent has suspended
// meanwhile. What its parent or the platform asks for in it is done.
func (s *Service) inForce(ctx context.Context, c *Change) error {
	if c.Requester.Tenant != c.Tenant || c.Tenant == pki.Platform {
		return nil
	}
	t, err := s.cfg.Store.Tenant(ctx, c.Tenant)
	if err == nil && t.Suspended {
		err = pki.Forbid(pki.TenantSuspended, "the tenant %s was suspended by its parent meanwhile", c.Tenant)
	}
	return err
}

// requester returns who asked for a change, as they are at this moment. Whoever was
// proved by a client certificate is proved by it anew, all of it: that it has not
// ended, is not revoked, and leads to whom the tenant trusts.
func (s *Service) requester(ctx context.Context, c *Change) (access.Principal, error) {
	if len(c.Proof) == 0 {
		return s.cfg.Principals.Principal(ctx, c.Requester.Tenant, c.Requester.ID)
	}
	who, err := s.cfg.Certificates.Again(ctx, c.Requester.Tenant, c.Proof)
	if err == nil && !strings.HasPrefix(c.Requester.ID, access.CertificatePrincipal) {
		var first access.Principal // who proved itself by something else as well
		if first, err = s.cfg.Principals.Principal(ctx, c.Requester.Tenant, c.Requester.ID); err == nil {
			who, err = access.Combine(first, who)
		}
	}
	if err == nil && who.ID != c.Requester.ID {
		err = pki.Errorf(pki.Forbidden, "its certificate proves %s now", who.ID)
	}
	return who, err
}

// approvedStill counts the approvals of those who could give them at this moment.
func (s *Service) approvedStill(ctx context.Context, c *Change) error {
	have := make([]int, len(c.Steps))
	for _, d := range c.Decisions {
		if d.Step < 0 || d.Step >= len(c.Steps) || d.Verdict != Approve || d.Hash != c.Hash {
			return pki.Errorf(pki.Conflict, "the decisions on the change were altered in the store")
		}
		who, err := s.cfg.Principals.Principal(ctx, d.By.Tenant, d.By.ID)
		if err == nil {
			err = authorizeAt(who, access.DecideApprovals, c)
		}
		if err != nil {
			return gone(err, "the approver "+d.By.String())
		}
		if want := c.Steps[d.Step].Role; !who.Holds(want, c.Place, who.ID, c.Requester.ID) {
			return access.Refuse(access.DecideApprovals, c.Place, "the approver %s is no %s any more", d.By, want)
		}
		have[d.Step]++
	}
	for i, step := range c.Steps {
		if have[i] < step.N {
			return pki.Errorf(pki.Conflict, "step %d has %d approvals of %d", i+1, have[i], step.N)
		}
	}
	return nil
}

// gone says whose permission was lost since.
func gone(err error, who string) error {
	if kind := pki.KindOf(err); kind == pki.Unauthenticated || kind == pki.Forbidden || kind == pki.NotFound {
		return pki.Because(pki.Forbidden, err, "%s may not do this any more: %s", who, pki.DetailOf(err))
	}
	return err
}

// begin reports whether this node was not executing the change, and is now.
func (s *Service) begin(id pki.ChangeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.executing[id] {
		return false
	}
	s.executing[id] = true
	return true
}

func (s *Service) end(id pki.ChangeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.executing, id)
}
