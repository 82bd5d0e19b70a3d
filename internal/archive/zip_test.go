package archive

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

// random returns n bytes that do not shrink, always the same for a seed.
func random(seed uint64, n int) string {
	r := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, n)
	r.Read(b)
	return string(b)
}

// zipped makes an archive of names and contents.
func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = io.WriteString(f, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func readZip(t *testing.T, b []byte, l Limits) ([]Entry, error) {
	t.Helper()
	r, err := NewZip(bytes.NewReader(b), int64(len(b)), l)
	if err != nil {
		return nil, err
	}
	return readAll(t, r)
}

func TestZip(t *testing.T) {
	got, err := readZip(t, zipped(t, "lot/", "", "lot/SM-1.csr", "one", "__MACOSX/lot/._SM-1.csr", "macOS", "Thumbs.db", "Windows",
		"empty.csr", "", "lot/SM-1.csr", "another", "SM-5.csr", strings.Repeat("x", 101), "../SM-6.csr", "six", "ü.csr", "seven"), small)
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Name: "lot/SM-1.csr", Content: []byte("one")},
		{Name: "empty.csr"},
		{Name: "lot/SM-1.csr", Problem: "its name stood in the archive before, and only the first is taken"},
		{Name: "SM-5.csr", Problem: "it has 101 bytes; 100 are read at most"},
		{Name: "../SM-6.csr", Problem: `its name has ".." in it`},
		{Name: "ü.csr", Content: []byte("seven")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if got, err := readZip(t, zipped(t), small); err != nil || len(got) != 0 {
		t.Errorf("an empty archive: %v, %v", got, err)
	}
}

// TestZipSpecial: what is not a plain file, or not to be unpacked, is refused by
// itself.
func TestZipSpecial(t *testing.T) {
	header := func(change func(*zip.FileHeader)) []byte {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		h := &zip.FileHeader{Name: "SM-1.csr", CreatorVersion: 3 << 8, UncompressedSize64: 3, CompressedSize64: 3, CRC32: 0x7a6c86f1} // of "one"
		h.SetMode(0o644)
		change(h)
		f, err := w.CreateRaw(h)
		if err == nil {
			_, err = io.WriteString(f, "one")
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for _, c := range []struct {
		name, want string
		change     func(*zip.FileHeader)
	}{
		{"good", "", func(*zip.FileHeader) {}},
		{"link", "link", func(h *zip.FileHeader) { h.SetMode(fs.ModeSymlink | 0o777) }},
		{"folder", "folder with content", func(h *zip.FileHeader) { h.SetMode(fs.ModeDir | 0o755) }},
		{"device", "link or another", func(h *zip.FileHeader) { h.SetMode(fs.ModeDevice | 0o600) }},
		{"encrypted", "encrypted", func(h *zip.FileHeader) { h.Flags |= 1 }},
		{"method", "method 93", func(h *zip.FileHeader) { h.Method = 93 }},
		{"checksum", "damaged", func(h *zip.FileHeader) { h.CRC32++ }},
		{"stored in less", "damaged", func(h *zip.FileHeader) { h.UncompressedSize64 = 4 }},
		{"not deflate", "damaged", func(h *zip.FileHeader) { h.Method = zip.Deflate }},
	} {
		got, err := readZip(t, header(c.change), small)
		if err != nil || len(got) != 1 || (c.want == "") != (got[0].Problem == "") || !strings.Contains(got[0].Problem, c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	for _, mode := range []fs.FileMode{0o644, fs.ModeDir | 0o755} {
		folder := bytes.ReplaceAll(header(func(h *zip.FileHeader) { h.SetMode(mode) }), []byte("SM-1.csr"), []byte("SM-1.cs/"))
		if got, err := readZip(t, folder, small); err != nil || len(got) != 1 || got[0].Problem != "it is a folder with content" {
			t.Errorf("a folder with content, %s: %+v, %v", mode, got, err)
		}
	}
	// The local header is not what the directory has.
	for _, at := range []int{6, 8, 14, 22, 30} { // flags, method, checksum, size, name
		b := header(func(h *zip.FileHeader) {})
		b[at] ^= 1
		if got, err := readZip(t, b, small); err != nil || len(got) != 1 || !strings.Contains(got[0].Problem, "other things") {
			t.Errorf("octet %d changed: %+v, %v", at, got, err)
		}
	}
}

// patched returns an archive with a field of its directory's nth entry, or of its
// end, changed.
func patched(b []byte, signature uint32, nth, offset int, value ...byte) []byte {
	b = bytes.Clone(b)
	mark := binary.LittleEndian.AppendUint32(nil, signature)
	at := bytes.Index(b, mark)
	for range nth {
		at += 4 + bytes.Index(b[at+4:], mark)
	}
	copy(b[at+offset:], value)
	return b
}

// TestZipRefused: what is ambiguous or beyond a bound refuses the whole archive.
func TestZipRefused(t *testing.T) {
	two := zipped(t, "SM-1.csr", "one", "SM-2.csr", "two")
	var many, dense []string
	for i := range small.Entries + 1 {
		many = append(many, fmt.Sprint(i, "/"), "")
	}
	for i := range 10 {
		dense = append(dense, fmt.Sprint(i), strings.Repeat("x", 9000))
	}
	wide := small
	wide.Entry = 10000
	for _, c := range []struct {
		name, want string
		input      []byte
		limits     Limits
	}{
		{"empty", "not a zip", nil, small},
		{"not zip", "not a zip", []byte(random(3, 5000)), small},
		{"cut off", "not a zip", two[:len(two)-1], small},
		{"bytes before", "not where its end says", append([]byte("#!/bin/sh\n"), two...), small},
		{"bytes after", "not a zip", append(bytes.Clone(two), "x"...), small},
		{"bytes between", "not where its end says", append(append(bytes.Clone(two[:len(two)-22]), 0), two[len(two)-22:]...), small},
		{"two ends", "two ends", patched(append(bytes.Clone(two), two[len(two)-22:]...), endSignature, 0, 20, 22), small},
		{"parts", "several parts", patched(two, endSignature, 0, 4, 1), small},
		{"too many entries", "has 11 entries", zipped(t, many...), small},
		{"says too few", "more than its 1 entries", patched(two, endSignature, 0, 8, 1, 0, 1, 0), small},
		{"says too many", "after entry 2 of 3", patched(zipped(t, strings.Repeat("a", 60), "one", strings.Repeat("b", 60), "two"), endSignature, 0, 8, 3, 0, 3, 0), small},
		{"says a million", "too small", patched(two, endSignature, 0, 8, 0, 0x10, 0, 0x10), Limits{Entries: 1 << 20}},
		{"overlap", "overlaps", patched(two, centralSignature, 1, 42, 0, 0), small},
		{"first not at the front", "before the zip archive's first", patched(two, centralSignature, 0, 42, 1), small},
		{"points beyond", "not where the directory says", patched(two, centralSignature, 0, 42, 0xf0, 0xff), small},
		{"size beyond", "not where the directory says", patched(two, centralSignature, 0, 20, 0xf0, 0xff), small},
		{"directory damaged", "damaged", patched(two, centralSignature, 1, 0, 'x'), small},
		{"zip64 is missing", "damaged at entry 1", patched(two, centralSignature, 0, 20, 0xff, 0xff, 0xff, 0xff), small},
		{"too dense", "more than 20 times", zipped(t, dense...), wide},
		{"too much", "unpacks to more than", zipped(t, dense...), Limits{Entries: 10, Entry: 10000, Total: 50000, Slack: 1 << 20, Ratio: 1}},
	} {
		_, err := readZip(t, c.input, c.limits)
		if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	broken := errors.New("input/output error")
	if _, err := NewZip(failing{broken}, 1000, small); !errors.Is(err, broken) {
		t.Errorf("a fault of the disk: %v", err)
	}
}

// TestZipOverlap: the better zip bomb of Fifield, whose entries all quote the one
// before in their own data, is refused at its second entry.
func TestZipOverlap(t *testing.T) {
	var kernel bytes.Buffer
	w, err := flate.NewWriter(&kernel, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 90))
	w.Close()
	b := zipped(t, "A", string(make([]byte, 90)), "B", string(make([]byte, 90)))
	local := bytes.LastIndex(b, binary.LittleEndian.AppendUint32(nil, localSignature))
	grown := binary.LittleEndian.AppendUint32(nil, uint32(local+kernel.Len())) // the first entry has the second in it
	got, err := readZip(t, patched(b, centralSignature, 0, 20, grown...), small)
	if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "overlaps") {
		t.Errorf("%+v, %v", got, err)
	}
}

// memory is a Scratch.
type memory struct{ bytes.Buffer }

// ReadAt reads from what was written.
func (m *memory) ReadAt(b []byte, at int64) (int, error) {
	return bytes.NewReader(m.Bytes()).ReadAt(b, at)
}

// TestZipWriter: what is written is what archive/zip and our own reader read, also
// where there are more entries than fit zip without zip64.
func TestZipWriter(t *testing.T) {
	when := time.Date(2026, 11, 25, 13, 14, 16, 0, time.UTC)
	for _, count := range []int{0, 1, 1<<16 - 1, 1 << 16} {
		make := func() []byte {
			var out bytes.Buffer
			w := NewZipWriter(&out, new(memory), when)
			for i := range count {
				if err := w.Add(fmt.Sprintf("SM-%d.pem", i), fmt.Append(nil, "content ", i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.AddFrom("index.csv", strings.NewReader("one"), 3, 0x7a6c86f1); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return out.Bytes()
		}
		b := make()
		if !bytes.Equal(b, make()) {
			t.Errorf("%d files: not the same archive twice", count)
		}
		theirs, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		ours, err := readZip(t, b, Limits{Entries: 1 << 20, Entry: 100, Total: 1 << 30, Ratio: 10, Slack: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(ours) != count+1 || len(theirs.File) != count+1 {
			t.Fatalf("%d files: %d and %d are read", count+1, len(ours), len(theirs.File))
		}
		for i, f := range theirs.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil || f.Name != ours[i].Name || !bytes.Equal(content, ours[i].Content) || !f.Modified.Equal(when) || f.Mode() != 0o644 {
				t.Fatalf("file %d: %s %q %v %v, %v", i, f.Name, content, f.Modified, f.Mode(), err)
			}
		}
	}
}

// TestZipWriterLarge: sizes and offsets beyond 32 bits are written as zip64 has
// them.
func TestZipWriterLarge(t *testing.T) {
	const size = 5 << 30
	var at int64
	tail := &last{keep: 1 << 10}
	w := NewZipWriter(tail, new(memory), time.Time{})
	if err := w.AddFrom("large", zeros{}, size, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.Add("small", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	at = tail.total
	r, err := zip.NewReader(tail, at)
	if err != nil {
		t.Fatal(err)
	}
	if r.File[0].UncompressedSize64 != size {
		t.Errorf("the large file has %d bytes", r.File[0].UncompressedSize64)
	}
	f, err := r.Open("small")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "one" {
		t.Errorf("after 4 GiB: %q, %v", got, err)
	}
	z, err := NewZip(tail, at, small)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := z.Next(); err != nil || !strings.Contains(e.Problem, "5368709120 bytes") {
		t.Errorf("our reader: %+v, %v", e, err)
	}
	if e, err := z.Next(); err != nil || string(e.Content) != "one" {
		t.Errorf("our reader: %+v, %v", e, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// last keeps the end of what is written, and its beginning; between are zeros.
type last struct {
	keep  int
	head  []byte
	tail  []byte
	total int64
}

// Write appends.
func (l *last) Write(b []byte) (int, error) {
	if len(l.head) < l.keep {
		l.head = append(l.head, b[:min(len(b), l.keep-len(l.head))]...)
	}
	l.total += int64(len(b))
	l.tail = append(l.tail, b...)
	l.tail = append(l.tail[:0], l.tail[max(0, len(l.tail)-l.keep):]...)
	return len(b), nil
}

// ReadAt reads.
func (l *last) ReadAt(b []byte, at int64) (int, error) {
	for i := range b {
		switch p := at + int64(i); {
		case p >= l.total:
			return i, io.EOF
		case p >= l.total-int64(len(l.tail)):
			b[i] = l.tail[p-l.total+int64(len(l.tail))]
		case p < int64(len(l.head)):
			b[i] = l.head[p]
		default:
			b[i] = 0
		}
	}
	return len(b), nil
}

func FuzzZip(f *testing.F) {
	f.Add(zipped(f, "lot/SM-1.csr", "one", "SM-2.csr", strings.Repeat("x", 90)))
	f.Add(patched(zipped(f, "SM-1.csr", "one", "SM-2.csr", "two"), centralSignature, 1, 42, 0, 0))
	var out bytes.Buffer
	w := NewZipWriter(&out, new(memory), time.Time{})
	if err := errors.Join(w.Add("SM-1.csr", []byte("one")), w.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := readZip(t, b, small)
		if err != nil && pki.KindOf(err) != pki.Malformed {
			t.Fatalf("%v", err)
		}
		checkEntries(t, entries)
	})
}

func FuzzTarGz(f *testing.F) {
	f.Add([]byte("not gzip"), true)
	f.Add(bytes.Repeat([]byte("x"), 1024), false)
	f.Fuzz(func(t *testing.T, b []byte, raw bool) {
		if !raw {
			b = gzipped(t, b)
		}
		entries, err := readAll(t, NewTarGz(bytes.NewReader(b), small))
		if err != nil && pki.KindOf(err) != pki.Malformed {
			t.Fatalf("%v", err)
		}
		checkEntries(t, entries)
	})
}

func checkEntries(t *testing.T, entries []Entry) {
	if int64(len(entries)) > small.Entries {
		t.Errorf("%d entries", len(entries))
	}
	for _, e := range entries {
		if int64(len(e.Content)) > small.Entry || e.Problem != "" && len(e.Content) > 0 || e.Problem == "" && strings.Contains(e.Name, "../") {
			t.Errorf("entry %+v", e)
		}
	}
}
