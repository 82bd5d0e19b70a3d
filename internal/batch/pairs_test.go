package batch_test

import (
	"archive/zip"
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A couple is what a file says of one device: its id, and two requests.
type couple struct {
	device        string
	first, second []byte
}

func newCSR(t testing.TB) []byte {
	t.Helper()
	return pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{})
}

func couples(t testing.TB, devices ...string) (all []couple) {
	t.Helper()
	for _, d := range devices {
		all = append(all, couple{d, newCSR(t), newCSR(t)})
	}
	return all
}

// pairFile writes couples as NDJSON; what has no request says none.
func pairFile(all []couple) *bytes.Buffer {
	var b bytes.Buffer
	for _, c := range all {
		fmt.Fprintf(&b, "{\"device\":%q,\"csr\":%q,\"pair_csr\":%q}\n", c.device,
			base64.StdEncoding.EncodeToString(c.first), base64.StdEncoding.EncodeToString(c.second))
	}
	return &b
}

func submitPairs(t testing.TB, s *stack.Stack, n batch.Submission, file io.Reader) *batch.Batch {
	t.Helper()
	n.Endpoint, n.Pair = "acme.sign", "agree"
	if n.Format == "" {
		n.Format = batch.NDJSON
	}
	b, err := submit(t, s, n, file)
	if err != nil {
		t.Fatal(err)
	}
	return rest(t, s, b.ID)
}

func newPairStack(t testing.TB) *stack.Stack {
	t.Helper()
	s := newStack(t, stack.Config{})
	s.AddPair(t, "acme")
	return s
}

// byDevice returns the results of a batch of pairs by device, two words for each: "sign",
// "agree" or a kind. It fails the test where rows are not in pairs, or a device has exactly
// one certificate.
func byDevice(t testing.TB, s *stack.Stack, id pki.BatchID) map[pki.DeviceID][2]string {
	t.Helper()
	all := make(map[pki.DeviceID][2]string)
	var last batch.Result
	for r, err := range s.Batch.Results(t.Context(), s.Permit(t, "acme", access.ReadBatches), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		second := r.Row%2 == 0
		if second && (r.PairRow != last.Row || last.PairRow != r.Row || r.Device != last.Device) {
			t.Fatalf("rows %d and %d are no pair: %+v, %+v", last.Row, r.Row, last, r)
		}
		if second && (r.Certificate != nil) != (last.Certificate != nil) {
			t.Errorf("device %q has exactly one certificate: rows %d and %d", r.Device, last.Row, r.Row)
		}
		word := "refused"
		if r.Refusal != nil {
			word = r.Refusal.Kind.String()
		}
		if r.Certificate != nil {
			usage := pandotest.Parse(t, r.Certificate.DER).KeyUsage
			word = map[x509.KeyUsage]string{x509.KeyUsageDigitalSignature: "sign", x509.KeyUsageKeyAgreement: "agree"}[usage]
		}
		both := all[r.Device]
		if !second {
			both = [2]string{word}
		} else {
			both[1] = word
		}
		all[r.Device], last = both, r
	}
	if last.Row%2 != 0 {
		t.Errorf("the last row is %d, the first of a pair", last.Row)
	}
	return all
}

// TestPairs: a batch of pairs gives each device two certificates or none, in every format
// that says which two requests are of one device, over more devices than a chunk holds.
func TestPairs(t *testing.T) {
	s := newPairStack(t)
	var names []string
	for i := range 130 {
		names = append(names, fmt.Sprintf("P-%03d", i))
	}
	b := submitPairs(t, s, batch.Submission{}, pairFile(couples(t, names...)))
	if b.State != batch.Done || b.Rows != 260 || b.Issued != 260 || b.PairEndpoint != "agree" || b.PairProfile != (pki.ProfileRef{Tenant: "acme", Name: "agree", Version: 1}) {
		t.Errorf("%+v", b)
	}
	for device, got := range byDevice(t, s, b.ID) {
		if got != [2]string{"sign", "agree"} {
			t.Errorf("%s: %v", device, got)
		}
	}
	for _, f := range []batch.Format{batch.CSV, batch.TarGz, batch.Zip} {
		device := "F-" + string(f)
		c := couples(t, device)[0]
		rows := []byte("pair_csr,device,csr\n" + base64.StdEncoding.EncodeToString(c.second) + "," + device + "," + base64.StdEncoding.EncodeToString(c.first) + "\n")
		if f != batch.CSV {
			rows = file(t, f, []string{device + ".pair", device}, [][]byte{c.second, c.first})
		}
		b := submitPairs(t, s, batch.Submission{Format: f}, bytes.NewReader(rows))
		if diff := cmp.Diff(map[pki.DeviceID][2]string{pki.DeviceID(device): {"sign", "agree"}}, byDevice(t, s, b.ID)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f, diff)
		}
		for row, want := range map[int64][]byte{1: c.first, 2: c.second} {
			if _, got, err := s.Batch.Submitted(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID, row); err != nil || !bytes.Equal(got, tbs.CutKey(want, nil)) {
				t.Errorf("%s: row %d as submitted: %x, %v", f, row, got, err)
			}
		}
	}
}

// TestPairArchive: results as zip have both files of a device, named as an upload's are.
func TestPairArchive(t *testing.T) {
	s := newPairStack(t)
	all := couples(t, "A", "B")
	all[1].first = nil
	b := submitPairs(t, s, batch.Submission{}, pairFile(all))
	var out bytes.Buffer
	if err := s.Batch.Archive(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID, 0, &out); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"A.pem", "A.pair.pem", "index.csv"}, names); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	r, err := z.File[2].Open()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines {
		got = append(got, strings.Join([]string{l[0], l[2], l[3], l[4], l[9]}, " "))
	}
	want := []string{"row device status file pair_row", "1 A issued A.pem 2", "2 A issued A.pair.pem 1", "3 B refused  4", "4 B refused  3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

// TestPairsWholeOrNot: over a random file of good and bad halves no device ever has exactly
// one certificate, a dry run says what issuing does, and neither does a retry of what was
// refused, or a second file with the same devices, tear one apart.
func TestPairsWholeOrNot(t *testing.T) {
	random := pandotest.Seeded(t)
	s := newPairStack(t)
	taken := newCSR(t) // of a key that another device has
	submitPairs(t, s, batch.Submission{}, pairFile([]couple{{"first", taken, newCSR(t)}}))
	broken := newCSR(t)
	broken[len(broken)-1] ^= 1
	bad := []func() []byte{
		func() []byte { return broken },
		func() []byte { return taken },
		func() []byte { return nil },
		func() []byte { return []byte("no request") },
		func() []byte { return pandotest.CSR(t, pandotest.Key(t, pki.P384), pkix.Name{}) },
	}
	half := func() (csr []byte, good bool) {
		if random.IntN(8) == 0 {
			return bad[random.IntN(len(bad))](), false
		}
		return newCSR(t), true
	}
	// Of two rows with one key or device, the first wins for certain within a chunk alone.
	const inChunk = batch.ChunkRows / 2
	var file []couple
	var last couple // that is good
	want := make(map[pki.DeviceID]bool)
	for i := range 150 {
		if len(file)%inChunk == 0 {
			last = couple{}
		}
		c := couple{device: fmt.Sprint("P-", i)}
		var a, b bool
		c.first, a = half()
		c.second, b = half()
		good := a && b
		switch random.IntN(12) {
		case 0:
			if last.device != "" {
				c.first, c.second, good = newCSR(t), last.second, false
			}
		case 1:
			c.second, good = c.first, false
		}
		want[pki.DeviceID(c.device)] = good
		file = append(file, c)
		if good {
			last = c
		}
		if good && random.IntN(10) == 0 && len(file)%inChunk != 0 {
			file = append(file, couple{c.device, newCSR(t), newCSR(t)})
		}
	}
	dry := submitPairs(t, s, batch.Submission{DryRun: true}, pairFile(file))
	chunks, err := s.Store.PendingChunks(t.Context(), "acme", dry.ID, 0, 100)
	if err != nil || len(chunks) < 2 {
		t.Fatalf("%d chunks, %v", len(chunks), err)
	}
	for _, c := range chunks {
		if c.First%2 != 1 || c.Count%2 != 0 {
			t.Errorf("chunk %d of %d rows from row %d parts a pair", c.No, c.Count, c.First)
		}
	}
	checked := refusals(t, s, dry.ID)
	if _, err := s.Batch.Issue(t.Context(), s.Permit(t, "acme", access.ManageBatches), dry.ID); err != nil {
		t.Fatal(err)
	}
	b := rest(t, s, dry.ID)
	byDevice(t, s, b.ID)
	if diff := cmp.Diff(checked, refusals(t, s, b.ID)); diff != "" {
		t.Errorf("refusals (-dry run +issued):\n%s", diff)
	}
	check := func() {
		t.Helper()
		all, _, err := s.Store.ScanCertificates(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		has := make(map[pki.DeviceID]int)
		for _, c := range all {
			has[c.Device]++
		}
		for device, good := range want {
			if n := has[device]; (n == 2) != good || n == 1 {
				t.Errorf("device %s has %d certificates, good %t", device, n, good)
			}
		}
	}
	check()
	if b.Refused%2 != 0 || b.Issued+b.Refused != b.Rows {
		t.Errorf("%+v", b)
	}
	again, err := s.Batch.Retry(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if again = rest(t, s, again.ID); again.Rows != b.Refused || again.Issued != 0 {
		t.Errorf("the retry %+v", again)
	}
	byDevice(t, s, again.ID)
	check()
}

// refusals returns a word for each refused row: its number and its kind.
func refusals(t testing.TB, s *stack.Stack, id pki.BatchID) (all []string) {
	t.Helper()
	for r, err := range s.Batch.Results(t.Context(), s.Permit(t, "acme", access.ReadBatches), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Refusal != nil {
			all = append(all, fmt.Sprintf("%d %s", r.Row, r.Refusal.Kind))
		}
	}
	return all
}

// TestPairReasons: a refusal says whose it is, and a retry of one kind takes both rows.
func TestPairReasons(t *testing.T) {
	s := newPairStack(t)
	file := couples(t, "A", "B", "A", "C")
	file[1].second = pandotest.CSR(t, pandotest.Key(t, pki.P384), pkix.Name{})
	file[3].first, file[3].second = []byte("x"), pandotest.CSR(t, pandotest.Key(t, pki.P384), pkix.Name{})
	b := submitPairs(t, s, batch.Submission{}, pairFile(file))
	var got []string
	for r, err := range s.Batch.Results(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID, 2) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Refusal.Reason)
	}
	const same = "row 5 names the same device as row 1: a file gives a device one pair; another goes into a file of its own"
	for i, want := range []string{"the other of its pair, row 4, is refused: ", "", same, "row 6 names the same device as row 1"} {
		if !strings.HasPrefix(got[i], want) || i == 1 && strings.Contains(got[i], "row") {
			t.Errorf("row %d: %q, want %q", i+3, got[i], want)
		}
	}
	again, err := s.Batch.Retry(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID, []pki.Kind{pki.BadKey}, "")
	if err != nil {
		t.Fatal(err)
	}
	again = rest(t, s, again.ID)
	var rows []string
	for r, err := range s.Batch.Results(t.Context(), s.Permit(t, "acme", access.ReadBatches), again.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf("%d of %d, %s", r.Row, r.Origin, r.Refusal.Kind))
	}
	if diff := cmp.Diff([]string{"1 of 3, bad-key", "2 of 4, bad-key", "3 of 7, malformed", "4 of 8, bad-key"}, rows); diff != "" {
		t.Errorf("rows of the retry (-want +got):\n%s", diff)
	}
}

// TestPairOrders: what can be no batch of pairs, or no other one, is refused when it is
// ordered, and leaves nothing.
func TestPairOrders(t *testing.T) {
	s := newPairStack(t)
	s.AddPaired(t, "acme", "other", "elsewhere", "keyAgreement")
	s.AddAuthority(t, "acme", "second")
	if _, err := s.Enroll.CreateEndpoint(t.Context(), s.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "far", Authority: "second", Profile: "agree"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, endpoint, pair string
		format               batch.Format
		kind                 pki.Kind
		says                 string
	}{
		{"a pair alone", "sign", "", batch.NDJSON, pki.PolicyRefused, "pando batch submit --pair-endpoint"},
		{"another profile's", "sign", "other", batch.NDJSON, pki.PolicyRefused, "issued together with agree, not with other"},
		{"none of a pair", "meter", "agree", batch.NDJSON, pki.PolicyRefused, "ask for each by itself"},
		{"with none of a pair", "sign", "meter", batch.NDJSON, pki.PolicyRefused, "name an endpoint of that one"},
		{"of another authority", "sign", "far", batch.NDJSON, pki.PolicyRefused, "different authorities"},
		{"no such endpoint", "sign", "nowhere", batch.NDJSON, pki.NotFound, "nowhere"},
		{"PEM", "sign", "agree", batch.PEM, pki.Malformed, "ndjson"},
	} {
		_, err := submit(t, s, batch.Submission{Endpoint: c.endpoint, Pair: c.pair, Format: c.format}, pairFile(couples(t, "A")))
		if pki.KindOf(err) != c.kind || !strings.Contains(pki.DetailOf(err), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	one, err := access.Principal{Tenant: "acme", ID: "token:test", Name: "test", Grants: access.Given(access.FactoryOperator, access.Scope{Endpoint: "sign"})}.Authorize(access.ManageBatches, "acme")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Batch.Submit(t.Context(), one, batch.Submission{Endpoint: "sign", Pair: "agree", Format: batch.NDJSON}, pairFile(couples(t, "A")))
	if pki.KindOf(err) != pki.Forbidden {
		t.Errorf("by who may do so at one endpoint: %v", err)
	}
	if all, err := s.Batch.Batches(t.Context(), s.Permit(t, "acme", access.ReadBatches), "", 10); err != nil || len(all) != 0 {
		t.Errorf("%d batches, %v", len(all), err)
	}

	// Who has one endpoint sees no batch of both; the same file without the pair is no
	// other batch under its key.
	n := batch.Submission{Idempotency: "once"}
	b := submitPairs(t, s, n, pairFile(couples(t, "A")))
	if _, err := s.Batch.Batch(t.Context(), one, b.ID); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("seen by who has one endpoint: %v", err)
	}
	n.Endpoint, n.Pair, n.Format = "agree", "sign", batch.NDJSON
	if _, err := submit(t, s, n, pairFile(couples(t, "A"))); pki.KindOf(err) != pki.Conflict {
		t.Errorf("turned round under the same key: %v", err)
	}
}

// TestPairsWait: a batch of pairs waits for the approval that either of its profiles wants,
// as one change that says both.
func TestPairsWait(t *testing.T) {
	b := newBoard(t)
	b.AddPaired(t, "acme", "open", "closed", "digitalSignature")
	b.AddPaired(t, "acme", "closed", "open", "keyAgreement", "approvals: {steps: [1 of security-officer]}")
	x, err := b.Batch.Submit(t.Context(), b.permit(b.asks, access.ManageBatches), batch.Submission{Endpoint: "open", Pair: "closed", Format: batch.NDJSON}, pairFile(couples(t, "A")))
	if err != nil {
		t.Fatal(err)
	}
	c := b.waits(x)
	if !strings.Contains(c.Summary, "2 rows at open under open version 1, in pairs with closed under closed version 1") || !strings.Contains(string(c.Payload), `"pair":{"endpoint":"closed"`) {
		t.Errorf("%s: %s", c.Summary, c.Payload)
	}
	b.decide(c, approval.Approve)
	if x = b.becomes(x.ID, batch.Done); x.Issued != 2 {
		t.Errorf("%+v", x)
	}
}
