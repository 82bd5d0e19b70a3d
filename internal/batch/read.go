package batch

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/archive"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Format is how the rows of an upload or of results are written.
type Format string

// The formats.
const (
	PEM    Format = "pem"    // concatenated; text between the blocks is passed over (RFC 7468, 2)
	NDJSON Format = "ndjson" // an object a line, see jsonRow
	CSV    Format = "csv"    // with a header, see csvReader; of uploads alone
	TarGz  Format = "tar.gz" // a file for each row, see archiveReader; of uploads alone
	Zip    Format = "zip"    // likewise; of results see Service.Archive
)

// Uploads lists the formats of uploads.
func Uploads() []Format { return []Format{PEM, NDJSON, CSV, TarGz, Zip} }

// maxRow is the largest row of an upload, as written: a request of tbs.MaxCSR
// bytes in base64 with what is said beside it.
const maxRow = 2 * tbs.MaxCSR

// reader reads rows one by one in bounded memory. A row that cannot be read is
// returned with its Problem. An error of kind Malformed says that the file is none
// of the format, or beyond its bounds; any other is a fault of the stream, and
// io.EOF its end.
type reader interface {
	next() (enroll.Row, error)
}

// newReader returns a reader of rows, and what to call when it is done with. Of pairs it
// reads both rows of a device one after the other, the first first.
func newReader(f Format, r io.Reader, s *Spool, pairs bool) (rows reader, done func(), err error) {
	lines := &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
	done = func() {}
	switch f {
	case PEM:
		return &pemReader{lines: lines}, done, nil
	case NDJSON:
		rows = &jsonReader{lines: lines}
	case CSV:
		rows = newCSVReader(r, pairs)
	case TarGz:
		rows = &archiveReader{archive.NewTarGz(r, archiveLimits)}
	case Zip:
		rows, done, err = newZipReader(s, r)
	default:
		err = checkFormat(f)
	}
	if err != nil || !pairs {
		return rows, done, err
	}
	return newPairReader(rows), done, nil
}

// row says what a row of an upload in the format is.
func (f Format) row() string {
	switch f {
	case PEM:
		return "a block from -----BEGIN CERTIFICATE REQUEST----- to its END"
	case NDJSON:
		return `a line with a JSON object that has "csr"`
	case CSV:
		return `a line after the header, which names the column "csr"`
	}
	return "a file with one certificate signing request"
}

// checkFormat reports whether uploads have a format.
func checkFormat(f Format) error {
	if !slices.Contains(Uploads(), f) {
		return pki.Errorf(pki.Malformed, "format %.20q: it is one of %v", f, Uploads())
	}
	return nil
}

// lineReader reads lines of at most maxRow bytes.
type lineReader struct {
	r   *bufio.Reader
	buf []byte
	no  int64
}

// next returns the next line without its end, valid until the next call; of a
// line above maxRow it returns whole false and passes over the rest.
func (l *lineReader) next() (line []byte, whole bool, err error) {
	l.buf = l.buf[:0]
	l.no++
	whole = true
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && whole && len(l.buf) == 0 && len(part) <= maxRow { // most lines: no copy
			return bytes.TrimRight(part, "\r\n"), true, nil
		}
		if whole = whole && len(l.buf)+len(part) <= maxRow; whole {
			l.buf = append(l.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && (len(l.buf) > 0 || !whole):
			return bytes.TrimRight(l.buf, "\r\n"), whole, nil
		case err != nil:
			return nil, false, err
		}
		return bytes.TrimRight(l.buf, "\r\n"), whole, nil
	}
}

// jsonRow is a line of NDJSON.
type jsonRow struct {
	CSR         string            `json:"csr"`      // base64 DER, or PEM
	PairCSR     string            `json:"pair_csr"` // likewise, of a pair
	Device      string            `json:"device"`
	ProductLine string            `json:"product_line"`
	Lot         string            `json:"lot"`
	Site        string            `json:"site"`
	Attributes  map[string]string `json:"attributes"`
}

// jsonReader reads one strict JSON object a line: unknown and duplicate names
// and invalid UTF-8 are refused. Empty lines are passed over, and so is a byte order mark
// at the beginning, which RFC 8259, 8.1 lets a reader ignore. An array, however it is
// broken into lines, has no rows: it refuses the file.
type jsonReader struct {
	lines *lineReader
	begun bool // a line with something in it was read
}

func (j *jsonReader) next() (enroll.Row, error) {
	row, pair, err := j.read()
	if pair != "" && row.Problem == "" {
		row = unreadable(row.Device, "line %d: pair_csr is for a batch of pairs, which has a pair_endpoint", j.lines.no)
	}
	return row, err
}

// pair reads the rows of one device.
func (j *jsonReader) pair() ([2]enroll.Row, error) {
	row, pair, err := j.read()
	return withSecond(row, pair, j.lines.no), err
}

// read reads one line: a row, and the text of the second request of a pair.
func (j *jsonReader) read() (row enroll.Row, pair string, err error) {
	for {
		line, whole, err := j.lines.next()
		if j.lines.no == 1 {
			line = bytes.TrimPrefix(line, byteOrderMark)
		}
		switch {
		case err != nil:
			return row, "", err
		case len(bytes.TrimSpace(line)) == 0 && whole:
			continue
		case !j.begun && bytes.HasPrefix(bytes.TrimSpace(line), []byte("[")):
			return row, "", pki.Errorf(pki.Malformed, "line %d begins a JSON array: write one object a line, as jq -c '.[]' does", j.lines.no)
		}
		j.begun = true
		if !whole {
			return problem("line %d is longer than a row may be", j.lines.no), "", nil
		}
		var in jsonRow
		if err := strictjson.Unmarshal(line, &in); err != nil {
			return problem("line %d is not a row: %v", j.lines.no, err), "", nil
		}
		return j.row(&in), in.PairCSR, nil
	}
}

func (j *jsonReader) row(in *jsonRow) enroll.Row {
	row := enroll.Row{Subject: enroll.Subject{
		Device:    pki.DeviceID(in.Device),
		Placement: pki.Placement{ProductLine: in.ProductLine, Lot: in.Lot, Site: in.Site}, Attributes: in.Attributes,
	}}
	var err error
	if row.CSR, err = decodeCSR(in.CSR); err != nil {
		return unreadable(row.Device, "line %d: %s", j.lines.no, pki.DetailOf(err))
	}
	return row
}

// decodeCSR returns the request in a text: PEM, or DER in base64.
func decodeCSR(text string) (csr []byte, err error) {
	if strings.HasPrefix(strings.TrimSpace(text), "-----") {
		csr, err = decodePEM([]byte(text))
	} else {
		csr, err = base64.StdEncoding.Strict().DecodeString(text)
	}
	if err != nil || len(csr) == 0 {
		return nil, pki.Errorf(pki.Malformed, "csr is neither base64 DER nor one PEM block")
	}
	return csr, nil
}

// unreadable is a row without its request, of a device where that is known.
func unreadable(device pki.DeviceID, format string, args ...any) enroll.Row {
	row := problem(format, args...)
	if pki.CheckDevice(device) == nil {
		row.Device = device
	}
	return row
}

func problem(format string, args ...any) enroll.Row {
	return enroll.Row{Problem: fmt.Sprintf(format, args...)}
}
