package lotreport_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

type house struct {
	*stack.Stack
	t *testing.T
}

func newHouse(t *testing.T) *house {
	h := &house{stack.New(t, stack.Config{}), t}
	h.AddTenant(t, "acme", "meter")
	return h
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// line is a row of NDJSON.
func (h *house) line(device string, csr []byte) string {
	return fmt.Sprintf("{\"csr\":%q,\"device\":%q}\n", base64.StdEncoding.EncodeToString(csr), device)
}

func (h *house) csr() []byte {
	return pandotest.CSR(h.t, pandotest.Key(h.t, pki.P256), pkix.Name{})
}

func (h *house) submit(lot string, lines ...string) (*batch.Batch, error) {
	b, err := h.Batch.Submit(h.t.Context(), h.Permit(h.t, "acme", access.ManageBatches),
		batch.Submission{Endpoint: "meter", Format: batch.NDJSON, Defaults: pki.Placement{Lot: lot}}, strings.NewReader(strings.Join(lines, "")))
	if err != nil {
		return nil, err
	}
	for last, err := range h.Batch.Watch(h.t.Context(), h.Permit(h.t, "acme", access.ReadBatches), b.ID) {
		h.ok(err)
		b = last
	}
	return b, nil
}

func (h *house) close(lot string, scrapped int64) (string, error) {
	return h.LotReports.Close(h.t.Context(), h.Permit(h.t, "acme", access.ManageRegistry), lot, &scrapped)
}

func (h *house) key() string {
	key, err := h.LotReports.Key(h.t.Context(), h.Permit(h.t, "acme", access.ReadRegistry))
	h.ok(err)
	return key
}

// TestClose: of ten that were ordered, each is accounted for, and the report says
// so to whoever has the key.
func TestClose(t *testing.T) {
	h := newHouse(t)
	manage := h.Permit(t, "acme", access.ManageRegistry)
	_, err := h.Registry.CreateLot(t.Context(), manage, registry.Lot{Name: "lot-7", ProductLine: "meters", Site: "north", Ordered: 10})
	h.ok(err)
	again := h.csr()
	b, err := h.submit("lot-7", h.line("SM-1", h.csr()), h.line("SM-2", again), h.line("SM-3", again), h.line("SM-4", []byte("no request")), h.line("SM-5", h.csr()), "no row\n")
	h.ok(err)
	retry, err := h.Batch.Retry(t.Context(), h.Permit(t, "acme", access.ManageBatches), b.ID, []pki.Kind{pki.DuplicateKey}, "")
	h.ok(err)
	for _, err := range h.Batch.Watch(t.Context(), h.Permit(t, "acme", access.ReadBatches), retry.ID) {
		h.ok(err)
	}
	_, err = h.submit("lot-7", h.line("SM-4", h.csr())) // made good in another file
	h.ok(err)
	_, err = h.Registry.ChangeDevice(t.Context(), h.Permit(t, "acme", access.ManageDevices), "SM-5", registry.Decommission, "dropped")
	h.ok(err)

	counts := func() lotreport.Counts {
		c, err := h.LotReports.Counts(t.Context(), h.Permit(t, "acme", access.ReadRegistry), "lot-7")
		h.ok(err)
		return *c
	}
	if got, want := counts(), (lotreport.Counts{Issued: 3, Refused: 2, Scrapped: 1, Open: 4}); got != want {
		t.Errorf("while it is open: %+v, want %+v", got, want)
	}
	signed, err := h.close("lot-7", 2)
	h.ok(err)
	if got, want := counts(), (lotreport.Counts{Issued: 3, Refused: 2, Scrapped: 3, Open: 2}); got != want {
		t.Errorf("when it is closed: %+v, want %+v", got, want)
	}
	r, err := lotreport.Verify([]byte(signed), h.key())
	h.ok(err)
	// Issued are SM-1, SM-2 and SM-4; refused SM-3, in the retry, and the row that
	// is none; scrapped SM-5 and two more.
	if r.Ordered != 10 || r.Issued != 3 || r.Refused != 2 || r.Scrapped != 3 || r.Open != 2 || r.Certificates != 4 || len(r.Batches) != 3 {
		t.Errorf("%s", signed)
	}
	if r.Tenant != "acme" || r.ProductLine != "meters" || r.ClosedBy == "" || r.Batches[1].RetryOf != b.ID || len(r.Places) != 1 {
		t.Errorf("%s", signed)
	}
	if same, err := h.close("lot-7", 2); err != nil || same != signed {
		t.Errorf("closed again: %s, %v", same, err)
	}
	if n := h.LotReports.Signed().Value(); n != 1 {
		t.Errorf("%d reports signed are counted, want 1", n)
	}
	if got, err := h.LotReports.Report(t.Context(), h.Permit(t, "acme", access.ReadRegistry), "lot-7"); err != nil || got != signed {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := h.close("lot-7", 3); pki.KindOf(err) != pki.Conflict {
		t.Errorf("closed with another number: %v", err)
	}

	// Nothing goes into it any more.
	if _, err := h.submit("lot-7", h.line("SM-9", h.csr())); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a batch into the lot: %v", err)
	}
	_, err = h.Enroll.Enroll(t.Context(), enroll.Request{Grant: h.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: h.csr(), Device: "SM-9", Placement: pki.Placement{Lot: "lot-7"}}})
	if pki.KindOf(err) != pki.Conflict {
		t.Errorf("a certificate into the lot: %v", err)
	}
}

// TestCloseUnderLoad: whatever is being enrolled while a lot is closed is in the
// report or is refused.
func TestCloseUnderLoad(t *testing.T) {
	h := newHouse(t)
	_, err := h.Registry.CreateLot(t.Context(), h.Permit(t, "acme", access.ManageRegistry), registry.Lot{Name: "lot-7"})
	h.ok(err)
	var mu sync.Mutex
	issued, enough := 0, make(chan struct{})
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for i := range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := h.Enroll.Enroll(t.Context(), enroll.Request{Grant: h.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
					Subject: enroll.Subject{CSR: h.csr(), Device: pki.DeviceID(fmt.Sprintf("SM-%d-%d", i, n)), Placement: pki.Placement{Lot: "lot-7"}}})
				if pki.KindOf(err) == pki.Conflict {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if issued++; issued == 20 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	signed, err := h.close("lot-7", 0)
	h.ok(err)
	all.Wait()
	stop()
	r, err := lotreport.Verify([]byte(signed), h.key())
	h.ok(err)
	if r.Certificates != int64(issued) || r.Issued != int64(issued) {
		t.Errorf("the report has %d certificates; %d were issued", r.Certificates, issued)
	}
}

func TestCloseRefuses(t *testing.T) {
	h := newHouse(t)
	h.AddTenant(t, "globex", "meter")
	_, err := h.submit("lot-7", h.line("SM-1", h.csr()))
	h.ok(err)
	manage, read := h.Permit(t, "acme", access.ManageRegistry), h.Permit(t, "acme", access.ReadRegistry)
	_, report := h.LotReports.Report(t.Context(), read, "lot-7")
	_, noReport := h.LotReports.Report(t.Context(), read, "lot-8")
	_, key := h.LotReports.Key(t.Context(), read)
	_, negative := h.LotReports.Close(t.Context(), manage, "lot-7", new(int64(-1)))
	_, none := h.LotReports.Close(t.Context(), manage, "lot-8", nil)
	_, stranger := h.LotReports.Close(t.Context(), h.Permit(t, "globex", access.ManageRegistry), "lot-7", nil)
	_, uncounted := h.LotReports.Counts(t.Context(), h.Permit(t, "globex", access.ReadRegistry), "lot-7")
	_, unread := h.LotReports.Counts(t.Context(), h.Permit(t, "acme", access.Enroll), "lot-7")
	_, reader := h.LotReports.Close(t.Context(), read, "lot-7", nil)
	for _, c := range []struct {
		name string
		err  error
		want pki.Kind
	}{
		{"a report of an open lot", report, pki.NotReady}, {"a report of no lot", noReport, pki.NotFound}, {"a key before the first", key, pki.NotFound}, {"a negative number", negative, pki.Malformed},
		{"no lot", none, pki.NotFound}, {"as a stranger", stranger, pki.NotFound}, {"counts as a stranger", uncounted, pki.NotFound}, {"counts without the right", unread, pki.Forbidden}, {"as a reader", reader, pki.Forbidden},
	} {
		if pki.KindOf(c.err) != c.want {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
}

// TestVerifyRefuses: a report that was changed in any octet, by another key, of
// another tenant, or whose numbers do not agree, is refused.
func TestVerifyRefuses(t *testing.T) {
	h := newHouse(t)
	_, err := h.submit("lot-7", h.line("SM-1", h.csr()))
	h.ok(err)
	signed, err := h.close("lot-7", 0)
	h.ok(err)
	key := h.key()
	for i := range strings.LastIndex(signed, " ") { // the last bits of base64 mean nothing
		changed := []byte(signed)
		changed[i] ^= 1
		if _, err := lotreport.Verify(changed, key); err == nil {
			t.Fatalf("octet %d changed: the report is accepted", i)
		}
	}
	secret, other, err := note.GenerateKey(bytes.NewReader(make([]byte, 64)), "acme/lot-report")
	h.ok(err)
	if _, err := lotreport.Verify([]byte(signed), other); pki.KindOf(err) != pki.BadProof {
		t.Errorf("with another key: %v", err)
	}
	if _, err := lotreport.Verify([]byte(signed), "no key"); pki.KindOf(err) != pki.Malformed {
		t.Errorf("without a key: %v", err)
	}
	forger, err := note.NewSigner(secret)
	h.ok(err)
	text, _, _ := strings.Cut(signed, "\n\n—")
	for name, change := range map[string][2]string{
		"another tenant": {`"tenant": "acme"`, `"tenant": "globex"`}, "more issued": {`"issued": 1,`, `"issued": 2,`},
		"unknown member": {`"lot":`, `"LOT":`}, "another form": {"pando lot report 1", "pando lot report 2"},
	} {
		forged, err := note.Sign(&note.Note{Text: strings.Replace(text, change[0], change[1], 1) + "\n"}, forger)
		h.ok(err)
		if _, err := lotreport.Verify(forged, other); err == nil || string(forged) == signed {
			t.Errorf("%s: the report is accepted", name)
		}
	}
	older := strings.Replace(text, "      \"state\": \"done\",\n", "", 1)
	if older == text {
		t.Errorf("the batch has no state: %s", text)
	}
	for name, text := range map[string]string{"a well-made one": text, "one from before states were told": older} {
		good, err := note.Sign(&note.Note{Text: text + "\n"}, forger)
		h.ok(err)
		if _, err := lotreport.Verify(good, other); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCloseTellsStates: a dry run does not keep a lot open, and is refused where it is issued
// later; whoever reads the report sees why rows of it are neither issued nor refused.
func TestCloseTellsStates(t *testing.T) {
	h := newHouse(t)
	_, err := h.submit("lot-7", h.line("SM-1", h.csr()))
	h.ok(err)
	manage := h.Permit(t, "acme", access.ManageBatches)
	dry, err := h.Batch.Submit(t.Context(), manage, batch.Submission{Endpoint: "meter", Format: batch.NDJSON, DryRun: true,
		Defaults: pki.Placement{Lot: "lot-7"}}, strings.NewReader(h.line("SM-2", h.csr())+h.line("SM-3", []byte("no request"))))
	h.ok(err)
	rest := func() (last *batch.Batch) {
		for b, err := range h.Batch.Watch(t.Context(), h.Permit(t, "acme", access.ReadBatches), dry.ID) {
			h.ok(err)
			last = b
		}
		return last
	}
	rest()
	signed, err := h.close("lot-7", 0)
	h.ok(err)
	r, err := lotreport.Verify([]byte(signed), h.key())
	h.ok(err)
	var got []string
	for _, b := range r.Batches {
		got = append(got, fmt.Sprintf("%s %t: %d %d %d", b.State, b.DryRun, b.Rows, b.Issued, b.Refused))
	}
	if want := []string{"done false: 1 1 0", "checked true: 2 0 0"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	_, err = h.Batch.Issue(t.Context(), manage, dry.ID)
	h.ok(err)
	if b := rest(); b.State != batch.Done || b.Issued != 0 || b.Refused != 2 {
		t.Errorf("issued after the closing: %+v", b)
	}
	if again, err := h.close("lot-7", 0); err != nil || again != signed {
		t.Errorf("the report is another then: %v", err)
	}
}

// TestOpenSignature: the signature is plain Ed25519 over the text, as the
// documentation tells those who check it without us.
func TestOpenSignature(t *testing.T) {
	h := newHouse(t)
	_, err := h.submit("lot-7", h.line("SM-1", h.csr()))
	h.ok(err)
	signed, err := h.close("lot-7", 0)
	h.ok(err)
	text, last, _ := strings.Cut(signed, "\n\n")
	fields := strings.Fields(last)
	signature, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	h.ok(err)
	public, err := base64.StdEncoding.DecodeString(strings.SplitN(h.key(), "+", 3)[2])
	h.ok(err)
	if !ed25519.Verify(public[1:], []byte(text+"\n"), signature[4:]) {
		t.Error("it does not verify")
	}
	_, body, _ := strings.Cut(text, "\n")
	if !json.Valid([]byte(body)) {
		t.Error("the report is no JSON")
	}
}

func FuzzVerify(f *testing.F) {
	secret, key, err := note.GenerateKey(bytes.NewReader(make([]byte, 64)), "acme/lot-report")
	if err != nil {
		f.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("pando lot report 1\n{\"tenant\":\"acme\",\"lot\":\"7\"}\n")
	f.Fuzz(func(t *testing.T, text string) {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			return
		}
		r, err := lotreport.Verify(signed, key)
		if err == nil && r.Tenant != "acme" || err != nil && pki.KindOf(err) == pki.Internal {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
