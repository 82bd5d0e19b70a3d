package registry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// An ImportFormat is how a list of planned devices is written.
type ImportFormat string

// The formats.
const (
	NDJSON ImportFormat = "ndjson" // {"device":"...","product_line":"...","lot":"...","site":"..."} a line
	CSV    ImportFormat = "csv"    // under a header with the same names; one record a line
)

// The bounds of an import.
const (
	MaxImport   = 10_000_000 // rows
	maxRow      = 4096       // bytes of a line
	importChunk = 1000       // rows of one transaction
	maxProblems = 100        // that are told one by one
)

// An Import says what became of a list of planned devices.
type Import struct {
	Planned   int64 // new
	Moved     int64 // planned already, in another place
	Unchanged int64 // planned already in this place, or beyond planned
	Refused   int64
	Problems  []ImportProblem // of the first refused rows
}

// An ImportProblem is why a row was refused.
type ImportProblem struct {
	Row    int64 // from 1, without the header
	Reason string
}

// ImportDevices makes devices known before they enrol. Rows that say no place get
// the default; a row that is wrong is refused by itself. Up to a thousand rows
// are one transaction with its event: an import that breaks off has its first
// rows, and the same list again changes nothing more. It needs
// access.ManageRegistry.
func (s *Service) ImportDevices(ctx context.Context, g access.Permit, format ImportFormat, defaults pki.Placement, body io.Reader) (*Import, error) {
	if err := g.CheckSome(access.ManageRegistry); err != nil {
		return nil, err
	}
	rows, err := newRowReader(format, body)
	if err != nil {
		return nil, err
	}
	out := new(Import)
	var chunk []*Device
	store := func(first int64) error {
		if len(chunk) == 0 {
			return nil
		}
		planned, moved, err := s.cfg.Store.PlanDevices(ctx, g.Tenant(), chunk, s.event(g, "device.import", "devices",
			fmt.Sprintf("%d devices from row %d on, beginning with %q", len(chunk), first, chunk[0].ID)))
		out.Planned, out.Moved = out.Planned+int64(planned), out.Moved+int64(moved)
		out.Unchanged += int64(len(chunk) - planned - moved)
		if err == nil {
			s.stats.Planned.Add(planned)
			s.stats.Moved.Add(moved)
			s.stats.Unchanged.Add(len(chunk) - planned - moved)
		}
		chunk = chunk[:0]
		return err
	}
	now, first := s.cfg.Now().UTC(), int64(1)
	for n := int64(1); ; n++ {
		d, err := rows.next()
		if err == io.EOF {
			return out, store(first)
		}
		if n > MaxImport {
			return nil, pki.Errorf(pki.Malformed, "an import has at most %d rows: make several", MaxImport)
		}
		if err == nil {
			err = s.plan(ctx, g, d, defaults)
		}
		switch kind := pki.KindOf(err); {
		case err == nil:
			d.Owner, d.State, d.Created, d.Updated = g.Tenant(), Planned, now, now
			if len(chunk) == 0 {
				first = n
			}
			chunk = append(chunk, d)
		case kind == pki.Malformed || kind == pki.PolicyRefused || kind == pki.Forbidden || kind == pki.Conflict: // of a closed lot
			out.refuse(n, err)
			s.stats.Refused.Add(1)
		default:
			return nil, err
		}
		if len(chunk) == importChunk {
			if err := store(first); err != nil {
				return nil, err
			}
		}
	}
}

func (i *Import) refuse(row int64, err error) {
	i.Refused++
	if len(i.Problems) < maxProblems {
		i.Problems = append(i.Problems, ImportProblem{row, pki.DetailOf(err)})
	}
}

// plan checks a row and completes its place.
func (s *Service) plan(ctx context.Context, g access.Permit, d *Device, defaults pki.Placement) error {
	if err := pki.CheckDevice(d.ID); err != nil {
		return err
	}
	p := &d.Placement
	for _, part := range []struct {
		what      string
		name, say *string
	}{
		{"product line", &p.ProductLine, &defaults.ProductLine}, {"lot", &p.Lot, &defaults.Lot}, {"site", &p.Site, &defaults.Site},
	} {
		if *part.name == "" {
			*part.name = *part.say
		}
		if *part.name == "" {
			continue
		}
		if err := CheckName(part.what, *part.name); err != nil {
			return err
		}
	}
	whole, err := s.Complete(ctx, g.Tenant(), d.Placement)
	d.Placement = whole
	if err != nil || g.Whole() {
		return err
	}
	if err := g.CheckAt(access.ManageRegistry, whereIs(whole)); err != nil {
		return err
	}
	// One that is planned somewhere else would be moved here.
	is, err := s.cfg.Store.Device(ctx, g.Tenant(), d.ID)
	if pki.KindOf(err) == pki.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return g.CheckAt(access.ManageRegistry, whereIs(is.Placement))
}

// A rowReader reads planned devices, one a line. It holds one line, of bounded
// length.
type rowReader struct {
	lines  *bufio.Reader
	format ImportFormat
	header []string // of CSV
}

func newRowReader(format ImportFormat, body io.Reader) (*rowReader, error) {
	r := &rowReader{lines: bufio.NewReaderSize(body, maxRow+2), format: format}
	if bom, _ := r.lines.Peek(3); bytes.Equal(bom, []byte("\ufeff")) { // what some spreadsheets begin with
		_, _ = r.lines.Discard(3)
	}
	switch format {
	case NDJSON:
		return r, nil
	case CSV:
	default:
		return nil, pki.Errorf(pki.Malformed, "format %.20q: it is %s or %s", format, NDJSON, CSV)
	}
	line, err := r.line()
	if err == nil {
		r.header, err = csvRecord(line)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	known := []string{"device", "product_line", "lot", "site"}
	for i, name := range r.header {
		if !slices.Contains(known, name) || slices.Contains(r.header[:i], name) {
			return nil, pki.Errorf(pki.Malformed, "column %.40q: the header names device and, where wanted, product_line, lot and site, each once", name)
		}
	}
	if !slices.Contains(r.header, "device") {
		return nil, pki.Errorf(pki.Malformed, "the first line must be a header that names the column device")
	}
	return r, nil
}

// line returns the next line that is not empty, without its end.
func (r *rowReader) line() ([]byte, error) {
	for {
		line, err := r.lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.lines.ReadSlice('\n')
			}
			if err == nil || err == io.EOF {
				return nil, pki.Errorf(pki.Malformed, "a line of more than %d bytes", maxRow)
			}
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case err != nil && err != io.EOF:
			return nil, fmt.Errorf("reading an import: %w", err)
		case len(line) > 0:
			return line, nil
		case err == io.EOF:
			return nil, io.EOF
		}
	}
}

// next returns the next row, io.EOF at the end, or Malformed for a row that
// cannot be read; the reader goes on after that.
func (r *rowReader) next() (*Device, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	if r.format == CSV {
		return r.record(line)
	}
	var row struct {
		Device      string `json:"device"`
		ProductLine string `json:"product_line"`
		Lot         string `json:"lot"`
		Site        string `json:"site"`
	}
	if err := strictjson.Unmarshal(line, &row); err != nil {
		return nil, pki.Because(pki.Malformed, err, "it is not a JSON object with device and, where wanted, product_line, lot and site, and nothing else")
	}
	return &Device{ID: pki.DeviceID(row.Device), Placement: pki.Placement{ProductLine: row.ProductLine, Lot: row.Lot, Site: row.Site}}, nil
}

func (r *rowReader) record(line []byte) (*Device, error) {
	fields, err := csvRecord(line)
	if err != nil {
		return nil, err
	}
	if len(fields) != len(r.header) {
		return nil, pki.Errorf(pki.Malformed, "it has %d fields and the header %d", len(fields), len(r.header))
	}
	d := new(Device)
	for i, name := range r.header {
		switch name {
		case "device":
			d.ID = pki.DeviceID(fields[i])
		case "product_line":
			d.ProductLine = fields[i]
		case "lot":
			d.Lot = fields[i]
		case "site":
			d.Site = fields[i]
		}
	}
	return d, nil
}

// csvRecord reads one line of RFC 4180. A quoted field does not go on in the next
// line: no name has a line break.
func csvRecord(line []byte) ([]string, error) {
	fields, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "it is not a line of CSV (RFC 4180), with commas")
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, nil
}
