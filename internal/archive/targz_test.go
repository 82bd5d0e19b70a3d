package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

// small are limits that tests can reach.
var small = Limits{Entries: 10, Entry: 100, Total: 64 << 10, Ratio: 20, Slack: 32 << 10}

// readAll returns the entries up to the end, or to the error.
func readAll(t *testing.T, r Reader) ([]Entry, error) {
	t.Helper()
	var all []Entry
	for {
		e, err := r.Next()
		if err == io.EOF {
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("after the end: %v", err)
			}
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, Entry{e.Name, e.Problem, append([]byte(nil), e.Content...)})
	}
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func tarred(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		content := h.Linkname // of files too, in these tests
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Typeflag, h.Linkname, h.Size = tar.TypeReg, "", int64(len(content))
		} else {
			content = ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestTarGz(t *testing.T) {
	long := strings.Repeat("folder/", 30) + "SM-4.csr"
	all := tarred(t,
		tar.Header{Name: "pax", Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "git"}},
		tar.Header{Name: "lot/", Typeflag: tar.TypeDir},
		tar.Header{Name: "./lot/SM-1.csr", Linkname: "one"},
		tar.Header{Name: "lot/._SM-1.csr", Linkname: "macOS"},
		tar.Header{Name: "__MACOSX/SM-1.csr", Linkname: "macOS"},
		tar.Header{Name: "empty.csr"},
		tar.Header{Name: "SM-2.csr", Typeflag: tar.TypeSymlink, Linkname: "SM-1.csr"},
		tar.Header{Name: long, Linkname: "four"},
		tar.Header{Name: "./lot/SM-1.csr", Linkname: "another"},
		tar.Header{Name: "SM-5.csr", Linkname: strings.Repeat("x", 101)},
	)
	got, err := readAll(t, NewTarGz(bytes.NewReader(gzipped(t, append(all, make([]byte, 9000)...))), small))
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Name: "./lot/SM-1.csr", Content: []byte("one")},
		{Name: "empty.csr"},
		{Name: "SM-2.csr", Problem: "it is a link"},
		{Name: long, Content: []byte("four")},
		{Name: "./lot/SM-1.csr", Problem: "its name stood in the archive before, and only the first is taken"},
		{Name: "SM-5.csr", Problem: "it has 101 bytes; 100 are read at most"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// TestTarGzNames: entries that would leave their folder, and those that are no
// plain files, are refused by themselves.
func TestTarGzNames(t *testing.T) {
	for name, want := range map[string]string{
		"/etc/SM-1.csr": "absolute", "C:/SM-1.csr": "absolute", "../SM-1.csr": `".."`, "a/../../SM-1.csr": `".."`, `a\SM-1.csr`: `"\"`,
		"SM-\x01.csr": "printed", "SM-\uFFFD.csr": "printed",
	} {
		got, err := readAll(t, NewTarGz(bytes.NewReader(gzipped(t, tarred(t, tar.Header{Name: name, Linkname: "x"}, tar.Header{Name: "good", Linkname: "y"}))), small))
		if err != nil || len(got) != 2 || !strings.Contains(got[0].Problem, want) || string(got[1].Content) != "y" {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, kind := range []byte{tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo} {
		got, err := readAll(t, NewTarGz(bytes.NewReader(gzipped(t, tarred(t, tar.Header{Name: "x", Typeflag: kind, Linkname: "y"}))), small))
		if err != nil || len(got) != 1 || got[0].Problem == "" {
			t.Errorf("type %c: %+v, %v", kind, got, err)
		}
	}
}

// TestTarGzRefused: what is ambiguous or beyond a bound refuses the whole archive.
func TestTarGzRefused(t *testing.T) {
	one := tarred(t, tar.Header{Name: "SM-1.csr", Linkname: "one"})
	good := gzipped(t, one)
	var many []tar.Header
	for range small.Entries + 1 {
		many = append(many, tar.Header{Name: "folder/", Typeflag: tar.TypeDir})
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-6] ^= 1 // of the checksum
	header := bytes.Clone(one)
	header[0] ^= 1
	for _, c := range []struct {
		name, want string
		input      []byte
	}{
		{"empty", "not gzip", nil},
		{"not gzip", "not gzip", []byte("PK\x03\x04 and more")},
		{"not tar", "no tar archive", gzipped(t, bytes.Repeat([]byte("x"), 2000))},
		{"gzip of other text", "no tar archive", gzipped(t, bytes.Repeat([]byte("-----BEGIN CERTIFICATE REQUEST-----\n"), 20))},
		{"gzip of a line", "no tar archive", gzipped(t, []byte("-----BEGIN CERTIFICATE REQUEST-----\n"))},
		{"gzip cut off", "cut off", good[:len(good)-9]},
		{"tar cut off", "has no end", gzipped(t, one[:len(one)-1024])},
		{"tar cut off in a file", "cut off", gzipped(t, one[:513])},
		{"checksum", "damaged", flipped},
		{"header checksum", "damaged", gzipped(t, header)},
		{"two members", "after the gzip member", append(bytes.Clone(good), good...)},
		{"garbage after", "after the gzip member", append(bytes.Clone(good), 0)},
		{"two archives in one member", "after the end", gzipped(t, append(bytes.Clone(one), one...))},
		{"too many entries", "more than 10 entries", gzipped(t, tarred(t, many...))},
		{"too dense", "more than 20 times", gzipped(t, tarred(t, tar.Header{Name: "big", Linkname: strings.Repeat("x", 60<<10)}))},
		{"too much", "more than 65536 bytes", gzipped(t, tarred(t, tar.Header{Name: "big", Linkname: random(1, 128<<10)}))},
		{"padding", "more than", gzipped(t, append(bytes.Clone(one), make([]byte, 60<<10)...))},
	} {
		_, err := readAll(t, NewTarGz(bytes.NewReader(c.input), small))
		if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestTarGzBroken: a fault of the source is that fault, wherever it comes.
func TestTarGzBroken(t *testing.T) {
	good := gzipped(t, tarred(t, tar.Header{Name: "SM-1.csr", Linkname: random(2, 90)}))
	broken := errors.New("connection reset")
	for i := range good {
		_, err := readAll(t, NewTarGz(io.MultiReader(bytes.NewReader(good[:i]), failing{broken}), small))
		if !errors.Is(err, broken) {
			t.Errorf("after %d of %d bytes: %v", i, len(good), err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)          { return 0, f.err }
func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
