package batch_test

import (
	"bytes"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

func newStack(t testing.TB, cfg stack.Config) *stack.Stack {
	s := stack.New(t, cfg)
	s.AddTenant(t, "acme", "meter")
	return s
}

func submit(t testing.TB, s *stack.Stack, n batch.Submission, body io.Reader) (*batch.Batch, error) {
	t.Helper()
	if n.Endpoint == "" {
		n.Endpoint = "acme.meter"
	}
	if n.Format == "" {
		n.Format = batch.PEM
	}
	return s.Batch.Submit(t.Context(), s.Permit(t, "acme", access.ManageBatches), n, body)
}

// rest waits until the batch rests and returns it.
func rest(t testing.TB, s *stack.Stack, id pki.BatchID) *batch.Batch {
	t.Helper()
	var last *batch.Batch
	for b, err := range s.Batch.Watch(t.Context(), s.Permit(t, "acme", access.ReadBatches), id) {
		if err != nil {
			t.Fatal(err)
		}
		last = b
	}
	return last
}

// ends returns a word for each row's end, in order: "issued SM-1", "refused kind".
func ends(t testing.TB, s *stack.Stack, id pki.BatchID) []string {
	t.Helper()
	var out []string
	for r, err := range s.Batch.Results(t.Context(), s.Permit(t, "acme", access.ReadBatches), id, 0) {
		switch {
		case err != nil:
			t.Fatal(err)
		case int(r.Row) != len(out)+1:
			t.Fatalf("row %d comes after %d", r.Row, len(out))
		case r.Certificate != nil:
			out = append(out, "issued "+string(r.Device))
		case r.Refusal != nil:
			out = append(out, "refused "+r.Refusal.Kind.String())
		case r.Cancelled:
			out = append(out, "cancelled")
		}
	}
	return out
}

// mixed is a batch with every end of a row in it.
func mixed(t testing.TB) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	line := func(csr []byte, device string) {
		fmt.Fprintf(&b, "{\"csr\":%q,\"device\":%q}\n", base64.StdEncoding.EncodeToString(csr), device)
	}
	good := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "ignored"})
	line(good, "SM-1")
	line(good, "SM-2") // the same key
	line(pandotest.CSR(t, pandotest.Key(t, pki.P384), pkix.Name{}), "SM-3")
	for _, bad := range pandotest.BadCSRs(t) {
		if bad.Name == "broken signature" {
			line(bad.DER, "SM-4")
		}
	}
	b.WriteString("not JSON\n")
	line(pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "SM-6"}), "")
	line(pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{}), "")
	return &b
}

var mixedEnds = []string{"issued SM-1", "refused duplicate-key", "refused bad-key", "refused bad-proof", "refused malformed", "issued SM-6", "refused malformed"}

func TestEveryRowHasAnEnd(t *testing.T) {
	s := newStack(t, stack.Config{})
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON, Defaults: pki.Placement{Lot: "lot-1"}}, mixed(t))
	if err != nil {
		t.Fatal(err)
	}
	b = rest(t, s, b.ID)
	if b.State != batch.Done || b.Rows != 7 || b.Issued != 2 || b.Refused != 5 {
		t.Errorf("batch %+v", b)
	}
	if diff := cmp.Diff(mixedEnds, ends(t, s, b.ID)); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
}

func TestDryRun(t *testing.T) {
	s := newStack(t, stack.Config{})
	file := mixed(t).Bytes()
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON, DryRun: true}, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	b = rest(t, s, b.ID)
	if b.State != batch.Checked || b.Checked != 7 || b.Issued != 0 || b.Refused != 5 {
		t.Errorf("after the dry run: %+v", b)
	}
	if all, _, err := s.Store.ScanCertificates(t.Context(), 0, 10); err != nil || len(all) != 1 { // the authority's own
		t.Errorf("a dry run signed: %v, %v", all, err)
	}
	if _, err := s.Batch.Issue(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID); err != nil {
		t.Fatal(err)
	}
	if b = rest(t, s, b.ID); b.State != batch.Done || b.Issued != 2 || b.Refused != 5 {
		t.Errorf("after issue: %+v", b)
	}
	if diff := cmp.Diff(mixedEnds, ends(t, s, b.ID)); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
}

// TestOneCertificateADevice: rows that name one device get one certificate, in the
// dry run and in earnest, over chunks and retries, whatever their keys are.
func TestOneCertificateADevice(t *testing.T) {
	const rows = 600 // three chunks
	file := pandotest.PEMRequests(t, "SM-", rows)
	for range 2 {
		file.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "twice"})}))
	}
	for _, dry := range []bool{false, true} {
		s := newStack(t, stack.Config{})
		b, err := submit(t, s, batch.Submission{DryRun: dry}, bytes.NewReader(file.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if b = rest(t, s, b.ID); dry && b.Refused != 1 {
			t.Errorf("the dry run refuses %d rows", b.Refused)
		}
		if dry {
			if _, err := s.Batch.Issue(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID); err != nil {
				t.Fatal(err)
			}
			b = rest(t, s, b.ID)
		}
		if got := ends(t, s, b.ID); b.Issued != rows+1 || b.Refused != 1 || got[rows] != "issued twice" || got[rows+1] != "refused conflict" {
			t.Errorf("dry run %t: %d issued, %d refused, the last two %q", dry, b.Issued, b.Refused, got[rows:])
		}
		again, err := s.Batch.Retry(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if again = rest(t, s, again.ID); again.Issued != 0 || again.Refused != 1 {
			t.Errorf("retried: %d issued, %d refused", again.Issued, again.Refused)
		}
	}
}

func TestPauseResumeCancel(t *testing.T) {
	s := newStack(t, stack.Config{})
	g := s.Permit(t, "acme", access.ManageBatches)
	file := pandotest.PEMRequests(t, "SM-", 2500).Bytes()
	b, err := submit(t, s, batch.Submission{}, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = s.Batch.Pause(t.Context(), g, b.ID); err != nil {
		t.Fatal(err)
	}
	for last := int64(-1); ; time.Sleep(300 * time.Millisecond) { // chunks in flight end
		paused, err := s.Store.Batch(t.Context(), "acme", b.ID)
		if err != nil || paused.State != batch.Paused || paused.Issued == paused.Rows {
			t.Fatalf("paused: %+v, %v", paused, err)
		}
		if paused.Issued == last {
			break
		}
		last = paused.Issued
	}
	if _, err := s.Batch.Resume(t.Context(), g, b.ID); err != nil {
		t.Fatal(err)
	}
	if b = rest(t, s, b.ID); b.State != batch.Done || b.Issued != 2500 {
		t.Errorf("resumed: %+v", b)
	}

	dry, err := submit(t, s, batch.Submission{DryRun: true}, pandotest.PEMRequests(t, "X-", 3))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, dry.ID)
	if dry, err = s.Batch.Cancel(t.Context(), g, dry.ID); err != nil || dry.State != batch.Cancelled || dry.Cancelled != 3 {
		t.Errorf("cancelled: %+v, %v", dry, err)
	}
	if diff := cmp.Diff([]string{"cancelled", "cancelled", "cancelled"}, ends(t, s, dry.ID)); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	if _, err := s.Batch.Issue(t.Context(), g, dry.ID); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a cancelled batch was issued: %v", err)
	}
}

// The same file under the same key is the same batch, also after an upload that
// broke; another file under it is refused.
func TestSubmitAgain(t *testing.T) {
	s := newStack(t, stack.Config{})
	file := pandotest.PEMRequests(t, "SM-", 1200).Bytes()
	n := batch.Submission{Idempotency: "work order 1"}
	broken := errors.New("connection reset")
	_, err := submit(t, s, n, io.MultiReader(bytes.NewReader(file[:len(file)-1000]), failing{broken}))
	if pki.KindOf(err) != pki.Malformed {
		t.Fatalf("a broken upload: %v", err)
	}
	first, err := submit(t, s, n, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	again, err := submit(t, s, n, bytes.NewReader(file))
	if err != nil || again.ID != first.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	if b := rest(t, s, first.ID); b.Rows != 1200 || b.Issued != 1200 {
		t.Errorf("issued %d of %d", b.Issued, b.Rows)
	}
	if _, err := submit(t, s, n, strings.NewReader(string(file)+"\n")); pki.KindOf(err) != pki.Conflict {
		t.Errorf("another file: %v", err)
	}
	for name, change := range map[string]func(*batch.Submission){
		"lot":     func(n *batch.Submission) { n.Defaults.Lot = "lot-2" },
		"dry run": func(n *batch.Submission) { n.DryRun = true },
	} {
		other := n
		change(&other)
		if _, err := submit(t, s, other, bytes.NewReader(file)); pki.KindOf(err) != pki.Conflict {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestSubmitRefuses(t *testing.T) {
	s := newStack(t, stack.Config{})
	for _, c := range []struct {
		name string
		n    batch.Submission
		body string
		want pki.Kind
	}{
		{"no rows", batch.Submission{}, "# nothing\n", pki.Malformed},
		{"no endpoint", batch.Submission{Endpoint: "acme.other"}, "", pki.NotFound},
		{"another tenant's endpoint", batch.Submission{Endpoint: "globex.meter"}, "", pki.NotFound},
		{"format", batch.Submission{Format: "xml"}, "", pki.Malformed},
		{"long key", batch.Submission{Idempotency: strings.Repeat("k", 129)}, "", pki.Malformed},
	} {
		if _, err := submit(t, s, c.n, strings.NewReader(c.body)); pki.KindOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	g := s.Permit(t, "acme", access.ReadBatches)
	if _, err := s.Batch.Submit(t.Context(), g, batch.Submission{}, nil); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("with another permission: %v", err)
	}
}

// A retired authority does not leave a batch spinning: it is paused, for
// somebody to look.
func TestRetiredAuthorityPausesTheBatch(t *testing.T) {
	s := newStack(t, stack.Config{})
	b, err := submit(t, s, batch.Submission{DryRun: true}, pandotest.PEMRequests(t, "SM-", 2))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	if err := s.Hierarchy.Retire(t.Context(), s.Permit(t, "acme", access.ManageAuthorities), "issuing"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // what a node may still believe of the authority
	if _, err := s.Batch.Issue(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID); err != nil {
		t.Fatal(err)
	}
	if b = rest(t, s, b.ID); b.State != batch.Paused || b.Issued != 0 {
		t.Errorf("batch %+v", b)
	}
}

// Results in PEM of a whole batch parse, in order.
func TestResultsInOrder(t *testing.T) {
	s := newStack(t, stack.Config{})
	b, err := submit(t, s, batch.Submission{}, pandotest.PEMRequests(t, "SM-", 1100))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	row := 0
	for r, err := range s.Batch.Results(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		c := pandotest.Parse(t, r.Certificate.DER)
		if want := fmt.Sprintf("SM-%d", row); c.Subject.SerialNumber != want || string(r.Device) != want {
			t.Fatalf("row %d is of %s, %s", r.Row, c.Subject.SerialNumber, r.Device)
		}
		row++
	}
	if row != 1100 {
		t.Errorf("%d results", row)
	}
}

// Chunks are bounded in bytes: a few uploads of large rows cannot fill the memory.
func TestLargeRowsMakeSmallChunks(t *testing.T) {
	s := newStack(t, stack.Config{})
	key := pandotest.Key(t, pki.P256)
	names := make([]string, 3000) // 60 KB that are refused later
	for i := range names {
		names[i] = fmt.Sprintf("n%04d.example.com", i)
	}
	large := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: pandotest.CSR(t, key, pkix.Name{SerialNumber: "X"}, names...)})
	const rows = 100
	b, err := submit(t, s, batch.Submission{}, bytes.NewReader(bytes.Repeat(large, rows)))
	if err != nil {
		t.Fatal(err)
	}
	if b = rest(t, s, b.ID); b.State != batch.Done || b.Refused != rows {
		t.Errorf("batch %+v", b)
	}
	for row := int64(1); row <= rows; {
		c, err := s.Store.ChunkOf(t.Context(), "acme", b.ID, row)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Rows) > 2<<20+len(large) || c.First != row {
			t.Errorf("chunk %d has %d bytes and begins with row %d, not %d", c.No, len(c.Rows), c.First, row)
		}
		row += int64(c.Count)
	}
}

// What a batch says of its rows is checked before anything is stored: once there,
// it is shown to everybody who lists the batches.
func TestDefaultsAreChecked(t *testing.T) {
	s := newStack(t, stack.Config{})
	for _, bad := range []string{"\xff", "a\x00b", strings.Repeat("x", 129)} {
		_, err := submit(t, s, batch.Submission{Defaults: pki.Placement{ProductLine: bad}}, pandotest.PEMRequests(t, "SM-", 1))
		if pki.KindOf(err) != pki.Malformed {
			t.Errorf("product line %q: %v", bad, err)
		}
	}
	all, err := s.Batch.Batches(t.Context(), s.Permit(t, "acme", access.ReadBatches), "", 10)
	if err != nil || len(all) > 0 {
		t.Errorf("batches %v, %v", all, err)
	}
}

// A row that says nothing of its place has the batch's; one that does keeps its own.
func TestDefaultsOfRows(t *testing.T) {
	s := newStack(t, stack.Config{})
	var file bytes.Buffer
	for i, own := range []string{"", `,"lot":"own"`} {
		csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{})
		fmt.Fprintf(&file, "{\"csr\":%q,\"device\":\"SM-%d\"%s}\n", base64.StdEncoding.EncodeToString(csr), i, own)
	}
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON, Defaults: pki.Placement{Lot: "lot-1", Site: "plant-1"}}, &file)
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	db, err := sql.Open("sqlite", "file:"+s.Path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i, want := range []string{"lot-1", "own"} {
		var lot, site string
		err := db.QueryRow(`SELECT l.text, s.text FROM device d JOIN ref l ON l.num = d.lot JOIN ref s ON s.num = d.site WHERE d.device = $1`,
			fmt.Sprintf("SM-%d", i)).Scan(&lot, &site)
		if err != nil || lot != want || site != "plant-1" {
			t.Errorf("device SM-%d: lot %q, site %q, %v", i, lot, site, err)
		}
	}
}

// A token for one endpoint sees its own batches on each page, however many others
// there are between them.
func TestScopedPage(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter", "device")
	own, err := submit(t, s, batch.Submission{Endpoint: "meter"}, pandotest.PEMRequests(t, "SM-", 1))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := submit(t, s, batch.Submission{Endpoint: "device"}, pandotest.PEMRequests(t, "D-", 1)); err != nil {
			t.Fatal(err)
		}
	}
	p := access.Principal{Tenant: "acme", ID: "token:line", Grants: access.Given(access.FactoryOperator, access.Scope{Endpoint: "meter"})}
	g, err := p.Authorize(access.ReadBatches, "acme")
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Batch.Batches(t.Context(), g, "", 2)
	if err != nil || len(page) != 1 || page[0].ID != own.ID {
		t.Errorf("page %v, %v", page, err)
	}
}
