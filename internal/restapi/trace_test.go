package restapi

import (
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pandotest"
)

// TestTracePurged: a certificate's batch is told after its rows are dropped, and why the
// request is not there.
func TestTracePurged(t *testing.T) {
	f := newFamily(t, nil)
	ctx := t.Context()
	b := must(f.parent.Submit(ctx, client.Submission{Endpoint: "meter", Format: client.PEM}, pandotest.PEMRequests(t, "SM-", 2)))(t)
	for b.State != client.Done {
		time.Sleep(20 * time.Millisecond)
		b = must(f.parent.Batch(ctx, b.ID))(t)
	}
	must(f.stack.Store.PurgeBatchRows(ctx, time.Now().Add(time.Hour), 100))(t)
	found := must(f.parent.Certificates(ctx, client.CertificateQuery{Batch: b.ID}, "", 10))(t)
	if len(found.Items) != 2 {
		t.Fatalf("%d certificates", len(found.Items))
	}
	for _, c := range found.Items {
		got := must(f.parent.TraceCertificate(ctx, "", c.Serial))(t)
		if got.Batch == nil || got.Batch.ID != b.ID || got.Batch.Rows != 2 || got.Certificate.Row != c.Row || got.By != b.By {
			t.Errorf("row %d: %+v by %q", c.Row, got.Batch, got.By)
		}
		if got.CSR != "" || !strings.Contains(got.CSRGone, "retention.batch_rows") {
			t.Errorf("row %d: csr %q, gone since %q", c.Row, got.CSR, got.CSRGone)
		}
	}
}
