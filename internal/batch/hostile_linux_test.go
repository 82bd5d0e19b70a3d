package batch

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/archive"
	"github.com/pando-pki/pando/internal/pki"
)

// mostMemory is what a process that reads an upload may have at most.
const mostMemory = 256 << 20

// hostile are uploads that were made to harm. A bad one is refused as a whole, with
// the text, or has so many rows, each of which is refused.
var hostile = []struct {
	name   string
	format Format
	body   func() io.Reader
	text   string
	rows   int
	pairs  bool // it is of a batch of pairs
}{
	{"gzip bomb of 10 GB", TarGz, func() io.Reader { return gzipBomb(tarHeader("SM-1.csr", 10<<30), 10<<10) }, "more than 100 times", 1, false},
	{"gzip bomb without tar", TarGz, func() io.Reader { return gzipBomb(nil, 10<<10) }, "after the end of the tar archive", 0, false},
	{"gzip bomb in a header", TarGz, func() io.Reader {
		h := tarHeader("PaxHeader", 10<<30)
		h[156] = 'x'
		return gzipBomb(sum(h), 10<<10)
	}, "damaged", 0, false},
	{"zip bomb of 10 GB", Zip, func() io.Reader { return zipBomb(1, 10<<30, 10<<10) }, "", 1, false},
	{"zip bomb of many files", Zip, func() io.Reader { return zipBomb(80_000, maxRow, 0) }, "more than 100 times", 128, false},
	{"a million tiny entries, zip", Zip, func() io.Reader { return millionZip() }, "", 1_000_000, false},
	{"a million tiny entries, tar.gz", TarGz, func() io.Reader { return millionTar() }, "", 1_000_000, false},
	{"a million requests without their other", TarGz, millionTar, "--sort=name", 0, true},
	{"half a million pairs", TarGz, func() io.Reader {
		return tarOfMillion(func(i int) string { return fmt.Sprintf("SM-%d%s.csr", i/2, []string{"", secondName}[i%2]) })
	}, "", 1_000_000, true},
	{"archive in an archive", Zip, func() io.Reader {
		inner, err := io.ReadAll(zipBomb(1, 10<<30, 10<<10)) // 10 MB
		if err != nil {
			panic(err)
		}
		return zipOf(1, func(w *zip.Writer, name string) error {
			f, err := w.Create(name)
			if err == nil {
				_, err = f.Write(inner)
			}
			return err
		})
	}, "", 1, false},
	{"paths", TarGz, func() io.Reader {
		return gzipBomb(append(tarHeader("../../etc/cron.d/SM-1.csr", 0), tarHeader("/etc/SM-2.csr", 0)...), 0)
	}, "", 2, false},
	{"one line of 1 GB", CSV, func() io.Reader { return io.MultiReader(strings.NewReader("csr\n"), repeat([]byte("A"), 1<<30)) }, "", 1, false},
	{"one quote of 1 GB", CSV, func() io.Reader {
		return io.MultiReader(strings.NewReader("csr\n\""), repeat([]byte("AAAAAAAAAAAAAAA\n"), 1<<26))
	}, "has no end", 0, false},
	{"a header of 1 GB", CSV, func() io.Reader { return repeat([]byte("a header of CSV,"), 1<<26) }, "more than 64 columns", 0, false},
	{"a million commas", CSV, func() io.Reader { return io.MultiReader(strings.NewReader("csr\n"), repeat([]byte(","), 1<<20)) }, "", 1, false},
	{"one line of 1 GB, NDJSON", NDJSON, func() io.Reader { return repeat([]byte("{"), 1<<30) }, "", 1, false},
	{"an array of 1 GB", NDJSON, func() io.Reader { return repeat([]byte("["), 1<<30) }, "JSON array", 0, false},
}

// TestHostileUploads reads each in a process of its own, which may have no more
// than 256 MiB of memory at any time.
func TestHostileUploads(t *testing.T) {
	for i, c := range hostile {
		if testing.Short() && (c.rows > 1000 || strings.Contains(c.name, " 1 GB")) { // they take their time
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestReadHostile$", "-test.v")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", hostileIndex, i), "GOCOVERDIR="+t.TempDir())
			if c.format == Zip { // whoever writes one needs memory of its own
				cmd.ExtraFiles = []*os.File{c.body().(*os.File)}
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, peak, _ := strings.Cut(string(out), "VmHWM:")
			kib, err := strconv.ParseInt(strings.Fields(peak)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d MiB at most", kib>>10)
			if kib<<10 > mostMemory {
				t.Errorf("it took %d MiB", kib>>10)
			}
		})
	}
}

const hostileIndex = "PANDO_TEST_HOSTILE_UPLOAD"

// TestReadHostile reads the upload that the environment names, as a process that
// TestHostileUploads began; in another it has nothing to do.
func TestReadHostile(t *testing.T) {
	i, err := strconv.Atoi(os.Getenv(hostileIndex))
	if err != nil {
		return
	}
	c := hostile[i]
	spool, err := OpenSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var body io.Reader
	if c.format == Zip {
		body = os.NewFile(3, "upload")
	} else {
		body = c.body()
	}
	rd, done, err := newReader(c.format, body, spool, c.pairs)
	rows := 0
	for err == nil {
		row, e := rd.next()
		if err = e; err == nil {
			if rows++; row.Problem == "" {
				t.Errorf("row %d is well", rows)
			}
		}
	}
	if done != nil {
		done()
	}
	switch {
	case rows != c.rows:
		t.Errorf("%d rows, want %d", rows, c.rows)
	case c.text == "" && err != io.EOF, c.text != "" && (pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), c.text)):
		t.Errorf("%v, want %q", err, c.text)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	t.Logf("VmHWM: %s", strings.Fields(peak)[0])
}

// repeated is a text, so many times.
type repeated struct {
	text  []byte
	at    int
	times int
}

func repeat(text []byte, times int) io.Reader {
	for len(text) < 64<<10 && times > 0 && times%2 == 0 { // fewer, longer copies
		text, times = bytes.Repeat(text, 2), times/2
	}
	return &repeated{text: text, times: times}
}

// Read reads a part.
func (r *repeated) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if r.times == 0 {
			return n, io.EOF
		}
		c := copy(b[n:], r.text[r.at:])
		n += c
		if r.at += c; r.at == len(r.text) {
			r.at, r.times = 0, r.times-1
		}
	}
	return n, nil
}

// megabyte is the deflated form of a MiB of zeros, which can stand after itself.
func megabyte() []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write(make([]byte, 1<<20))
	w.Flush()
	b.Reset()
	w.Write(make([]byte, 1<<20)) // this one refers to the one before
	w.Flush()
	return b.Bytes()
}

// gzipBomb is a gzip member of a text and so many MiB of zeros.
func gzipBomb(text []byte, megabytes int) io.Reader {
	var head bytes.Buffer
	head.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255})
	w, _ := flate.NewWriter(&head, flate.BestCompression)
	text = append(bytes.Clone(text), make([]byte, 32<<10)...) // what the zeros refer to
	w.Write(text)
	w.Flush()
	crc := crc32.ChecksumIEEE(text)
	tail := []byte{1, 0, 0, 0xff, 0xff} // the last block, empty
	tail = binary.LittleEndian.AppendUint32(tail, crc)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(len(text))) // right where there are no more zeros
	return io.MultiReader(&head, repeat(megabyte(), megabytes), bytes.NewReader(tail))
}

// tarHeader is the header of a file.
func tarHeader(name string, size int64) []byte {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: name, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// sum sets a header's checksum.
func sum(h []byte) []byte {
	copy(h[148:156], "        ")
	n := 0
	for _, b := range h[:512] {
		n += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", n))
	return h
}

// zipBomb is an archive of so many files of zeros: each of the size, or as many MiB
// where that is not 0.
func zipBomb(files int, size uint64, megabytes int) io.Reader {
	data := bytes.Repeat(megabyte(), megabytes)
	if megabytes == 0 {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestCompression)
		w.Write(make([]byte, size))
		w.Close()
		data = b.Bytes()
	}
	crc := crc32.ChecksumIEEE(make([]byte, min(size, maxRow)))
	return zipOf(files, func(w *zip.Writer, name string) error {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, UncompressedSize64: size, CompressedSize64: uint64(len(data)), CRC32: crc}
		f, err := w.CreateRaw(h)
		if err == nil {
			_, err = f.Write(data)
		}
		return err
	})
}

// zipOf is an archive in a file without a name.
func zipOf(files int, add func(w *zip.Writer, name string) error) io.Reader {
	f, err := os.CreateTemp("", "hostile")
	if err != nil {
		panic(err)
	}
	os.Remove(f.Name())
	w := zip.NewWriter(f)
	for i := range files {
		if err := add(w, fmt.Sprintf("SM-%d.csr", i)); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		panic(err)
	}
	return f
}

// millionZip is an archive of a million files of one octet.
func millionZip() io.Reader {
	spool, err := OpenSpool(os.TempDir())
	if err != nil {
		panic(err)
	}
	directory, err := spool.create(maxArchive)
	if err != nil {
		panic(err)
	}
	defer directory.Close()
	f, err := os.CreateTemp("", "hostile")
	if err != nil {
		panic(err)
	}
	os.Remove(f.Name())
	out := bufio.NewWriterSize(f, 1<<20)
	w := archive.NewZipWriter(out, directory, time.Time{})
	for i := range 1_000_000 {
		if err := w.Add(fmt.Sprintf("SM-%d.csr", i), []byte("x")); err != nil {
			panic(err)
		}
	}
	if err := errors.Join(w.Close(), out.Flush()); err != nil {
		panic(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		panic(err)
	}
	return f
}

// millionTar is likewise a tar archive, as a stream. It is stored and not
// deflated: that takes the writer's time, and it is the entries that do harm.
func millionTar() io.Reader {
	return tarOfMillion(func(i int) string { return fmt.Sprintf("SM-%d.csr", i) })
}

// tarOfMillion is that with other names.
func tarOfMillion(name func(i int) string) io.Reader {
	r, w := io.Pipe()
	go func() {
		gz, _ := gzip.NewWriterLevel(w, gzip.NoCompression)
		tw := tar.NewWriter(gz)
		for i := range 1_000_000 {
			if tw.WriteHeader(&tar.Header{Name: name(i), Size: 1}) != nil {
				return // nobody reads any more
			}
			if _, err := tw.Write([]byte("x")); err != nil {
				return
			}
		}
		w.CloseWithError(errors.Join(tw.Close(), gz.Close()))
	}()
	return r
}
