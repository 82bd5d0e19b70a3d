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
	"github.com/pando-pki/pando/internal/registry"
)

// TestEarlier: a row of a retry has its rows in the batches that refused it before, with
// why, back to the file; the trace of its certificate has them, with those batches' events.
func TestEarlier(t *testing.T) {
	s := newStack(t, stack.Config{})
	g := s.Permit(t, "acme", access.ManageBatches)
	manage := s.Permit(t, "acme", access.ManageRegistry)
	if err := s.Registry.SetStrict(t.Context(), manage, true); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	for i, lot := range []string{"", "first", "first", "second", "", "third"} {
		csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{})
		fmt.Fprintf(&file, "{\"csr\":%q,\"device\":\"SM-%d\",\"lot\":%q}\n", base64.StdEncoding.EncodeToString(csr), i+1, lot)
	}
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON}, &file)
	if err != nil {
		t.Fatal(err)
	}
	batches := []*batch.Batch{rest(t, s, b.ID)}
	for _, lot := range []string{"first", "second", "third"} { // each retry issues one lot more
		if _, err := s.Registry.CreateLot(t.Context(), manage, registry.Lot{Name: lot}); err != nil {
			t.Fatal(err)
		}
		again, err := s.Batch.Retry(t.Context(), g, batches[len(batches)-1].ID, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, rest(t, s, again.ID))
	}
	for _, test := range []struct {
		in   int
		row  int64
		want []string // batch and row
	}{
		{0, 1, nil}, {1, 1, []string{"0 2"}}, {1, 2, []string{"0 3"}}, {2, 1, []string{"1 3", "0 4"}}, {3, 1, []string{"2 2", "1 4", "0 6"}},
	} {
		earlier, err := s.Batch.Earlier(t.Context(), s.Permit(t, "acme", access.ReadCertificates), batches[test.in], test.row)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range earlier {
			for i, b := range batches {
				if b.ID == a.Batch.ID {
					got = append(got, fmt.Sprintf("%d %d", i, a.Row))
				}
			}
			if a.Refusal == nil || a.Refusal.Row != a.Row || a.Refusal.Reason == "" {
				t.Errorf("row %d of batch %s: %+v", a.Row, a.Batch.ID, a.Refusal)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("row %d of retry %d (-want +got):\n%s", test.row, test.in, diff)
		}
	}

	found, err := s.Registry.Certificates(t.Context(), s.Permit(t, "acme", access.ReadCertificates), registry.Query{Batch: batches[3].ID}, registry.Paging{Limit: 2})
	if err != nil || len(found.Items) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	got, err := s.Trace.Trace(t.Context(), s.Permit(t, "acme", access.ReadCertificates), "", found.Items[0].Serial.String())
	if err != nil {
		t.Fatal(err)
	}
	of := make(map[string]bool)
	for _, e := range got.Events {
		of[e.Target] = true
	}
	for _, b := range batches {
		if !of["batch:"+string(b.ID)] {
			t.Errorf("the trace has no event of batch %s", b.ID)
		}
	}
	if len(got.Earlier) != 3 || got.Earlier[2].Row != 6 {
		t.Errorf("the trace has the rows %+v", got.Earlier)
	}
}
