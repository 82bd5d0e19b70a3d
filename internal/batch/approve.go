package batch

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// A Gate has batches wait until others have approved them; approval.Service is one.
type Gate interface {
	// Ask lets a batch go on, is an error of kind pki.Pending while it waits, and
	// returns its change where that came to its end.
	Ask(ctx context.Context, g access.Permit, r approval.Request) (ended *approval.Change, err error)
	// CheckSteps refuses steps that nobody in a tenant could follow.
	CheckSteps(ctx context.Context, tenant pki.TenantID, steps []approval.Step) error
	// Waits says for people what a change waits for.
	Waits(ctx context.Context, tenant pki.TenantID, id pki.ChangeID) (string, error)
	// Drop ends a change that waits for nothing any more.
	Drop(ctx context.Context, g access.Permit, id pki.ChangeID, why string) error
}

// issueChange is what a change of kind approval.IssueBatch asks for: that the rows
// which have this digest are issued, where and under what the batch was made for.
type issueChange struct {
	Batch       pki.BatchID     `json:"batch"`
	Endpoint    string          `json:"endpoint"`
	Authority   pki.AuthorityID `json:"authority"`
	Profile     profileText     `json:"profile"`
	Pair        *pairText       `json:"pair,omitzero"`
	Rows        int64           `json:"rows"`
	SHA256      string          `json:"sha256"` // of the file, or of the rows of a retry
	ProductLine string          `json:"product_line,omitzero"`
	Lot         string          `json:"lot,omitzero"`
	Site        string          `json:"site,omitzero"`
	RetryOf     pki.BatchID     `json:"retry_of,omitzero"`
	Approvals   string          `json:"approvals,omitzero"` // that the endpoint wants, or those of pairs
}

type profileText struct {
	Tenant  pki.TenantID `json:"tenant"`
	Name    string       `json:"name"`
	Version int          `json:"version"` // never changed: see Batch.Profile
}

func textOf(p pki.ProfileRef) profileText { return profileText{p.Tenant, p.Name, p.Version} }

// A pairText is where the second certificates of a batch of pairs come from.
type pairText struct {
	Endpoint string      `json:"endpoint"`
	Profile  profileText `json:"profile"`
}

// Executors returns what starts a batch that was approved.
func (s *Service) Executors() map[approval.Kind]approval.Executor {
	return map[approval.Kind]approval.Executor{
		approval.IssueBatch: approval.Execute(access.ManageBatches, func(ctx context.Context, g access.Permit, ch issueChange) error {
			return s.start(ctx, g, ch.Batch)
		}),
	}
}

// start starts a batch under the change by which it was approved.
func (s *Service) start(ctx context.Context, g access.Permit, id pki.BatchID) error {
	b, err := s.visible(ctx, g, access.ManageBatches, id)
	if err != nil {
		return err
	}
	switch b.State {
	case Waiting:
	case Uploading, Checked: // it was approved before the order that asked for it was through
		return pki.Errorf(pki.Unavailable, "the batch is %s, and not waiting yet", b.State)
	default:
		return pki.Errorf(pki.Conflict, "the batch is %s", b.State)
	}
	if _, err := s.begin(ctx, g, b); err != nil {
		return err
	}
	e := s.event(g, "issue", id, "")
	e.Change = g.Change().ID
	if err := s.cfg.Store.SetState(ctx, b.Tenant, id, []State{Waiting}, Running, e.At, e); err != nil {
		return err
	}
	s.awaken()
	return nil
}

// begin returns the state in which a batch begins whose rows are all there: Running,
// or Waiting where its profile wants approval, as of the batch's making, or its endpoint
// does by now.
func (s *Service) begin(ctx context.Context, g access.Permit, b *Batch) (State, error) {
	// Under a change, what the endpoint wants by now is compared with what was approved.
	if b.Needs == "" && g.Change().ID == "" {
		wants, err := s.cfg.RA.WantApproval(ctx, b.Tenant, b.Endpoint, b.PairEndpoint)
		if err != nil || !wants {
			return Running, err
		}
	}
	lane, err := s.lane(ctx, b)
	if err != nil {
		return "", err
	}
	rule := lane.Approvals()
	if rule == nil && g.Change().ID == "" {
		return Running, nil
	}
	where, err := s.where(ctx, b)
	if err != nil {
		return "", err
	}
	place := where[0]
	place.ProductLine, place.Site = b.Every.ProductLine, b.Every.Site
	summary := fmt.Sprintf("%s at %s under %s version %d", pki.Count(b.Rows, "row"), b.Endpoint, b.Profile.Name, b.Profile.Version)
	var pair *pairText
	if b.PairEndpoint != "" {
		place.Endpoint = "" // whoever approves it may do so at both
		pair = &pairText{b.PairEndpoint, textOf(b.PairProfile)}
		summary += fmt.Sprintf(", in pairs with %s under %s version %d", b.PairEndpoint, b.PairProfile.Name, b.PairProfile.Version)
	}
	own := ""
	if wants := lane.OwnApprovals(); wants != nil {
		own = wants.String()
	}
	ended, err := s.cfg.Gate.Ask(ctx, g, approval.Request{
		Kind: approval.IssueBatch, Target: "batch:" + string(b.ID), Place: place,
		Summary: summary,
		Payload: issueChange{
			Batch: b.ID, Endpoint: b.Endpoint, Authority: b.Authority, Profile: textOf(b.Profile), Pair: pair,
			Rows: b.Rows, SHA256: hex.EncodeToString(b.Digest[:]), ProductLine: b.Defaults.ProductLine, Lot: b.Defaults.Lot, Site: b.Defaults.Site, RetryOf: b.RetryOf, Approvals: own,
		},
		Rule: rule,
	})
	switch {
	case pki.KindOf(err) == pki.Pending:
		return Waiting, nil
	case err != nil:
		return "", err
	case ended != nil:
		return "", pki.Because(pki.PolicyRefused, errDenied, "%s", notApproved(ended.ID, ended.State, ended.Outcome))
	}
	return Running, nil
}

// errDenied marks a batch that will not be approved any more.
var errDenied = errors.New("the batch was not approved")

// notApproved says for people why a batch is not issued.
func notApproved(id pki.ChangeID, state approval.State, outcome string) string {
	text := fmt.Sprintf("change %s, which it waited for, is %s", id, state)
	if outcome != "" {
		text += ": " + outcome
	}
	return text
}

// told adds to a batch that waits what it waits for.
func (s *Service) told(ctx context.Context, b *Batch) (*Batch, error) {
	if b.State != Waiting || b.Change == "" {
		return b, nil
	}
	var err error
	b.Why, err = s.cfg.Gate.Waits(ctx, b.Tenant, b.Change)
	return b, err
}

// A Denied is a batch that waits for a change which came to its end without it.
type Denied struct {
	Tenant  pki.TenantID
	ID      pki.BatchID
	Change  pki.ChangeID
	State   approval.State
	Outcome string
}

// cancelDenied cancels batches that were not approved.
func (s *Service) cancelDenied(ctx context.Context) {
	denied, err := s.cfg.Store.Denied(ctx)
	if err != nil {
		return // Run has logged that the store does not answer
	}
	for _, d := range denied {
		b := &Batch{ID: d.ID, Tenant: d.Tenant}
		g, err := s.grant(b)
		if err == nil {
			e := s.event(g, "cancel", d.ID, notApproved(d.Change, d.State, d.Outcome))
			err = s.cfg.Store.SetState(ctx, d.Tenant, d.ID, []State{Waiting}, Cancelled, e.At, e)
		}
		if err != nil && pki.KindOf(err) != pki.Conflict {
			s.cfg.Log.Error("cancel a batch that was not approved", "batch", d.ID, "error", err)
		}
	}
}
