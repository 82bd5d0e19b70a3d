package restapi

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

type changesInput struct {
	Caller
	State string `query:"state" maxLength:"20" doc:"Only those in this state."`
	NewestFirst
}

type changeInput struct {
	Caller
	ID string `path:"id"`
}

type decisionInput struct {
	Caller
	ID   string `path:"id"`
	Body client.NewDecision
}

type withdrawalInput struct {
	Caller
	ID   string `path:"id"`
	Body client.Withdrawal
}

type ruleInput struct {
	Caller
	Kind string `path:"kind"`
	Body client.NewApprovalRule
}

func (s *server) listChanges(ctx context.Context, g access.Permit, in *changesInput) (*listOf[client.Change], error) {
	changes, next, err := s.cfg.Approvals.Changes(ctx, g, approval.State(in.State), pki.ChangeID(in.Before), in.Limit)
	if err != nil {
		return nil, err
	}
	return each(changes, string(next), wireChange), nil
}

// getChange needs no permission for what one asked for oneself.
func (s *server) getChange(ctx context.Context, _ access.Permit, in *changeInput) (*answer[client.Change], error) {
	return changeAnswer(s.cfg.Approvals.Change(ctx, in.who, pki.ChangeID(in.ID)))
}

func (s *server) decide(v approval.Verdict) func(context.Context, access.Permit, *decisionInput) (*answer[client.Change], error) {
	return func(ctx context.Context, g access.Permit, in *decisionInput) (*answer[client.Change], error) {
		hash, err := hex.DecodeString(in.Body.Hash)
		if err != nil || len(hash) != 32 {
			return nil, pki.Errorf(pki.Malformed, "hash: 64 hexadecimal digits, as the change has them")
		}
		return changeAnswer(s.cfg.Approvals.Decide(ctx, g, pki.ChangeID(in.ID), v, [32]byte(hash), in.Body.Comment))
	}
}

// withdrawChange needs no permission for what one asked for oneself.
func (s *server) withdrawChange(ctx context.Context, _ access.Permit, in *withdrawalInput) (*answer[client.Change], error) {
	return changeAnswer(s.cfg.Approvals.Withdraw(ctx, in.who, pki.ChangeID(in.ID), in.Body.Comment))
}

func changeAnswer(c *approval.Change, err error) (*answer[client.Change], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Change]{wireChange(c)}, nil
}

func (s *server) listRules(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.ApprovalRule], error) {
	rules, err := s.cfg.Approvals.Rules(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(rules, "", wireRule), nil
}

func (s *server) setRule(ctx context.Context, g access.Permit, in *ruleInput) (*answer[client.ApprovalRule], error) {
	r := approval.Rule{Kind: approval.Kind(in.Kind), Life: time.Duration(in.Body.LifeSeconds) * time.Second}
	if r.Kind == approval.RunRevocation {
		r.Share = approval.DefaultShare
	}
	if in.Body.SharePercent != nil {
		r.Share = int(math.Round(*in.Body.SharePercent * 100))
	}
	for _, step := range in.Body.Steps {
		r.Steps = append(r.Steps, approval.Step{Role: access.Role(step.Role), N: step.N})
	}
	set, err := s.cfg.Approvals.SetRule(ctx, g, r)
	if err != nil {
		return nil, err
	}
	return &answer[client.ApprovalRule]{wireRule(*set)}, nil
}

func wireRule(r approval.Rule) client.ApprovalRule {
	out := client.ApprovalRule{Kind: string(r.Kind), Steps: wireSteps(r.Steps), LifeSeconds: int64(r.Life / time.Second)}
	if r.Kind == approval.RunRevocation {
		out.SharePercent = new(float64(r.Share) / 100)
	}
	return out
}

func wireSteps(steps []approval.Step) []client.ApprovalStep {
	out := make([]client.ApprovalStep, len(steps))
	for i, step := range steps {
		out[i] = client.ApprovalStep{Role: string(step.Role), N: step.N}
	}
	return out
}

func wireChange(c *approval.Change) client.Change {
	out := client.Change{
		ID: string(c.ID), Tenant: string(c.Tenant), Kind: string(c.Kind), Target: c.Target, Scope: c.Place.String(), Summary: c.Summary, Payload: string(approval.Shown(c.Payload)),
		Hash: hex.EncodeToString(c.Hash[:]), Requester: c.Requester.String(), Created: c.Created, Expires: c.Expires,
		State: string(c.State), Waits: c.Waits(), Outcome: c.Outcome, Finished: c.Finished, Steps: wireSteps(c.Steps), Decisions: []client.Decision{},
	}
	for _, x := range c.Certificates {
		out.Certificates = append(out.Certificates, client.ChangeCertificate{Issuer: string(x.Issuer), Serial: x.Serial.String()})
	}
	for _, d := range c.Decisions {
		out.Decisions = append(out.Decisions, client.Decision{Step: d.Step + 1, By: d.By.String(), At: d.At, Verdict: string(d.Verdict), Comment: d.Comment})
	}
	return out
}

// waiting is what an act that waits for approval is answered with, as huma sends it.
type waiting struct {
	client.Change
	retryAfter time.Duration
}

// waitingFor returns the answer that an error stands for, or nil where it is another.
func waitingFor(err error) *waiting {
	w, ok := errors.AsType[*approval.Waiting](err)
	if !ok {
		return nil
	}
	return &waiting{wireChange(w.Change), w.RetryAfter}
}

// Error makes it an error for huma.
func (w *waiting) Error() string { return "waits for approval" }

// GetStatus returns the status to answer with.
func (w *waiting) GetStatus() int { return http.StatusAccepted }

// GetHeaders says where the change is, and when to ask again.
func (w *waiting) GetHeaders() http.Header {
	h := http.Header{"Location": {prefix + "/changes/" + w.ID}}
	if w.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(w.retryAfter.Seconds()))))
	}
	return h
}

// write sends it outside of huma.
func (w *waiting) write(to http.ResponseWriter) {
	for name, values := range w.GetHeaders() {
		to.Header()[name] = values
	}
	to.Header().Set("Content-Type", mediaJSON)
	to.WriteHeader(http.StatusAccepted)
	// What fails now is the connection, and nobody is left to be told.
	_ = json.MarshalWrite(to, w.Change)
}
