package cli

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// packRequests is "pack [-pairs] requests.pem PREFIX out.zip|out.tar.gz|out.csv": it writes
// the requests as devices PREFIX1, PREFIX2 and so on, of pairs two for each.
func packRequests(ts *testscript.TestScript, neg bool, args []string) {
	pairs := len(args) > 0 && args[0] == "-pairs"
	if pairs {
		args = args[1:]
	}
	if neg || len(args) != 3 {
		ts.Fatalf("usage: pack [-pairs] requests.pem PREFIX FILE")
	}
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	tw, zw := tar.NewWriter(gz), zip.NewWriter(&out)
	out.Reset()
	isZip, isCSV := strings.HasSuffix(args[2], ".zip"), strings.HasSuffix(args[2], ".csv")
	switch {
	case isCSV && pairs:
		out.WriteString("device,csr,pair_csr\r\n")
	case isCSV:
		out.WriteString("device,csr,attributes.colour\r\n")
	}
	rest := []byte(ts.ReadFile(args[0]))
	for n := 1; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		device := fmt.Sprint(args[1], n)
		if pairs {
			device = fmt.Sprint(args[1], (n+1)/2)
		}
		second := pairs && n%2 == 0
		if second && !isCSV {
			device += ".pair"
		}
		w, err := io.Writer(tw), error(nil)
		switch {
		case isCSV && second:
			_, err = fmt.Fprintf(&out, ",\"%s\"\r\n", pem.EncodeToMemory(block))
			w = io.Discard
		case isCSV && pairs:
			_, err = fmt.Fprintf(&out, "%s,\"%s\"", device, pem.EncodeToMemory(block))
			w = io.Discard
		case isCSV:
			_, err = fmt.Fprintf(&out, "%s,\"%s\",grey\r\n", device, pem.EncodeToMemory(block))
			w = io.Discard
		case isZip:
			w, err = zw.Create("lot/" + device + ".der")
		default:
			err = tw.WriteHeader(&tar.Header{Name: device + ".der", Size: int64(len(block.Bytes)), Mode: 0o644})
		}
		if err == nil {
			_, err = w.Write(block.Bytes)
		}
		ts.Check(err)
	}
	switch {
	case isZip:
		ts.Check(zw.Close())
	case !isCSV:
		ts.Check(errors.Join(tw.Close(), gz.Close()))
	}
	f, err := createNew(ts.MkAbs(args[2]))
	ts.Check(err)
	_, err = f.Write(out.Bytes())
	ts.Check(errors.Join(err, f.Close()))
}

// unpackZip is "unpack FILE": it writes the archive's files.
func unpackZip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unpack FILE")
	}
	z, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.CopyFS(ts.MkAbs("."), z))
	ts.Check(z.Close())
}
