package batch_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestLotOfRows: a lot is not closed while a batch is paused of which a row names it, far
// behind others; batches of which none does, that are at their end, dry runs, or another
// tenant's do not keep it open.
func TestLotOfRows(t *testing.T) {
	s := newStack(t, stack.Config{})
	s.AddTenant(t, "globex", "meter")
	manage := s.Permit(t, "acme", access.ManageBatches)
	csr := base64.StdEncoding.EncodeToString(pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{}))
	upload := func(tenant pki.TenantID, before int, lot string) *batch.Batch {
		var file bytes.Buffer
		for i := range before {
			fmt.Fprintf(&file, "{\"csr\":%q,\"device\":\"lot-7 %d\",\"lot\":\"lot-70\"}\n", csr, i)
		}
		fmt.Fprintf(&file, "{\"csr\":%q,\"device\":\"SM-1\",\"lot\":%q}\n", csr, lot)
		b, err := s.Batch.Submit(t.Context(), s.Permit(t, tenant, access.ManageBatches), batch.Submission{Endpoint: "meter", Format: batch.NDJSON, DryRun: true}, &file)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range s.Batch.Watch(t.Context(), s.Permit(t, tenant, access.ReadBatches), b.ID) {
			if err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	pause := func(b *batch.Batch) *batch.Batch { // before anything of it is begun
		err := s.Store.SetState(t.Context(), b.Tenant, b.ID, []batch.State{batch.Checked}, batch.Paused, s.Now(), pki.Event{Tenant: b.Tenant, At: s.Now(), Actor: "token:test", Action: "batch.pause", Target: "batch:" + string(b.ID)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pause(upload("globex", 0, "lot-7"))
	pause(upload("acme", 3, "lot-8"))
	upload("acme", 0, "lot-7")
	names := pause(upload("acme", 20*batch.ChunkRows, "lot-7"))
	if _, err := s.Batch.Cancel(t.Context(), manage, pause(upload("acme", 0, "lot-7")).ID); err != nil {
		t.Fatal(err)
	}
	got, err := s.Batch.Naming(t.Context(), "acme", "lot-7")
	if diff := cmp.Diff([]pki.BatchID{names.ID}, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}
