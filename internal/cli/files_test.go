package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pando-pki/pando/client"
)

func TestSniff(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want client.Format
	}{
		"PEM":                    {"-----BEGIN CERTIFICATE REQUEST-----\n", client.PEM},
		"PEM after a comment":    {"lot 7 {\n-----BEGIN", client.PEM},
		"NDJSON":                 {`{"csr":"..."}`, client.NDJSON},
		"NDJSON after blanks":    {"\n \t{}\n", client.NDJSON},
		"CSV":                    {"device,csr\r\nSM-1,AAAA\r\n", client.CSV},
		"CSV with PEM in it":     {"\"csr\"\n\"-----BEGIN CERTIFICATE REQUEST-----\n", client.CSV},
		"gzip":                   {"\x1f\x8b\x08\x00", client.TarGz},
		"zip":                    {"PK\x03\x04\x14\x00", client.Zip},
		"tar":                    {"0001.csr\x00\x00\n-----BEGIN CERTIFICATE REQUEST-----\n", ""},
		"blanks":                 {"  \n", ""},
		"CSV of something else":  {"name,city\n", ""},
		"longer than is sniffed": {string(bytes.Repeat([]byte("{}\n"), sniffed)), client.NDJSON},
	} {
		t.Run(name, func(t *testing.T) {
			checkSniff(t, bytes.NewReader([]byte(test.text)), test.text, test.want)

			path := filepath.Join(t.TempDir(), "rows")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			rows := checkSniff(t, f, test.text, test.want)
			if _, ok := rows.(io.Seeker); !ok {
				t.Error("the rows of a file cannot be sent again")
			}
		})
	}
	if _, _, err := sniff(bytes.NewReader(nil)); err == nil {
		t.Error("an empty file is accepted")
	}
}

func TestFormatOfRows(t *testing.T) {
	for path, want := range map[string]client.Format{
		"lot.pem": client.PEM, "lot.7.PEM": client.PEM, "lot.ndjson": client.NDJSON, "lot.jsonl": client.NDJSON, "lot.JSON": client.NDJSON,
		"lot.csv": client.CSV, "lot.tar.gz": client.TarGz, "lot.TGZ": client.TarGz, "lot.zip": client.Zip, "lot.gz": "",
		"lot": "", "lot.txt": "", "-": "", "pem": "", "lot.pem/rows": "",
	} {
		if got := formatOfRows(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// checkSniff sniffs r, which holds text, and returns the rows.
func checkSniff(t *testing.T, r io.Reader, text string, want client.Format) io.Reader {
	t.Helper()
	format, rows, err := sniff(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rows)
	if err != nil {
		t.Fatal(err)
	}
	if format != want {
		t.Errorf("format %s, want %s", format, want)
	}
	if diff := cmp.Diff(text, string(got)); diff != "" {
		t.Errorf("rows were changed:\n%s", diff)
	}
	return rows
}

func FuzzReadPEM(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &console{in: bytes.NewReader(text)}
		der, err := c.readPEM("-", "CERTIFICATE", 1<<16)
		if err == nil && bytes.Contains(der, []byte("-----BEGIN")) {
			t.Errorf("a PEM block was taken for DER: %q", der)
		}
	})
}
