package simulate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

func TestWriteCSRs(t *testing.T) {
	var file bytes.Buffer
	dir := t.TempDir()
	progress := 0
	err := WriteCSRs(t.Context(), &file, CSRs{
		Devices: Devices{Prefix: "SM-", First: 990, Count: 70}, Format: client.PEM, KeyDir: dir,
		OnProgress: func(n int) { progress = n },
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	rest, n := file.Bytes(), 0
	for ; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		csr, err := tbs.ParseCSR(block.Bytes) // pando reads what the plant writes
		if err != nil {
			t.Fatal(err)
		}
		if err := csr.CheckProof(); err != nil {
			t.Fatal(err)
		}
		id := Devices{Prefix: "SM-", First: 990}.ID(n)
		if got := csr.Subject.Get("2.5.4.5"); got != string(id) {
			t.Errorf("request %d is for %q, want %q", n, got, id)
		}
		seen[string(csr.Key.SPKI())] = true
		checkFiles(t, dir, id, block.Bytes, csr)
	}
	if n != 70 || len(seen) != 70 || progress != 70 {
		t.Errorf("got %d requests with %d keys, progress %d, want 70", n, len(seen), progress)
	}
}

// checkFiles checks that the files of a device are those of its request.
func checkFiles(t *testing.T, dir string, id pki.DeviceID, want []byte, csr *tbs.CSR) {
	t.Helper()
	read := func(suffix string) []byte {
		name := filepath.Join(dir, string(id)+suffix)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		block, _ := pem.Decode(text)
		return block.Bytes
	}
	if !bytes.Equal(read(".csr"), want) {
		t.Errorf("%s.csr is not the request that was written", id)
	}
	key, err := x509.ParsePKCS8PrivateKey(read(".key"))
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.(*ecdsa.PrivateKey).Public())
	if err != nil || !bytes.Equal(spki, csr.Key.SPKI()) {
		t.Errorf("%s.key is not the key of the request", id)
	}
}

func TestWriteCSRsAsNDJSON(t *testing.T) {
	var file bytes.Buffer
	err := WriteCSRs(t.Context(), &file, CSRs{
		Devices: Devices{Prefix: "SM-", Count: 2}, Format: client.NDJSON, ProductLine: "E350", Lot: "L7",
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	for rows := json.NewDecoder(&file); ; {
		var row map[string]string
		if err := rows.Decode(&row); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(row["csr"]) < 200 {
			t.Errorf("the request has %d characters", len(row["csr"]))
		}
		delete(row, "csr")
		got = append(got, row)
	}
	want := []map[string]string{
		{"device": "SM-000001", "product_line": "E350", "lot": "L7"},
		{"device": "SM-000002", "product_line": "E350", "lot": "L7"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestWriteCSRsRefuses(t *testing.T) {
	for _, cfg := range []CSRs{
		{Devices: Devices{Count: 0}, Format: client.PEM},
		{Devices: Devices{Count: MaxDevices + 1}, Format: client.PEM},
		{Devices: Devices{Count: 1, First: -1}, Format: client.PEM},
		{Devices: Devices{Count: 1, Prefix: "a/b"}, Format: client.PEM},
		{Devices: Devices{Count: 1, Prefix: " a"}, Format: client.PEM},
		{Devices: Devices{Count: 1}, Format: "der"},
	} {
		if err := WriteCSRs(t.Context(), io.Discard, cfg); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%+v: got %v, want Malformed", cfg, err)
		}
	}
}

func TestWriteCSRsStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := WriteCSRs(ctx, io.Discard, CSRs{
		Devices: Devices{Count: MaxDevices}, Format: client.PEM,
		OnProgress: func(int) { cancel() },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func BenchmarkWriteCSRs(b *testing.B) {
	b.ReportAllocs()
	if err := WriteCSRs(b.Context(), io.Discard, CSRs{Devices: Devices{Count: b.N}, Format: client.PEM}); err != nil {
		b.Fatal(err)
	}
}

// FuzzHardwareSerial checks that what a server sends as a subjectAltName cannot
// bring the plant down.
func FuzzHardwareSerial(f *testing.F) {
	f.Add([]byte("\x30\x1e\xa0\x1c\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x04\xa0\x10\x30\x0e\x06\x09\x2b\x06\x01\x04\x01\x81\xfd\x59\x01\x04\x01\x31"))
	f.Fuzz(func(t *testing.T, names []byte) {
		if serial, err := hardwareSerial(names); err == nil && len(serial) > len(names) {
			t.Errorf("got %d bytes out of %d", len(serial), len(names))
		}
	})
}
