package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// certTrace is "pando cert trace".
type certTrace struct {
	Serial string `arg:"" help:"Its serial number in hexadecimal."`
	Issuer string `placeholder:"ID" help:"Id of its issuer, where several have the serial."`
}

func (certTrace) Help() string {
	return `Tells all that is known of a certificate: what was asked for and by whom, profile and chain, its place in the product line, the device's other certificates, revocations, events, and its place in the log.

Examples:

    pando cert trace 4201902f...
    pando cert trace 4201902f... --json | jq -r .csr | openssl req -noout -text`
}

// Run traces the certificate.
func (t *certTrace) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.TraceCertificate(ctx, t.Issuer, t.Serial)
	if err != nil {
		return err
	}
	return c.result(got, traceOf(got))
}

// traceOf prints a trace for people.
func traceOf(t *client.Trace) func(io.Writer) error {
	return func(w io.Writer) error {
		x := &t.Certificate
		facts := table{}
		facts.add("certificate", x.Serial)
		facts.add("fingerprint", x.Fingerprint)
		facts.add("status", statusLine(x.Status))
		facts.add("valid", when(x.NotBefore)+" to "+when(x.NotAfter))
		facts.add("issued", when(x.Issued)+by(t.By))
		facts.add("profile", fmt.Sprintf("%s v%d %s", x.Profile.Name, x.Profile.Version, x.Profile.Hash))
		facts.add("issuer", fmt.Sprintf("%s, %s above", x.Issuer, pki.Count(len(t.Chain), "certificate")))
		switch {
		case t.Batch != nil:
			facts.add("batch", fmt.Sprintf("%s, row %d of %d, at %s", t.Batch.ID, x.Row, t.Batch.Rows, t.Batch.Endpoint))
			facts.add("submitted", when(t.Batch.Created)+by(t.Batch.By))
		case x.Batch != "":
			facts.add("batch", fmt.Sprintf("%s, row %d", x.Batch, x.Row))
		}
		addApproved(&facts, t.Approved)
		facts.add("request", requestLine(t))
		if t.Device != nil {
			facts.add("device", fmt.Sprintf("%s, %s since %s", t.Device.Device, t.Device.State, when(t.Device.Updated)))
		}
		facts.add("authority", t.Authority)
		facts.add("owner", x.Owner)
		facts.add("product line", x.ProductLine)
		lot := x.Lot
		if t.Lot != nil {
			lot += ", " + t.Lot.State
		}
		facts.add("lot", lot)
		facts.add("site", x.Site)
		place := "waits for its place"
		if t.Log != nil {
			place = fmt.Sprintf("entry %d, signed up to %d", t.Log.Index, t.Log.Signed)
		}
		facts.add("log", place)
		if err := facts.write(w); err != nil {
			return err
		}
		others := table{heading: []string{"OTHER CERTIFICATES", "PROFILE", "STATUS", "ISSUED", "NOT AFTER"}}
		for _, o := range t.Others {
			others.add(o.Serial, fmt.Sprintf("%s v%d", o.Profile.Name, o.Profile.Version), o.Status.State, when(o.Issued), when(o.NotAfter))
		}
		parts := []*table{earlierRows(t), &others, revocationsOf(t)}
		for i := range t.Jobs {
			parts = append(parts, tracedJob(&t.Jobs[i]))
		}
		events := table{heading: []string{"EVENT", "AT", "BY", "ON", "DETAIL"}}
		for _, e := range t.Events {
			events.add(e.Action, when(e.At), e.Actor, e.Target, e.Detail)
		}
		for _, part := range append(parts, &events) {
			if len(part.rows) == 0 {
				continue
			}
			fmt.Fprintln(w)
			if err := part.write(w); err != nil {
				return err
			}
		}
		return nil
	}
}

// addApproved adds to a table by which change something was approved, and who decided.
func addApproved(facts *table, a *client.Change) {
	if a == nil {
		return
	}
	facts.add("approved", fmt.Sprintf("change %s, asked for by %s", a.ID, a.Requester))
	addDecisions(facts, a)
}

// earlierRows returns where the row of a certificate from a retry was refused before.
func earlierRows(t *client.Trace) *table {
	rows := &table{heading: []string{"REFUSED BEFORE", "ROW", "SUBMITTED", "BY", "KIND", "REASON"}}
	for _, a := range t.Earlier {
		rows.add(a.Batch.ID, fmt.Sprintf("%d of %d", a.Row, a.Batch.Rows), when(a.Batch.Created), a.Batch.By, a.Kind, a.Reason)
	}
	return rows
}

// revocationsOf returns the revocation entries of a trace.
func revocationsOf(t *client.Trace) *table {
	entries := &table{heading: []string{"REVOCATION", "REASON", "AT", "JOB"}}
	for _, e := range t.Revocations {
		job := e.Job
		if e.JobUnknown != "" {
			job = "not known: " + e.JobUnknown
		}
		entries.add(e.N, e.Reason, when(e.At), job)
	}
	return entries
}

// tracedJob returns what a revocation job that made entries was to do, and by whose order.
func tracedJob(j *client.TracedJob) *table {
	x, facts := &j.Job, new(table)
	facts.add("job", x.ID)
	facts.add("selection", selectionOf(x))
	facts.add("act", actOf(x))
	facts.add("state", x.State)
	addChanged(facts, x)
	facts.add("created", when(x.Created)+by(x.By))
	addApproved(facts, j.Approved)
	if !x.Started.IsZero() {
		facts.add("started", when(x.Started))
	}
	return facts
}

// requestLine says whether the request is there, and why not.
func requestLine(t *client.Trace) string {
	switch {
	case t.CSR != "":
		return "kept: --json has it"
	case t.CSRGone != "":
		return "not kept: " + t.CSRGone
	}
	return "not kept"
}

// by says who did something, where that is known.
func by(actor string) string {
	if actor == "" {
		return ""
	}
	return " by " + actor
}
