package restapi

import (
	"context"
	"encoding/hex"
	"encoding/pem"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trace"
)

type traceInput struct {
	Caller
	Issuer string `path:"issuer" doc:"Id of the issuer, or - for any, where one alone has the serial."`
	Serial string `path:"serial" doc:"In hexadecimal."`
}

// traceCertificate serves GET /certificates/{issuer}/{serial}/trace.
func (s *server) traceCertificate(ctx context.Context, g access.Permit, in *traceInput) (*answer[client.Trace], error) {
	issuer := pki.IssuerID(in.Issuer)
	if issuer == anyIssuer {
		issuer = ""
	}
	t, err := s.cfg.Trace.Trace(ctx, g, issuer, in.Serial)
	if err != nil {
		return nil, err
	}
	return &answer[client.Trace]{s.wireTrace(ctx, g, t)}, nil
}

func (s *server) wireTrace(ctx context.Context, g access.Permit, t *trace.Trace) client.Trace {
	out := client.Trace{Certificate: s.wireFound(ctx, g, t.Found), CSRGone: t.Gone, By: t.Actor, Approved: wireApproved(t.Approved), MoreOthers: t.More}
	out.Certificate.Cursor = ""
	out.Certificate.Profile = wireProfileRef(t.Version.ProfileRef)
	if t.Version.Hash != [32]byte{} {
		out.Certificate.Profile.Hash = hex.EncodeToString(t.Version.Hash[:])
	}
	if len(t.Request) > 0 {
		out.CSR = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: t.Request}))
	}
	if t.Batch != nil {
		b := wireBatch(t.Batch)
		out.Batch = &b
	}
	for _, a := range t.Earlier {
		attempt := client.Attempt{Batch: wireBatch(a.Batch), Row: a.Row}
		if a.Refusal != nil {
			attempt.Kind, attempt.Reason = a.Refusal.Kind.String(), a.Refusal.Reason
		}
		out.Earlier = append(out.Earlier, attempt)
	}
	for _, der := range t.Chain {
		out.Chain = append(out.Chain, certificatePEM(der))
	}
	if t.Device != nil {
		d := wireDevice(t.Device)
		out.Device = &d
	}
	if t.Lot != nil {
		l := wireLot(t.Lot)
		out.Lot = &l
	}
	if t.Authority != nil {
		out.Authority = t.Authority.Name
	}
	out.Others = each(t.Others, "", func(f *registry.Found) client.Certificate { return s.wireFound(ctx, g, f) }).Body.Items
	for _, e := range t.Entries {
		entry := client.RevocationEntry{N: e.N, Reason: e.Reason.String(), At: e.At, Job: string(e.Job)}
		if e.Unknown {
			entry.JobUnknown = "an earlier version made the entry, or it was taken over from a published CRL"
		}
		out.Revocations = append(out.Revocations, entry)
	}
	for _, j := range t.Jobs {
		out.Jobs = append(out.Jobs, client.TracedJob{Job: wireJob(j.Job), Approved: wireApproved(j.Approved)})
	}
	for _, e := range t.Events {
		out.Events = append(out.Events, wireEvent(e))
	}
	if t.LogPlace.Index >= 0 {
		out.Log = &client.LogPlace{Index: t.LogPlace.Index, Signed: t.LogPlace.Signed}
	}
	return out
}

func wireApproved(c *approval.Change) *client.Change {
	if c == nil {
		return nil
	}
	out := wireChange(c)
	return &out
}
