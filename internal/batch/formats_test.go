package batch_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// file writes requests in a format; names are those of devices.
func file(t testing.TB, f batch.Format, devices []string, csrs [][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	tw, zw := tar.NewWriter(gz), zip.NewWriter(&out)
	if f == batch.CSV {
		out.WriteString("device,csr\r\n")
	}
	for i, csr := range csrs {
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
		var err error
		switch f {
		case batch.PEM:
			out.Write(block)
		case batch.NDJSON:
			err = json.NewEncoder(&out).Encode(map[string]string{"device": devices[i], "csr": base64.StdEncoding.EncodeToString(csr)})
		case batch.CSV:
			_, err = fmt.Fprintf(&out, "%s,\"%s\"\r\n", devices[i], block)
		case batch.TarGz:
			err = tw.WriteHeader(&tar.Header{Name: "lot/" + devices[i] + ".csr", Mode: 0o644, Size: int64(len(csr))})
			if err == nil {
				_, err = tw.Write(csr)
			}
		case batch.Zip:
			w, zerr := zw.Create(devices[i] + ".pem")
			if err = zerr; err == nil {
				_, err = w.Write(block)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	switch f {
	case batch.TarGz:
		err = errors.Join(tw.Close(), gz.Close())
	case batch.Zip:
		err = zw.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestEveryFormat: whatever the format, a dry run says what would be refused, an
// upload that broke off is sent again, the same file under its key is the same
// batch, and every row has its end.
func TestEveryFormat(t *testing.T) {
	s := newStack(t, stack.Config{})
	for i, f := range batch.Uploads() {
		t.Run(string(f), func(t *testing.T) {
			device := func(n int) string { return fmt.Sprintf("F%d-%d", i, n) }
			csr := func(n int) []byte {
				return pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device(n)})
			}
			body := file(t, f, []string{device(1), device(2), device(3)}, [][]byte{csr(1), []byte("0no request"), csr(3)})
			n := batch.Submission{Format: f, DryRun: true, Idempotency: "work order " + string(f)}
			broken := errors.New("connection reset")
			_, err := submit(t, s, n, io.MultiReader(bytes.NewReader(body[:len(body)-30]), failing{broken}))
			if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "broke off") {
				t.Fatalf("a broken upload: %v", err)
			}
			first, err := submit(t, s, n, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if again, err := submit(t, s, n, bytes.NewReader(body)); err != nil || again.ID != first.ID {
				t.Errorf("again: %+v, %v", again, err)
			}
			if _, err := submit(t, s, n, bytes.NewReader(append(bytes.Clone(body), '\n'))); pki.KindOf(err) != pki.Conflict {
				t.Errorf("another file: %v", err)
			}
			if b := rest(t, s, first.ID); b.State != batch.Checked || b.Rows != 3 || b.Refused != 1 || b.Issued != 0 {
				t.Errorf("after the dry run: %+v", b)
			}
			if _, err := s.Batch.Issue(t.Context(), s.Permit(t, "acme", access.ManageBatches), first.ID); err != nil {
				t.Fatal(err)
			}
			rest(t, s, first.ID)
			if diff := cmp.Diff([]string{"issued " + device(1), "refused malformed", "issued " + device(3)}, ends(t, s, first.ID)); diff != "" {
				t.Errorf("ends (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnfitFile: a file that cannot be a batch says why and leaves a cancelled one,
// whose idempotency key the right file may have.
func TestUnfitFile(t *testing.T) {
	s := newStack(t, stack.Config{})
	for _, c := range []struct {
		format     batch.Format
		body, want string
	}{
		{batch.CSV, "csr;device\n", "line 1: columns are separated by commas"},
		{batch.CSV, "", "there is no row"},
		{batch.CSV, "csr\n", `there is no row in the upload: in csv a row is a line after the header, which names the column "csr"`},
		{batch.PEM, "csr,device\nAAAA,SM-1\n", "there is no row in the upload: in pem a row is a block from -----BEGIN CERTIFICATE REQUEST----- to its END"},
		{batch.NDJSON, "", `there is no row in the upload: in ndjson a row is a line with a JSON object that has "csr"`},
		{batch.CSV, "csr\nAAAA\n\"AAAA\nAAAA", "line 3, column 1: the quote that begins here has no end"},
		{batch.TarGz, "PK", "not gzip"},
		{batch.TarGz, string(file(t, batch.TarGz, nil, nil)), "there is no row in the upload: in tar.gz a row is a file with one certificate signing request"},
		{batch.Zip, "\x1f\x8b", "not a zip archive"},
		{batch.Zip, string(file(t, batch.Zip, nil, nil)), "there is no row"},
	} {
		n := batch.Submission{Format: c.format, Idempotency: fmt.Sprintf("%s %q", c.format, c.body)}
		if len(n.Idempotency) > 100 {
			n.Idempotency = "empty " + string(c.format)
		}
		_, err := submit(t, s, n, strings.NewReader(c.body))
		if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), c.want) {
			t.Errorf("%s %.30q: %v, want %q", c.format, c.body, err, c.want)
		}
		// Its idempotency key is as good as new.
		right := file(t, c.format, []string{"SM-1"}, [][]byte{[]byte("a request")})
		b, err := submit(t, s, n, bytes.NewReader(right))
		if err != nil {
			t.Errorf("%s: the right file after %.30q: %v", c.format, c.body, err)
			continue
		}
		if b = rest(t, s, b.ID); b.State != batch.Done || b.Rows != 1 {
			t.Errorf("%s: the right file after %.30q: %+v", c.format, c.body, b)
		}
	}
}

// TestArchive: results as zip have the certificate of each issued row and an index
// of all, are the same each time, and go on where they are told to.
func TestArchive(t *testing.T) {
	s := newStack(t, stack.Config{})
	csr := func() []byte { return pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{}) }
	body := file(t, batch.NDJSON, []string{"SM/1", "SM-2", "sm/1"}, [][]byte{csr(), []byte("no request"), csr()})
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON}, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	read := func(after int64) []byte {
		var out bytes.Buffer
		if err := s.Batch.Archive(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID, after, &out); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	content := read(0)
	if !bytes.Equal(content, read(0)) {
		t.Error("two archives of the same results differ")
	}
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	files := make(map[string]string)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name)
		files[f.Name] = string(text)
	}
	if diff := cmp.Diff([]string{"SM%2F1.pem", "sm%2F1~3.pem", "index.csv"}, names); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	index := "row,origin,device,status,file,issuer,serial,kind,reason,pair_row\r\n"
	for r, err := range s.Batch.Results(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID, 0) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Refusal != nil:
			index += fmt.Sprintf("%d,%d,SM-2,refused,,,,%s,%s,\r\n", r.Row, r.Row, r.Refusal.Kind, r.Refusal.Reason)
		default:
			name := map[int64]string{1: names[0], 3: names[1]}[r.Row]
			index += fmt.Sprintf("%d,%d,%s,issued,%s,%s,%s,,,\r\n", r.Row, r.Row, r.Device, name, r.Certificate.Issuer, r.Certificate.Serial)
			if block, _ := pem.Decode([]byte(files[name])); block == nil || !bytes.Equal(block.Bytes, r.Certificate.DER) {
				t.Errorf("%s is not the certificate of row %d", name, r.Row)
			}
		}
	}
	if diff := cmp.Diff(index, files["index.csv"]); diff != "" {
		t.Errorf("index.csv (-want +got):\n%s", diff)
	}
	part := read(1)
	if z, err = zip.NewReader(bytes.NewReader(part), int64(len(part))); err != nil || len(z.File) != 2 {
		t.Errorf("after row 1: %d files, %v", len(z.File), err)
	}
	var out bytes.Buffer
	s.AddTenant(t, "globex", "meter")
	if err := s.Batch.Archive(t.Context(), s.Permit(t, "globex", access.ReadBatches), b.ID, 0, &out); pki.KindOf(err) != pki.NotFound || out.Len() > 0 {
		t.Errorf("as a stranger: %d bytes, %v", out.Len(), err)
	}
}
