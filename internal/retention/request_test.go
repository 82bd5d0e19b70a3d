package retention_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// submit has n certificates issued by a batch, and returns their requests.
func (p *plant) submit(prefix string, n int) (id pki.BatchID, requests [][]byte) {
	p.Helper()
	var file bytes.Buffer
	for i := range n {
		csr := pandotest.CSR(p, pandotest.Key(p, pki.P256), pkix.Name{CommonName: fmt.Sprint(prefix, i)})
		requests = append(requests, csr)
		if err := pem.Encode(&file, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}); err != nil {
			p.Fatal(err)
		}
	}
	b, err := p.Batch.Submit(p.Context(), p.Permit(p, "acme", access.ManageBatches), batch.Submission{Endpoint: "device", Format: batch.PEM}, &file)
	if err != nil {
		p.Fatal(err)
	}
	for b, err = range p.Batch.Watch(p.Context(), p.Permit(p, "acme", access.ReadBatches), b.ID) {
		if err != nil {
			p.Fatal(err)
		}
	}
	if b.State != batch.Done || b.Issued != int64(n) {
		p.Fatalf("batch %+v", b)
	}
	return b.ID, requests
}

// TestRequestsOfBatches: an archive has the request of each certificate of a batch to the
// octet, be the batch's rows there or dropped, and of a batch whose rows an earlier version
// dropped none. What was kept of them goes with the certificates.
func TestRequestsOfBatches(t *testing.T) {
	p := newPlant(t, 1)
	ctx := t.Context()
	want := make(map[pki.BatchID][][]byte)
	lost, _ := p.submit("L-", 2)
	chunks, err := p.Store.PurgeableRows(ctx, p.clock.Now().Add(time.Hour), batch.ChunkID{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.Store.PurgeRows(ctx, p.clock.Now().Add(time.Hour), chunks...); n != 1 || err != nil { // as it did, without requests
		t.Fatal(n, err)
	}
	want[lost] = make([][]byte, 2)
	purged, requests := p.submit("P-", batch.ChunkRows+1)
	want[purged] = requests
	if n, err := p.Batch.PurgeRows(ctx, p.clock.Now().Add(time.Hour), 10); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	there, requests := p.submit("T-", 2)
	want[there] = requests
	p.issue("device", "the-last-one")
	p.anchor()
	p.sound(0)
	p.clock.Advance(40 * 366 * day)
	p.set(30 * day)
	if err := p.Retention.Round(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	found := make(map[pki.BatchID]int)
	for _, a := range p.archives() {
		o, err := retention.Read(ctx, p.Archives, a)
		if err != nil || a.State != retention.Done {
			t.Fatal(a.State, err)
		}
		for _, e := range o.Entries {
			if e.Leaf.Batch == "" {
				continue
			}
			if found[e.Leaf.Batch]++; !bytes.Equal(e.Request, want[e.Leaf.Batch][e.Leaf.Row-1]) {
				t.Errorf("row %d of %s: %x", e.Leaf.Row, e.Leaf.Batch, e.Request)
			}
		}
	}
	if got := fmt.Sprint(found[lost], found[purged], found[there]); got != fmt.Sprint(2, batch.ChunkRows+1, 2) {
		t.Errorf("archived of each batch: %s", got)
	}
	if n := p.count("batch_request"); n != 0 {
		t.Errorf("requests of %d chunks are kept that have no certificate", n)
	}
	if n, err := p.Batch.PurgeRows(ctx, p.clock.Now(), 10); n != 1 || err != nil || p.count("batch_request") != 0 {
		t.Errorf("%d dropped, %d kept, %v", n, p.count("batch_request"), err)
	}
}
