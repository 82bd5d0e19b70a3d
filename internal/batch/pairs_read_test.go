package batch

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// readPairs returns the rows of a file of pairs as text, and the error that ended it.
func readPairs(t testing.TB, f Format, r io.Reader) ([]string, error) {
	t.Helper()
	spool, err := OpenSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	rd, done, err := newReader(f, r, spool, true)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	var all []string
	for {
		row, err := rd.next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, rowText(&row))
	}
}

func rowText(r *enroll.Row) string {
	if r.Problem != "" {
		return fmt.Sprintf("%s: %s", r.Device, r.Problem)
	}
	return fmt.Sprintf("%s has %s %s%v", r.Device, r.CSR, r.Placement.Lot, r.Attributes)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestReadPairs: a line is two rows, and of what is wrong with it each says its part.
func TestReadPairs(t *testing.T) {
	for _, c := range []struct {
		format Format
		input  string
		want   []string
	}{
		{NDJSON, `{"csr":"` + b64("one") + `","pair_csr":"` + b64("two") + `","device":"A","lot":"7","attributes":{"k":"v"}}`,
			[]string{"A has one 7map[k:v]", "A has two 7map[k:v]"}},
		{NDJSON, `{"csr":"` + b64("one") + `","device":"A"}`, []string{"A has one map[]", "A: line 1: there is no pair_csr, the second request of the device"}},
		{NDJSON, `{"csr":"` + b64("one") + `","device":"A","pair_csr":"?"}`, []string{"A has one map[]", "A: line 1: pair_csr is neither base64 DER nor one PEM block"}},
		{NDJSON, `{"pair_csr":"` + b64("two") + `","device":"A"}`, []string{"A: line 1: csr is neither base64 DER nor one PEM block", "A: line 1: csr is neither base64 DER nor one PEM block"}},
		{NDJSON, strings.Repeat("x", maxRow+1), []string{": line 1 is longer than a row may be", ": line 1 is longer than a row may be"}},
		{CSV, "device,csr,pair_csr,lot,attributes.k\nA," + b64("one") + "," + b64("two") + ",7,v\n\nB," + b64("one") + ",,,\n",
			[]string{"A has one 7map[k:v]", "A has two 7map[k:v]", "B has one map[]", "B: line 4: there is no pair_csr, the second request of the device"}},
		{CSV, "pair_csr,csr\n" + b64("two") + "\n", []string{": line 2 has 1 fields; the header has 2", ": line 2 has 1 fields; the header has 2"}},
	} {
		got, err := readPairs(t, c.format, strings.NewReader(c.input))
		if err != nil {
			t.Errorf("%s: %v", c.input, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%.100s: rows (-want +got):\n%s", c.input, diff)
		}
	}
	_, err := readPairs(t, CSV, strings.NewReader("device,csr\nA,AAAA\n"))
	if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "no column pair_csr") {
		t.Errorf("without the column: %v", err)
	}
}

// TestReadNoPairs: a second request that a batch would not take is not passed over.
func TestReadNoPairs(t *testing.T) {
	got := readAll(t, NDJSON, strings.NewReader(`{"csr":"AAAA","pair_csr":"AAAA","device":"A"}`))
	want := []enroll.Row{{Problem: "line 1: pair_csr is for a batch of pairs, which has a pair_endpoint", Subject: enroll.Subject{Device: "A"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	_, err := newCSVReader(strings.NewReader("csr,pair_csr\nAAAA,AAAA\n"), false).next()
	if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "pair_endpoint") {
		t.Errorf("CSV: %v", err)
	}
}

// TestReadPairArchive: the two files of a device come in whatever order, and one without
// the other is a refused pair, at the end.
func TestReadPairArchive(t *testing.T) {
	der := func(s string) string { return "\x30" + s }
	want := []string{
		"A has 0one map[]", "A has 0two map[]",
		": entry \"README\": its name ends in none of .csr, .pem and .der", ": entry \"README\": its name ends in none of .csr, .pem and .der",
		"B has 0one map[]", "B has 0two map[]",
		"C: another file has this request of the device \"C\"", "C: another file has this request of the device \"C\"",
		"E: entry \"E.csr\": it is empty", "E has 0two map[]",
		": a file .pair.csr names no device", ": a file .pair.csr names no device",
		"C has 0one map[]", "C: there is no C.pair.csr (or .pem, .der)",
		"D: there is no D.csr (or .pem, .der)", "D has 0two map[]",
	}
	for _, f := range []Format{TarGz, Zip} {
		got, err := readPairs(t, f, bytes.NewReader(packed(t, f,
			"A.csr", der("one"), "B.pair.der", der("two"), "A.pair.csr", der("two"), "C.csr", der("one"), "README", "",
			"D.PAIR.csr", der("two"), "x/B.der", der("one"), "x/C.csr", der("one"), "E.pair.csr", der("two"), "E.csr", "", ".pair.csr", der("x"))))
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i] = strings.ReplaceAll(got[i], "\x30", "0")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", f, diff)
		}
	}
}

// TestReadHostilePairs: what an archive says twice, in part, under a path or of several
// devices at once makes no pair of requests that do not belong together.
func TestReadHostilePairs(t *testing.T) {
	const one, two = "\x30one", "\x30two"
	const noDevice = "it has 1 to 128 printable ASCII characters and no space at either end"
	long := strings.Repeat("x", 129)
	for what, c := range map[string]struct{ files, want []string }{
		"a second request twice": {
			[]string{"A.pair.csr", two, "x/A.pair.csr", one, "A.csr", one},
			[]string{"A: another file has this request of the device \"A\"", "A: another file has this request of the device \"A\"", "A has 0one", "A has 0two"}},
		"a second request twice, under another ending and path": {
			[]string{"A.csr", one, "A.pair.csr", two, "x/A.PAIR.PEM", block("CERTIFICATE REQUEST", "three")},
			[]string{"A has 0one", "A has 0two", "A: there is no A.csr (or .pem, .der)", "A has three"}},
		"a second request without a first": {
			[]string{"A.pair.csr", two},
			[]string{"A: there is no A.csr (or .pem, .der)", "A has 0two"}},
		"two pairs of one device": {
			[]string{"A.csr", one, "A.pair.csr", two, "x/A.csr", two, "x/A.pair.csr", one},
			[]string{"A has 0one", "A has 0two", "A has 0two", "A has 0one"}},
		"the pair of a pair": {
			[]string{"A.pair.pair.csr", one, "A.pair.csr", two},
			[]string{"A.pair: there is no A.pair.csr (or .pem, .der)", "A.pair has 0one", "A: there is no A.csr (or .pem, .der)", "A has 0two"}},
		"paths": {
			[]string{"../../etc/A.csr", one, "/etc/A.pair.csr", two, "x/../B.csr", one, "B.pair.csr", two},
			[]string{
				": entry \"../../etc/A.csr\": its name has \"..\" in it", ": entry \"../../etc/A.csr\": its name has \"..\" in it",
				": entry \"/etc/A.pair.csr\": its name is absolute", ": entry \"/etc/A.pair.csr\": its name is absolute",
				": entry \"x/../B.csr\": its name has \"..\" in it", ": entry \"x/../B.csr\": its name has \"..\" in it",
				"B: there is no B.csr (or .pem, .der)", "B has 0two"}},
		"names that are no device's": {
			[]string{long + ".csr", one, " .pair.csr", two, "C.pair.csr", two, "C.csr", one},
			[]string{
				fmt.Sprintf(": entry %q: device id %q: %s", long+".csr", long[:40], noDevice), fmt.Sprintf(": entry %q: device id %q: %s", long+".csr", long[:40], noDevice),
				": entry \" .pair.csr\": device id \" .pair\": " + noDevice, ": entry \" .pair.csr\": device id \" .pair\": " + noDevice,
				"C has 0one", "C has 0two"}},
	} {
		for _, f := range []Format{TarGz, Zip} {
			got, err := readPairs(t, f, bytes.NewReader(packed(t, f, c.files...)))
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for i := range got {
				got[i] = strings.ReplaceAll(strings.TrimSuffix(got[i], " map[]"), "\x30", "0")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, %s: rows (-want +got):\n%s", what, f, diff)
			}
		}
	}
}

// TestReadPairsApart: what waits for its other is bounded.
func TestReadPairsApart(t *testing.T) {
	const size = 60 << 10
	random := make([]byte, maxHeld+2*size) // so that it does not shrink
	rand.Read(random)
	var files []string
	for part := range slices.Chunk(random, size) {
		files = append(files, fmt.Sprintf("SM-%d.csr", len(files)), "\x30"+string(part))
	}
	_, err := readPairs(t, Zip, bytes.NewReader(packed(t, Zip, files...)))
	if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "--sort=name") {
		t.Errorf("%v", err)
	}
}

// TestReadPairsPadded: of what waits nothing is kept but the request, however much room was
// made for its PEM, and all that is kept counts.
func TestReadPairsPadded(t *testing.T) {
	text := block("CERTIFICATE REQUEST", "one")
	padded := strings.Replace(text, "-----END", strings.Repeat("\n", 60<<10)+"-----END", 1)
	spool, err := OpenSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	rd, done, err := newReader(Zip, bytes.NewReader(packed(t, Zip, "far/away/A.csr", padded, "B.csr", "no request")), spool, true)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	row, err := rd.next()
	if err != nil || string(row.CSR) != "one" || cap(row.CSR) > 64 {
		t.Errorf("%q in %d bytes, %v", row.CSR, cap(row.CSR), err)
	}
	held := 0
	for _, h := range rd.(*pairReader).source.(*archivePairs).waiting {
		held += len(h.row.CSR) + len(h.row.Problem) + len(h.row.Device) + costOfOne
	}
	if got := rd.(*pairReader).source.(*archivePairs).held; got != held || got <= 2*costOfOne+len("oneAB") {
		t.Errorf("%d bytes count, of %d", got, held)
	}
}

// FuzzReadPairs: whatever a file has, its rows are those of whole pairs, each with a
// request or a problem.
func FuzzReadPairs(f *testing.F) {
	formats := []Format{NDJSON, CSV, TarGz, Zip}
	f.Add(0, []byte(`{"csr":"AAAA","pair_csr":"AAAA","device":"SM-1"}`+"\n"+`{"csr":"?"}`))
	f.Add(1, []byte("csr,pair_csr,device\nAAAA,AAAA,SM-1\nAAAA\n"))
	f.Add(2, packed(f, TarGz, "A.csr", "\x30one", "A.pair.csr", "\x30two", "B.csr", "\x30one", "C", ""))
	f.Add(3, packed(f, Zip, "A.pair.csr", "\x30two", "A.csr", "\x30one", "B.pair.csr", "\x30one", "B.pair.pem", ""))
	spool, err := OpenSpool(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, format int, input []byte) {
		rd, done, err := newReader(formats[uint(format)%4], bytes.NewReader(input), spool, true)
		if err != nil {
			return
		}
		defer done()
		for n := 0; ; n++ {
			row, err := rd.next()
			if err != nil {
				if n%2 != 0 {
					t.Fatalf("%d rows, then %v", n, err)
				}
				return
			}
			if (row.Problem == "") != (len(row.CSR) > 0) {
				t.Fatalf("a row with problem %q and a request of %d bytes", row.Problem, len(row.CSR))
			}
		}
	})
}
