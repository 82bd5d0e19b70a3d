package batch

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

var oneInBase64 = base64.StdEncoding.EncodeToString([]byte("one"))

func TestReadCSV(t *testing.T) {
	quotedPEM := `"` + block("CERTIFICATE REQUEST", "one") + `"`
	for _, c := range []struct {
		name, input string
		want        []enroll.Row
	}{
		{"all columns, quotes, CR LF", "device,csr,\"product_line\",lot,site,attributes.colour\r\nSM-1," + oneInBase64 + ",\"a, \"\"b\"\"\",7,,grey\r\n", []enroll.Row{{Subject: enroll.Subject{
			CSR: []byte("one"), Device: "SM-1", Placement: pki.Placement{ProductLine: `a, "b"`, Lot: "7"}, Attributes: map[string]string{"colour": "grey"}}}}},
		{"PEM over lines, no end of line", "csr,device\n" + quotedPEM + ",SM-1", []enroll.Row{{Subject: enroll.Subject{CSR: []byte("one"), Device: "SM-1"}}}},
		{"PEM with CR LF", "csr\r\n" + strings.ReplaceAll(quotedPEM, "\n", "\r\n"), []enroll.Row{subject("one")}},
		{"empty lines", "csr\n\n" + oneInBase64 + "\r\n\r\n\n" + oneInBase64 + "\n\n", []enroll.Row{subject("one"), subject("one")}},
		{"empty lines before the header", "\r\n\ncsr\n?\n", []enroll.Row{problem("line 4: csr is neither base64 DER nor one PEM block")}},
		{"ragged", "csr,device\n" + oneInBase64 + "\n" + oneInBase64 + ",SM-2,3\n" + oneInBase64 + ",SM-3\n", []enroll.Row{
			problem("line 2 has 1 fields; the header has 2"), problem("line 3 has 3 fields; the header has 2"),
			{Subject: enroll.Subject{CSR: []byte("one"), Device: "SM-3"}}}},
		{"bad request", "csr,device\n?,SM-1\n,SM-2\n", []enroll.Row{
			{Problem: "line 2: csr is neither base64 DER nor one PEM block", Subject: enroll.Subject{Device: "SM-1"}},
			{Problem: "line 3: csr is neither base64 DER nor one PEM block", Subject: enroll.Subject{Device: "SM-2"}}}},
		{"not UTF-8", "csr,device\n" + oneInBase64 + ",SM-\xff\n" + oneInBase64 + ",SM-2\n", []enroll.Row{
			problem("line 2, column 6: device is not text in UTF-8"), {Subject: enroll.Subject{CSR: []byte("one"), Device: "SM-2"}}}},
		{"NUL", "csr,device\n" + oneInBase64 + ",SM-\x00\n", []enroll.Row{problem("line 2, column 6: device has an octet 0 in it")}},
		{"too long", "csr,device\n" + strings.Repeat("A", maxRow) + ",SM-1\n" + oneInBase64 + ",SM-2\n", []enroll.Row{
			problem("the row in line 2 is longer than a row may be"), {Subject: enroll.Subject{CSR: []byte("one"), Device: "SM-2"}}}},
		{"too many commas", "csr\n" + strings.Repeat(",", maxRow+1) + "\n" + oneInBase64 + "\n", []enroll.Row{
			problem("the row in line 2 is longer than a row may be"), subject("one")}},
		{"header alone", "csr,device\n", nil},
		{"nothing", "", nil},
	} {
		if diff := cmp.Diff(c.want, readAll(t, CSV, strings.NewReader(c.input))); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestReadCSVRefused: where rows cannot be told apart, or columns are not known,
// the file is refused with the place.
func TestReadCSVRefused(t *testing.T) {
	for _, c := range []struct{ name, input, want string }{
		{"byte order mark", "\xef\xbb\xbfcsr\n", "line 1, column 1: the file begins with a byte order mark"},
		{"UTF-16 little endian", "\xff\xfec\x00s\x00r\x00", "is UTF-16"},
		{"UTF-16 big endian", "\xfe\xff\x00c\x00s\x00r", "is UTF-16"},
		{"UTF-16 without mark", "c\x00s\x00r\x00\n\x00", "is UTF-16"},
		{"semicolons", "csr;device\nA;B\n", "line 1: columns are separated by commas, not by ';'"},
		{"tabs", "csr\tdevice\nA\tB\n", `not by '\t'`},
		{"no header", oneInBase64 + ",SM-1\n", `line 1, column 1: unknown column "` + oneInBase64},
		{"unknown column", "csr,serial\n", `line 1, column 5: unknown column "serial"`},
		{"case", "CSR\n", `unknown column "CSR"`},
		{"space", "csr, device\n", `line 1, column 5: unknown column " device"`},
		{"unknown column after empty lines", "\n\ncsr,serial\n", `line 3, column 5: unknown column "serial"`},
		{"attribute without name", "csr,attributes.\n", "unknown column"},
		{"column twice", "csr,lot,csr\n", `line 1, column 9: "csr" stands in the header twice`},
		{"no csr", "device,lot\n", "line 1: the header has no column csr"},
		{"too many columns", "csr" + strings.Repeat(",x", maxColumns) + "\n", "more than 64 columns"},
		{"quote inside", "csr,device\nA,SM-\"1\"\n", "line 2, column 6: a quote stands inside a field"},
		{"text after quote", "csr,device\nA,\"SM\"-1\n", "line 2, column 7: there is text after the quote"},
		{"quote without end", "csr,device\nA,\"SM-1\nB,SM-2\n", "line 2, column 3: the quote that begins here has no end"},
		{"carriage return alone", "csr\rA\r", "line 1, column 4: a carriage return stands alone"},
		{"carriage return at the end", "csr\nA\r", "line 2, column 2: a carriage return stands alone"},
	} {
		rd, _, err := newReader(CSV, strings.NewReader(c.input), nil, false)
		for err == nil {
			_, err = rd.next()
		}
		if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// FuzzReadCSV: what we take without a word, encoding/csv takes for the same.
func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("csr,device\r\nAAAA,SM-1\r\n\"AA\nAA\",\"SM-\"\"2\"\"\"\n"))
	f.Add([]byte("csr\n\n\"\"\nA,B\n"))
	f.Add([]byte("csr,attributes.a\nAAAA,\"x"))
	f.Fuzz(func(t *testing.T, input []byte) {
		rd := newCSVReader(bytes.NewReader(input), false)
		var rows []enroll.Row
		var err error
		for err == nil {
			var row enroll.Row
			if row, err = rd.next(); err == nil {
				rows = append(rows, row)
			}
		}
		if !errors.Is(err, io.EOF) {
			if pki.KindOf(err) != pki.Malformed {
				t.Fatalf("%v", err)
			}
			return
		}
		theirs := csv.NewReader(bytes.NewReader(input))
		theirs.FieldsPerRecord = -1
		records, err := theirs.ReadAll()
		if err != nil {
			t.Fatalf("encoding/csv refuses it: %v", err)
		}
		if len(records) != len(rows)+min(1, len(records)) {
			t.Fatalf("%d rows; encoding/csv has %d records", len(rows), len(records))
		}
		for i, row := range rows {
			for j, name := range records[0] {
				if row.Problem == "" && name == "device" && records[i+1][j] != string(row.Device) {
					t.Errorf("row %d: device %q; encoding/csv has %q", i+1, row.Device, records[i+1][j])
				}
			}
		}
	})
}
