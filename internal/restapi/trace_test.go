package restapi

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pandotest"
)

// TestTracePurged: a certificate's batch and its request are told after the batch's rows
// are dropped; where an earlier version dropped them, why the request is not there.
func TestTracePurged(t *testing.T) {
	f := newFamily(t, nil)
	ctx, later := t.Context(), time.Now().Add(time.Hour)
	for _, kept := range []bool{true, false} {
		file := pandotest.PEMRequests(t, fmt.Sprintf("SM-%t-", kept), 2)
		submitted := strings.SplitAfter(file.String(), "-----END CERTIFICATE REQUEST-----\n")
		b := must(f.parent.Submit(ctx, client.Submission{Endpoint: "meter", Format: client.PEM}, file))(t)
		for b.State != client.Done {
			time.Sleep(20 * time.Millisecond)
			b = must(f.parent.Batch(ctx, b.ID))(t)
		}
		if kept {
			must(f.stack.Batch.PurgeRows(ctx, later, 100))(t)
		} else { // as an earlier version did
			must(f.stack.Store.PurgeRows(ctx, later, must(f.stack.Store.PurgeableRows(ctx, later, batch.ChunkID{}, 100))(t)...))(t)
		}
		found := must(f.parent.Certificates(ctx, client.CertificateQuery{Batch: b.ID}, "", 10))(t)
		if len(found.Items) != 2 {
			t.Fatalf("%d certificates", len(found.Items))
		}
		for _, c := range found.Items {
			got := must(f.parent.TraceCertificate(ctx, "", c.Serial))(t)
			if got.Batch == nil || got.Batch.ID != b.ID || got.Batch.Rows != 2 || got.Certificate.Row != c.Row || got.By != b.By {
				t.Errorf("row %d: %+v by %q", c.Row, got.Batch, got.By)
			}
			if kept && (got.CSR != submitted[c.Row-1] || got.CSRGone != "") || !kept && (got.CSR != "" || !strings.Contains(got.CSRGone, "retention.batch_rows")) {
				t.Errorf("kept %t: row %d: csr %q, gone since %q", kept, c.Row, got.CSR, got.CSRGone)
			}
		}
	}
}

// TestAnyIssuer: what reads takes a serial that one issuer alone has; what acts does not.
func TestAnyIssuer(t *testing.T) {
	f := newFamily(t, nil)
	ctx := t.Context()
	b := must(f.parent.Submit(ctx, client.Submission{Endpoint: "meter", Format: client.PEM}, pandotest.PEMRequests(t, "SM-", 1)))(t)
	for b.State != client.Done {
		time.Sleep(20 * time.Millisecond)
		b = must(f.parent.Batch(ctx, b.ID))(t)
	}
	c := must(f.parent.Certificates(ctx, client.CertificateQuery{Batch: b.ID}, "", 10))(t).Items[0]
	want := must(f.parent.Certificate(ctx, c.Issuer, c.Serial))(t)
	if diff := cmp.Diff(want, must(f.parent.Certificate(ctx, "", c.Serial))(t)); diff != "" {
		t.Errorf("the certificate (-want +got):\n%s", diff)
	}
	for name, get := range map[string]func(context.Context, string, string) ([]byte, error){"DER": f.parent.CertificateDER, "chain": f.parent.CertificateChain} {
		if diff := cmp.Diff(must(get(ctx, c.Issuer, c.Serial))(t), must(get(ctx, "", c.Serial))(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	_, err := f.parent.Certificate(ctx, "", "0123456789abcdef")
	refused(t, "not-found", err)
	_, err = f.sibling.Certificate(ctx, "", c.Serial)
	refused(t, "not-found", err)
	_, err = f.parent.Revoke(ctx, "", c.Serial, "certificateHold")
	refused(t, "malformed", err)
	_, err = f.parent.Release(ctx, "", c.Serial)
	refused(t, "malformed", err)
	if got := must(f.parent.Certificate(ctx, c.Issuer, c.Serial))(t); got.Status.State != want.Status.State {
		t.Errorf("it is %+v", got.Status)
	}
}
