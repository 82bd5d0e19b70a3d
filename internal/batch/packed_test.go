package batch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// packed makes an archive of names and contents.
func packed(t testing.TB, f Format, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	tw, zw := tar.NewWriter(gz), zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		var w io.Writer = tw
		var err error
		if f == Zip {
			w, err = zw.Create(files[i])
		} else {
			err = tw.WriteHeader(&tar.Header{Name: files[i], Typeflag: tar.TypeReg, Size: int64(len(files[i+1])), Mode: 0o600})
		}
		if err == nil {
			_, err = io.WriteString(w, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	closers := []io.Closer{tw, gz}
	if f == Zip {
		closers = []io.Closer{zw}
	}
	for _, c := range closers {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// TestReadArchive: each file is a row, whose name says the device.
func TestReadArchive(t *testing.T) {
	spool, err := OpenSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	der := "\x30\x03one"
	row := func(device, csr string) enroll.Row {
		return enroll.Row{Subject: enroll.Subject{Device: pki.DeviceID(device), CSR: []byte(csr)}}
	}
	refused := func(device, text string) enroll.Row {
		return enroll.Row{Problem: text, Subject: enroll.Subject{Device: pki.DeviceID(device)}}
	}
	want := []enroll.Row{
		row("SM-1", der), row("SM.2", "one"), row("SM-3", "one"),
		refused("SM-4", `entry "SM-4.csr": it is a "CERTIFICATE", not a CERTIFICATE REQUEST`),
		refused("SM-5", `entry "SM-5.csr": it is neither DER nor one PEM block`),
		refused("SM-6", `entry "SM-6.csr": it is empty`),
		refused("", `entry "SM-7.csr.zip": its name ends in none of .csr, .pem and .der`),
		refused("", `entry "README": its name ends in none of .csr, .pem and .der`),
		refused("", `entry ".csr": device id "": it has 1 to 128 printable ASCII characters and no space at either end`),
		refused("", `entry "SM-ü.csr": device id "SM-ü": it has 1 to 128 printable ASCII characters and no space at either end`),
		refused("", `entry "../SM-8.csr": its name has ".." in it`),
	}
	for _, f := range []Format{TarGz, Zip} {
		input := packed(t, f, "SM-1.der", der, "lot/SM.2.pem", "work order\n"[:0]+block("CERTIFICATE REQUEST", "one"), "SM-3.CSR", "\n"+block("NEW CERTIFICATE REQUEST", "one"),
			"SM-4.csr", block("CERTIFICATE", "one"), "SM-5.csr", "PK\x03\x04", "SM-6.csr", "", "SM-7.csr.zip", "PK", "README", "read me", ".csr", der,
			"SM-ü.csr", der, "../SM-8.csr", der)
		rd, done, err := newReader(f, bytes.NewReader(input), spool, false)
		if err != nil {
			t.Fatal(err)
		}
		var got []enroll.Row
		for {
			row, err := rd.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", f, diff)
		}
		done()
	}
	if spool.held != 0 {
		t.Errorf("the spool holds %d bytes", spool.held)
	}
}

// TestSpool: nothing stays in a spool, what a crash left goes, and what it holds is
// bounded.
func TestSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	spool, err := OpenSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, keep := range map[string]bool{spoolPrefix + "left": false, "other": true} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if spool, err = OpenSpool(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != keep {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := spool.create(10)
	if err != nil {
		t.Fatal(err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, spoolPrefix+"*")); err != nil || len(files) > 0 {
		t.Errorf("an open file has a name: %v, %v", files, err)
	}
	if _, err := c.Write([]byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("0")); pki.KindOf(err) != pki.Malformed || !strings.Contains(err.Error(), "larger than 10 bytes") {
		t.Errorf("above its limit: %v", err)
	}
	if got, err := io.ReadAll(c.reader()); err != nil || string(got) != "0123456789" {
		t.Errorf("%q, %v", got, err)
	}
	spool.held = maxSpool
	other, err := spool.create(10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write([]byte("0")); pki.KindOf(err) != pki.Unavailable {
		t.Errorf("a full spool: %v", err)
	}
	spool.held = 10
	if err := c.Close(); err != nil || spool.held != 0 {
		t.Errorf("after the end it holds %d bytes, %v", spool.held, err)
	}
}
