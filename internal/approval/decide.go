package approval

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// maxComment is the length of the longest comment, in characters.
const maxComment = 500

// decideAttempts is how often a decision is made anew on what others decided at the
// same moment.
const decideAttempts = 5

// Decide approves or refuses a change of the permit's tenant, of which the principal
// has seen the hash. With the last approval it is executed before Decide returns; what
// became of it says its state. It needs access.DecideApprovals and the role of the
// step that the change waits at, and is never for the requester.
func (s *Service) Decide(ctx context.Context, g access.Permit, id pki.ChangeID, v Verdict, seen [32]byte, comment string) (*Change, error) {
	if err := g.CheckSome(access.DecideApprovals); err != nil {
		return nil, err
	}
	if err := checkComment(comment); err != nil {
		return nil, err
	}
	if err := s.tokenHolds(ctx, g.Principal(), "changes are decided on"); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		c, err := s.decide(ctx, g, id, v, seen, comment)
		if pki.KindOf(err) == pki.Conflict && c != nil && attempt < decideAttempts {
			continue // others decided meanwhile
		}
		if err != nil {
			return nil, err
		}
		s.stats.Decided(v)
		if c.State == Approved {
			s.execute(context.WithoutCancel(ctx), c)
		}
		return s.cfg.Store.Change(ctx, g.Tenant(), id)
	}
}

// decide makes one attempt. With a change and a Conflict, others were faster.
func (s *Service) decide(ctx context.Context, g access.Permit, id pki.ChangeID, v Verdict, seen [32]byte, comment string) (*Change, error) {
	c, err := s.cfg.Store.Change(ctx, g.Tenant(), id)
	if err != nil {
		return nil, err
	}
	if err := g.CheckAt(access.DecideApprovals, c.Place); err != nil {
		return nil, err
	}
	step, err := s.mayDecide(ctx, c, g.Principal(), seen)
	if err != nil {
		return nil, err
	}
	d := Decision{Step: step, By: partyOf(g.Principal()), At: s.now(), Verdict: v, Hash: seen, Comment: comment}
	have := len(c.Decisions)
	c.Decisions = append(c.Decisions, d)
	outcome := ""
	switch next, _ := c.step(); {
	case v == Refuse:
		c.State, outcome = Refused, comment
	case next == len(c.Steps):
		c.State = Approved
	}
	e := s.event(c.Tenant, g.Actor(), string(v), c.ID, fmt.Sprintf("step %d of %d, %s, %s, sha256 %x%s", step+1, len(c.Steps), c.Kind, c.Target, c.Hash, after(": ", comment)))
	return c, s.cfg.Store.Decide(ctx, c.Tenant, c.ID, have, d, c.State, outcome, e)
}

// mayDecide refuses whoever may not decide on the change now, and returns its step.
func (s *Service) mayDecide(ctx context.Context, c *Change, who access.Principal, seen [32]byte) (step int, err error) {
	if err := s.open(c); err != nil {
		return 0, err
	}
	if err := c.intact(); err != nil {
		return 0, err
	}
	if c.Hash != seen {
		return 0, pki.Errorf(pki.Conflict, "change %s has another hash than the one that you saw: look at it again ('pando change show %s')", c.ID, c.ID)
	}
	if c.Requester.ID == who.ID {
		return 0, access.Refuse(access.DecideApprovals, c.Place, "you asked for this change: somebody else must decide on it")
	}
	if slices.ContainsFunc(c.Decisions, func(d Decision) bool { return d.By.ID == who.ID }) {
		return 0, pki.Errorf(pki.Conflict, "you have decided on this change already")
	}
	step, _ = c.step()
	if want := c.Steps[step].Role; !who.Holds(want, c.Place) {
		return 0, access.Refuse(access.DecideApprovals, c.Place, "step %d of this change is for a %s on %s, which you are not", step+1, want, c.Place)
	}
	if err := s.unrelated(ctx, c.Place, c.Requester, partyOf(who)); err != nil {
		return 0, err
	}
	if want := c.Steps[step].Role; !who.Holds(want, c.Place, who.ID, c.Requester.ID) {
		return 0, access.Refuse(access.DecideApprovals, c.Place, "you are a %s by your own doing or by that of whoever asks for this change: another must decide on it", want)
	}
	return step, nil
}

// maxMakers bounds how many makers of makers are followed.
const maxMakers = 1000

// unrelated refuses two principals of which one made the other, or made who did.
func (s *Service) unrelated(ctx context.Context, where access.Scope, a, b Party) error {
	for _, pair := range [2][2]Party{{a, b}, {b, a}} {
		id := pair[0].ID
		for range maxMakers {
			maker, err := s.maker(ctx, pair[0].Tenant, id)
			if err != nil {
				return err
			}
			if maker == "" {
				id = ""
				break
			}
			if maker == pair[1].ID {
				return access.Refuse(access.DecideApprovals, where, "%s was made by %s: one of the two does not approve what the other asks for", pair[0], pair[1])
			}
			id = maker
		}
		if id != "" {
			return access.Refuse(access.DecideApprovals, where, "it cannot be told who made %s", pair[0])
		}
	}
	return nil
}

// maker returns who made a principal: whoever made its token, or asked for its
// certificate; "" where nobody is known to have.
func (s *Service) maker(ctx context.Context, tenant pki.TenantID, id string) (string, error) {
	if strings.HasPrefix(id, access.CertificatePrincipal) {
		return s.cfg.Certificates.Asker(ctx, tenant, id)
	}
	return s.cfg.Principals.Maker(ctx, tenant, id)
}

// open refuses a change that waits for no decision.
func (s *Service) open(c *Change) error {
	switch {
	case c.State != Pending:
		return pki.Errorf(pki.Conflict, "change %s is %s: nothing is to be decided on it", c.ID, c.State)
	case !s.now().Before(c.Expires):
		return pki.Errorf(pki.Conflict, "change %s expired at %s: ask for it again", c.ID, c.Expires.Format(time.RFC3339))
	}
	return nil
}

// Withdraw ends a pending change of the principal's tenant: the principal's own, or any
// with access.ManageApprovals.
func (s *Service) Withdraw(ctx context.Context, who access.Principal, id pki.ChangeID, comment string) (*Change, error) {
	if err := checkComment(comment); err != nil {
		return nil, err
	}
	c, err := s.cfg.Store.Change(ctx, who.Tenant, id)
	if err != nil {
		return nil, err
	}
	if c.Requester.ID != who.ID {
		if err := authorizeAt(who, access.ManageApprovals, c); err != nil {
			return nil, err
		}
	}
	if err := s.open(c); err != nil {
		return nil, err
	}
	e := s.event(c.Tenant, partyOf(who).String(), "withdraw", c.ID, fmt.Sprintf("%s, %s%s", c.Kind, c.Target, after(": ", comment)))
	if err := s.cfg.Store.EndChange(ctx, c.Tenant, c.ID, Pending, Withdrawn, comment, e.At, e); err != nil {
		return nil, err
	}
	return s.cfg.Store.Change(ctx, who.Tenant, id)
}

// Drop ends a change that waits for nothing any more, as part of an act for which the
// permit is. One that is not pending stays as it is.
func (s *Service) Drop(ctx context.Context, g access.Permit, id pki.ChangeID, why string) error {
	e := s.event(g.Tenant(), g.Actor(), "withdraw", id, why)
	err := s.cfg.Store.EndChange(ctx, g.Tenant(), id, Pending, Withdrawn, why, e.At, e)
	if pki.KindOf(err) == pki.Conflict {
		return nil
	}
	return err
}

// checkComment refuses what is too long or cannot be seen.
func checkComment(comment string) error {
	unseen := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.RuneCountInString(comment) > maxComment || !utf8.ValidString(comment) || strings.ContainsFunc(comment, unseen) {
		return pki.Errorf(pki.Malformed, "a comment has %d printable characters at most, on one line", maxComment)
	}
	return nil
}

// after returns text with what stands before it, and nothing where there is no text.
func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
