package registry

import (
	"bufio"
	"bytes"
	"cmp"
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
	Planned   int64           // new
	Moved     int64           // planned already, in another place
	Unchanged int64           // planned already in this place, or beyond planned and not said to be elsewhere
	Refused   int64           // wrong, or beyond planned and said to be elsewhere
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
// rows, and the same list again changes nothing more. A device that is beyond
// planned stays where it is: a row that says another place of it is refused. It
// needs access.ManageRegistry.
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
	var said []row // what is in chunk, as it was said
	store := func() error {
		if len(chunk) == 0 {
			return nil
		}
		planned, moved, kept, err := s.cfg.Store.PlanDevices(ctx, g.Tenant(), chunk, s.event(g, "device.import", "devices",
			fmt.Sprintf("%d devices from row %d on, beginning with %q", len(chunk), said[0].no, chunk[0].ID)))
		if err != nil {
			return err
		}
		out.Planned, out.Moved = out.Planned+int64(planned), out.Moved+int64(moved)
		refused := out.refuseKept(said, kept)
		unchanged := len(chunk) - planned - moved - int(refused)
		out.Unchanged += int64(unchanged)
		s.stats.Planned.Add(planned)
		s.stats.Moved.Add(moved)
		s.stats.Unchanged.Add(unchanged)
		s.stats.Refused.Add(int(refused))
		chunk, said = chunk[:0], said[:0]
		return nil
	}
	now := s.cfg.Now().UTC()
	for n := int64(1); ; n++ {
		d, err := rows.next()
		if err == io.EOF {
			return out, store()
		}
		if n > MaxImport {
			return nil, pki.Errorf(pki.Malformed, "an import has at most %d rows: make several", MaxImport)
		}
		var says pki.Placement
		if err == nil {
			d.Placement = pki.Placement{ProductLine: cmp.Or(d.ProductLine, defaults.ProductLine), Lot: cmp.Or(d.Lot, defaults.Lot), Site: cmp.Or(d.Site, defaults.Site)}
			says = d.Placement
			err = s.plan(ctx, g, d)
		}
		switch kind := pki.KindOf(err); {
		case err == nil:
			d.Owner, d.State, d.Created, d.Updated = g.Tenant(), Planned, now, now
			chunk, said = append(chunk, d), append(said, row{n, says})
		case kind == pki.Malformed || kind == pki.PolicyRefused || kind == pki.Forbidden || kind == pki.Conflict: // of a closed lot
			out.refuse(n, pki.DetailOf(err))
			s.stats.Refused.Add(1)
		default:
			return nil, err
		}
		if len(chunk) == importChunk {
			if err := store(); err != nil {
				return nil, err
			}
		}
	}
}

// refuse counts a refused row. Rows do not come in order.
func (i *Import) refuse(row int64, reason string) {
	i.Refused++
	at, _ := slices.BinarySearchFunc(i.Problems, row, func(p ImportProblem, row int64) int { return cmp.Compare(p.Row, row) })
	if at < maxProblems {
		i.Problems = slices.Insert(i.Problems, at, ImportProblem{row, reason})
		i.Problems = i.Problems[:min(len(i.Problems), maxProblems)]
	}
}

// A row is a device of a list.
type row struct {
	no    int64
	place pki.Placement // that it says, or the default, before what is known of its lot completes it
}

// refuseKept refuses the rows that say another place of a device than the one where it
// was kept, and returns how many they are.
func (i *Import) refuseKept(rows []row, kept map[int]*Device) (refused int64) {
	for n, is := range kept {
		var places []string
		for _, part := range []struct{ what, says, is string }{
			{"lot", rows[n].place.Lot, is.Lot}, {"product line", rows[n].place.ProductLine, is.ProductLine}, {"site", rows[n].place.Site, is.Site},
		} {
			switch {
			case part.says == "" || part.says == part.is:
			case part.is == "":
				places = append(places, "no "+part.what)
			default:
				places = append(places, fmt.Sprintf("%s %q", part.what, part.is))
			}
		}
		if len(places) > 0 {
			i.refuse(rows[n].no, fmt.Sprintf("the device %q is %s, in %s: only planned devices move", is.ID, is.State, strings.Join(places, ", ")))
			refused++
		}
	}
	return refused
}

// plan checks a row and completes its place.
func (s *Service) plan(ctx context.Context, g access.Permit, d *Device) error {
	if err := pki.CheckDevice(d.ID); err != nil {
		return err
	}
	for _, part := range []struct{ what, name string }{{"product line", d.ProductLine}, {"lot", d.Lot}, {"site", d.Site}} {
		if part.name == "" {
			continue
		}
		if err := CheckName(part.what, part.name); err != nil {
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
