package batch

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

func readAll(t testing.TB, f Format, r io.Reader) []enroll.Row {
	t.Helper()
	rd, done, err := newReader(f, r, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	var rows []enroll.Row
	for {
		row, err := rd.next()
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

func block(label, content string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: []byte(content)}))
}

func subject(csr string) enroll.Row { return enroll.Row{Subject: enroll.Subject{CSR: []byte(csr)}} }

func TestReadPEM(t *testing.T) {
	large := block("CERTIFICATE REQUEST", strings.Repeat("x", maxRow))
	input := "a work order\n" + block("CERTIFICATE REQUEST", "one") + "# text\n" + strings.ReplaceAll(block("NEW CERTIFICATE REQUEST", "two"), "\n", "\r\n") +
		block("CERTIFICATE", "three") + "-----BEGIN CERTIFICATE REQUEST-----\n!!\n-----END CERTIFICATE REQUEST-----\n" + large +
		strings.Repeat("y", maxRow+10) + "\n" + block("CERTIFICATE REQUEST", "six") + "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
	lines := func(s string) int { return 1 + strings.Count(input[:strings.Index(input, s)], "\n") }
	want := []enroll.Row{
		subject("one"), subject("two"),
		problem(`the PEM block that begins in line %d: it is a "CERTIFICATE", not a CERTIFICATE REQUEST`, lines("-----BEGIN CERTIFICATE-----")),
		problem("the PEM block that begins in line %d: it is not one well-formed PEM block", lines("!!")-1),
		problem("the PEM block that begins in line %d is larger than a request may be", lines("eHh4")-1),
		subject("six"),
		problem("the PEM block that begins in line %d has no end", strings.Count(input, "\n")-1),
	}
	if diff := cmp.Diff(want, readAll(t, PEM, strings.NewReader(input))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestReadNDJSON(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString([]byte("one"))
	for _, c := range []struct {
		name, line string
		want       enroll.Row
	}{
		{"DER", `{"csr":"` + b64 + `","device":"SM-1","product_line":"p","lot":"l","site":"s","attributes":{"k":"v"}}`, enroll.Row{Subject: enroll.Subject{
			CSR: []byte("one"), Device: "SM-1", Placement: pki.Placement{ProductLine: "p", Lot: "l", Site: "s"}, Attributes: map[string]string{"k": "v"}}}},
		{"PEM", `{"csr":` + fmt.Sprintf("%q", block("CERTIFICATE REQUEST", "one")) + `}`, subject("one")},
		{"bad base64", `{"csr":"?","device":"SM-1"}`, enroll.Row{Problem: "line 1: csr is neither base64 DER nor one PEM block", Subject: enroll.Subject{Device: "SM-1"}}},
		{"a mark of byte order", "\ufeff" + `{"csr":"` + b64 + `"}`, subject("one")},
		{"no csr", `{"device":"SM-1"}`, enroll.Row{Problem: "line 1: csr is neither base64 DER nor one PEM block", Subject: enroll.Subject{Device: "SM-1"}}},
		{"too long", `{"csr":"` + strings.Repeat("A", maxRow) + `"}`, problem("line 1 is longer than a row may be")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff([]enroll.Row{c.want, subject("one")}, readAll(t, NDJSON, strings.NewReader(c.line+"\r\n\n"+`{"csr":"`+b64+`"}`))); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
	for _, line := range []string{
		`{"csr":"AAAA","csr":"AAAA"}`, `{"csr":"AAAA","serial":1}`, `7`, `{"csr":"AAAA"} {}`, "{\"csr\":\"AAAA\",\"device\":\"\xff\"}",
		`{"csr":"AAAA","attributes":` + strings.Repeat(`{"a":`, 1000) + `1` + strings.Repeat(`}`, 1001), `{"csr":"AAAA"`,
	} {
		got := readAll(t, NDJSON, strings.NewReader(line))
		if len(got) != 1 || !strings.HasPrefix(got[0].Problem, "line 1 is not a row: ") {
			t.Errorf("%.60s: %+v", line, got)
		}
	}
}

// A request that lost its last line is a refused row of its own, and takes no other
// with it.
func TestReadPEMWithoutEnd(t *testing.T) {
	whole := block("CERTIFICATE REQUEST", "one")
	cut := whole[:strings.Index(whole, "-----END")]
	got := readAll(t, PEM, strings.NewReader(whole+cut+whole+cut+cut))
	want := []enroll.Row{
		subject("one"),
		problem("the PEM block that begins in line 4 has no end: another begins in line 6"),
		subject("one"),
		problem("the PEM block that begins in line 9 has no end: another begins in line 11"),
		problem("the PEM block that begins in line 11 has no end"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A request whose block is damaged is a refused row: it never vanishes.
func TestReadDamagedPEM(t *testing.T) {
	const mark = "\ufeff" // of byte order
	one := block("CERTIFICATE REQUEST", "one")
	lost := func(line int) enroll.Row {
		return problem("the PEM block that ends in line %d has no beginning", line)
	}
	for name, test := range map[string]struct {
		file string
		want []enroll.Row
	}{
		"a mark before the first":    {mark + one + one, []enroll.Row{subject("one"), subject("one")}},
		"a mark before each":         {mark + one + mark + one, []enroll.Row{subject("one"), subject("one")}},
		"no line end between two":    {strings.TrimSpace(one) + strings.TrimSpace(one) + one, []enroll.Row{subject("one"), subject("one"), subject("one")}},
		"no line end before the end": {strings.Replace(one, "\n-----END", "-----END", 1) + one, []enroll.Row{subject("one"), subject("one")}},
		"indented":                   {"  " + strings.ReplaceAll(one, "\n", "\n  "), []enroll.Row{subject("one")}},
		"a damaged beginning":        {one + one[1:] + one, []enroll.Row{subject("one"), lost(6), subject("one")}},
		"a lost beginning":           {one[strings.Index(one, "\n"):] + one, []enroll.Row{lost(3), subject("one")}},
		"a damaged end":              {strings.Replace(one, "-----END", "----END", 1) + one, []enroll.Row{problem("the PEM block that begins in line 1 has no end: another begins in line 4"), subject("one")}},
		"boundaries in a remark":     {"# as in -----BEGIN X----- and -----END X-----\n" + one, []enroll.Row{subject("one")}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, readAll(t, PEM, strings.NewReader(test.file))); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadNDJSONArray: an array has no rows, and none of its lines is taken for one.
func TestReadNDJSONArray(t *testing.T) {
	for name, text := range map[string]string{
		"over lines": "\ufeff\n[\n{\"csr\": \"AAAA\"},\n{\"csr\": \"AAAA\"}\n]\n", "in one line": ` [{"csr": "AAAA"}]`,
		"in one line that is too long": "[" + strings.Repeat(`{"csr": "AAAA"},`, maxRow/16+1) + "{}]",
	} {
		rd, _, err := newReader(NDJSON, strings.NewReader(text), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if row, err := rd.next(); pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "JSON array") {
			t.Errorf("%s: row %+v, error %v", name, row, err)
		}
	}
}

// A stream that breaks is an error, not a shorter batch.
func TestReadBroken(t *testing.T) {
	broken := errors.New("connection reset")
	for _, f := range []Format{PEM, NDJSON} {
		rd, _, err := newReader(f, io.MultiReader(strings.NewReader("-----BEGIN CERTIFICATE REQUEST-----\nAA"), failing{broken}), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = rd.next()
		}
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestRowsRoundTrip(t *testing.T) {
	rows := []enroll.Row{
		{No: 7, Problem: "line 1 is not a row"},
		{No: 8, Subject: enroll.Subject{CSR: []byte{0, 1, 2}, Device: "SM-1", Placement: pki.Placement{ProductLine: "p", Lot: "l", Site: "s"}, Attributes: map[string]string{"a": "1", "b": ""}}},
	}
	var b []byte
	for i := range rows {
		b = appendRow(b, &rows[i])
	}
	got, err := decodeRows(b, 7, 2)
	if err != nil {
		t.Fatal(err)
	}
	rows[0].CSR = []byte{}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for i := range b {
		if _, err := decodeRows(b[:i], 7, 2); err == nil {
			t.Errorf("rows cut at %d were read", i)
		}
	}
	if _, err := decodeRows(append(b, 0), 7, 2); err == nil {
		t.Error("a byte too many was read")
	}
}

func fuzzReader(f *testing.F, format Format) {
	f.Fuzz(func(t *testing.T, input []byte) {
		rd, _, err := newReader(format, bytes.NewReader(input), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			row, err := rd.next()
			if err == io.EOF || pki.KindOf(err) == pki.Malformed {
				return
			}
			switch {
			case err != nil:
				t.Fatal(err)
			case n > len(input):
				t.Fatal("more rows than bytes")
			case (row.Problem == "") != (len(row.CSR) > 0):
				t.Fatalf("a row with problem %q and a request of %d bytes", row.Problem, len(row.CSR))
			}
		}
	})
}

// FuzzDecodePEM holds what is read of a block against what encoding/pem reads.
func FuzzDecodePEM(f *testing.F) {
	for _, text := range []string{
		"AAAA", "AA==", "AAAA\r\nAA==\n", "\nAAAA", "AA\nAA", "AA==\n==", "A A\tAA", "AA==AAAA", "A", "", "\n", "====", "k: v\n\nAAAA",
		"-----BEGIN CERTIFICATE REQUEST-----\nAAAA", "AAAA\n-----END CERTIFICATE REQUEST-----\n-----BEGIN CERTIFICATE REQUEST-----\nAAAA",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := []byte("-----BEGIN CERTIFICATE REQUEST-----\n" + text + "\n-----END CERTIFICATE REQUEST-----\n")
		var want []byte
		if block, rest := pem.Decode(b); block != nil && block.Type == "CERTIFICATE REQUEST" && len(bytes.TrimSpace(rest)) == 0 {
			want = block.Bytes
		}
		got, err := decodePEM(b)
		if !bytes.Equal(got, want) || (err == nil) != (len(want) > 0) {
			t.Errorf("%q is %x, %v; pem.Decode has %x", b, got, err, want)
		}
	})
}

// BenchmarkReadPEM reads requests of the size that those with a P-256 key have.
func BenchmarkReadPEM(b *testing.B) {
	input := strings.Repeat(block("CERTIFICATE REQUEST", strings.Repeat("\x30\x82\x5a", 110)), b.N)
	b.ReportAllocs()
	b.ResetTimer()
	if n := len(readAll(b, PEM, strings.NewReader(input))); n != b.N {
		b.Fatalf("%d rows of %d", n, b.N)
	}
}

func FuzzReadPEM(f *testing.F) {
	f.Add([]byte(block("CERTIFICATE REQUEST", "one") + "x\n" + block("CERTIFICATE REQUEST", "two")))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----"))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----")) // found by fuzzing
	fuzzReader(f, PEM)
}

func FuzzReadNDJSON(f *testing.F) {
	f.Add([]byte(`{"csr":"AAAA","device":"SM-1","attributes":{"k":"v"}}` + "\n\n" + `{"csr":"?"}`))
	fuzzReader(f, NDJSON)
}

func FuzzDecodeRows(f *testing.F) {
	f.Add(appendRow(nil, &enroll.Row{Subject: enroll.Subject{CSR: []byte("x"), Attributes: map[string]string{"a": "b"}}}), 1)
	f.Fuzz(func(t *testing.T, b []byte, count int) {
		if count < 0 || count > 1000 {
			return
		}
		rows, err := decodeRows(b, 1, count)
		if err == nil && len(rows) != count {
			t.Fatalf("%d rows for %d", len(rows), count)
		}
	})
}
