package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// batchSubmit is "pando batch submit".
type batchSubmit struct {
	File           string `arg:"" help:"CSRs, in a format that the file's name tells (.pem, .ndjson, .jsonl, .json, .csv, .tar.gz, .tgz, .zip), otherwise how it begins; - is standard input."`
	Format         string `enum:"pem,ndjson,csv,tar.gz,zip," default:"" placeholder:"FORMAT" help:"pem, ndjson, csv, tar.gz or zip, whatever the file's name."`
	Endpoint       string `required:"" placeholder:"LABEL" help:"Label or name of the endpoint."`
	PairEndpoint   string `placeholder:"LABEL" help:"Endpoint of the second certificate of each device, in a batch of pairs: both are issued or neither."`
	ProductLine    string `placeholder:"NAME" help:"Product line of rows that say nothing."`
	Lot            string `placeholder:"NAME" help:"Lot of rows that say nothing."`
	Site           string `placeholder:"NAME" help:"Site of rows that say nothing."`
	DryRun         bool   `help:"Check every row and sign nothing; 'pando batch issue' then starts it."`
	IdempotencyKey string `placeholder:"TEXT" help:"The same file under the same key is the same batch (default: SHA-256 of endpoints and file; none for standard input)."`
	waiting
}

func (batchSubmit) Help() string {
	return `The device id of a PEM row is the serialNumber of its subject, else the CN. An NDJSON row is an object with "csr" (DER in base64, or PEM) and, where wanted, "device", "product_line", "lot", "site" and "attributes". CSV has a header with these names, attributes as "attributes.NAME". In zip and tar.gz each file is a row, PEM or DER: the name of SM-000001.csr (or .pem, .der) says the device, in whatever folder.

With --pair-endpoint each device has two requests: "csr" and "pair_csr" in NDJSON and CSV, SM-000001.csr and SM-000001.pair.csr in archives. Both certificates are issued or neither; each is a row, the two of a device one after the other. PEM does not say which two are of one device.

Submitting the same file to the same endpoint again, after a failure for instance, finds the same batch: nothing is signed twice. For a second batch of the same file, give another --idempotency-key.

With --wait or --results the exit status is 1 where the batch was cancelled or a row was refused.

Examples:

    pando batch submit lot-7.pem --endpoint meter --lot 7 --results lot-7.ndjson
    pando batch submit lot-7.zip --endpoint meter --lot 7 --dry-run --wait
    pando batch submit erp-export.txt --format csv --endpoint meter
    pando batch submit lot-7.ndjson --endpoint gb-signing --pair-endpoint gb-key-agreement --lot 7 --results lot-7.zip`
}

// Run submits the file.
func (s *batchSubmit) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := refuseExisting(s.Results); err != nil {
		return err
	}
	body, key, err := s.open(c)
	if err != nil {
		return err
	}
	defer body.Close()
	format, rows, err := sniff(body)
	if err != nil {
		return err
	}
	switch named := formatOfRows(s.File); {
	case s.Format != "":
		format = client.Format(s.Format)
	case named != "":
		format = named
	case format == "":
		return hintf(errors.New("neither its name nor how it begins tells the format of the file"), "say which it is with --format; a tar archive is packed with gzip, as by tar -czf")
	}
	p := newProgress(c)
	b, err := cl.Submit(ctx, client.Submission{
		Endpoint: s.Endpoint, PairEndpoint: s.PairEndpoint, Format: format, ProductLine: s.ProductLine, Lot: s.Lot, Site: s.Site,
		DryRun: s.DryRun, IdempotencyKey: key,
	}, newUpload(rows, p))
	p.end()
	if kindOf(err) == pki.Conflict.String() && key != s.IdempotencyKey && strings.Contains(err.Error(), "idempotency key") {
		return hintf(err, "endpoint and file are the key where none is given: --idempotency-key gives another")
	}
	if kindOf(err) == pki.Malformed.String() && strings.Contains(err.Error(), "there is no row in the upload") {
		return hintf(err, "it was read as %s: where that is not its format, say which is with --format", format)
	}
	if err != nil {
		return unanswered(err, key)
	}
	if s.File != "-" && s.IdempotencyKey == "" {
		c.note("submitting the same file again finds this batch: its idempotency key is %s", key)
	}
	return s.follow(ctx, c, cl, b)
}

// unanswered adds to an error of an upload that got no answer what submitting again
// does: the batch may have been made.
func unanswered(err error, key string) error {
	_, answered := errors.AsType[*client.Problem](err)
	_, waits := errors.AsType[*client.Waiting](err)
	switch {
	case answered || waits || errors.Is(err, syscall.ECONNREFUSED) || hintOf(err) != "":
		return err
	case key == "":
		return hintf(err, "the batch may have been made all the same, and would be made again: look with 'pando batch list' first")
	}
	return hintf(err, "submit the same file again: under its idempotency key, %s, it finds the batch if one was made", key)
}

// open opens the file and returns the idempotency key.
func (s *batchSubmit) open(c *console) (io.ReadCloser, string, error) {
	if s.File == "-" {
		if s.IdempotencyKey == "" {
			c.note("standard input is submitted without an idempotency key: submitting it again makes another batch")
		}
		return io.NopCloser(c.in), s.IdempotencyKey, nil
	}
	f, err := os.Open(s.File)
	if err != nil || s.IdempotencyKey != "" {
		return f, s.IdempotencyKey, err
	}
	key, err := fileKey(s.Endpoint, s.PairEndpoint, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, "", err
	}
	return f, key, nil
}

// fileKey returns the idempotency key of a file under an endpoint: SHA-256 over
// the endpoint's name, a zero octet, and the file, in hexadecimal. The endpoint of pairs,
// where there is one, follows the first after a line feed.
func fileKey(endpoint, pair string, file io.Reader) (string, error) {
	if pair != "" {
		endpoint += "\n" + pair
	}
	h := sha256.New()
	h.Write(append([]byte(endpoint), 0))
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// formatOfRows returns the format of rows that a file's name tells, or "".
func formatOfRows(path string) client.Format {
	name := strings.ToLower(filepath.Base(path))
	for _, f := range []struct {
		ending string
		format client.Format
	}{
		{".pem", client.PEM}, {".ndjson", client.NDJSON}, {".jsonl", client.NDJSON}, {".json", client.NDJSON},
		{".csv", client.CSV}, {".tar.gz", client.TarGz}, {".tgz", client.TarGz}, {".zip", client.Zip},
	} {
		if strings.HasSuffix(name, f.ending) {
			return f.format
		}
	}
	return ""
}

// sniffed is how much of a file is looked at to tell its format, in bytes.
const sniffed = 4096

// sniff tells the format of rows by how they begin, or returns "". It returns a
// reader of all the rows, which can seek where r can.
func sniff(r io.Reader) (client.Format, io.Reader, error) {
	start := make([]byte, sniffed)
	n, err := io.ReadFull(r, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return "", nil, err
	}
	start = start[:n]
	format := formatOfStart(start)
	if f, ok := r.(*os.File); ok {
		if _, err := f.Seek(0, io.SeekStart); err == nil {
			return format, f, nil
		}
	}
	return format, io.MultiReader(bytes.NewReader(start), r), nil
}

// formatOfStart tells a format by what it begins with. CSV is what has a column
// csr; PEM may begin with any text, with a block in sight, but is no archive of such.
func formatOfStart(start []byte) client.Format {
	text := bytes.TrimLeft(start, " \t\r\n")
	header, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return client.Zip
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return client.TarGz
	case bytes.HasPrefix(text, []byte("{")):
		return client.NDJSON
	case slices.ContainsFunc(bytes.Split(bytes.TrimSpace(header), []byte(",")), func(name []byte) bool {
		return string(bytes.Trim(name, `"`)) == "csr"
	}):
		return client.CSV
	case bytes.Contains(text, []byte("-----BEGIN")) && bytes.IndexByte(text, 0) < 0:
		return client.PEM
	}
	return ""
}
