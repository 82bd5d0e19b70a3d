//go:build system

package acceptance

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/simulate"
)

// TestKillUpload kills the server in the middle of an upload. The same file under
// the same idempotency key then goes to the same batch, each row once.
func TestKillUpload(t *testing.T) {
	const rows = 3500 // three chunks and a half
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.serve(t)
	api := h.as(t, "")
	var file bytes.Buffer
	if err := simulate.WriteCSRs(t.Context(), &file, simulate.CSRs{Devices: simulate.Devices{Prefix: "CUT-", Count: rows}, Format: client.PEM}); err != nil {
		t.Fatal(err)
	}
	submission := client.Submission{Endpoint: "meter", Format: client.PEM, IdempotencyKey: "upload"}

	// Two thirds of the file, and then nothing: the upload stands still.
	body, rest := io.Pipe()
	submitted := make(chan error, 1)
	go func() {
		_, err := api.Submit(t.Context(), submission, body)
		submitted <- err
	}()
	if _, err := rest.Write(file.Bytes()[:2*file.Len()/3]); err != nil {
		t.Fatal(err)
	}
	uploading := h.newest(t)
	for uploading.ID == h.file.Batch.ID { // the client has the rows, and the server not yet
		time.Sleep(pause)
		uploading = h.newest(t)
	}
	if uploading.State != client.Uploading || uploading.Issued != 0 {
		t.Fatalf("in the middle of its upload batch %s is %s with %d issued", uploading.ID, uploading.State, uploading.Issued)
	}
	h.server.kill(t)
	rest.Close()
	if err := <-submitted; err == nil {
		t.Fatal("an upload was acknowledged that did not end")
	}

	h.serve(t)
	b, err := api.Submit(t.Context(), submission, bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if b.ID != uploading.ID {
		t.Errorf("the same file became batch %s after %s", b.ID, uploading.ID)
	}
	c := &collector{client: api, batch: b.ID, requests: file.Bytes(), acks: newAcknowledgements(t)}
	if err := c.follow(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	h.stop(t)
	if after := h.check(t, c.acks.path); after.Certificates != before.Certificates+rows {
		t.Errorf("the store has %d new certificates, want %d", after.Certificates-before.Certificates, rows)
	}
}

// newest returns the newest batch.
func (h *house) newest(t *testing.T) client.Batch {
	t.Helper()
	list, err := h.as(t, "").Batches(t.Context(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 {
		t.Fatalf("the newest batch is %d batches", len(list.Items))
	}
	return list.Items[0]
}
