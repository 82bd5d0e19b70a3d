package batch

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// csvReader reads CSV as RFC 4180 has it, with a header: commas, fields in double
// quotes where they need them, lines that end in CRLF or LF. Empty lines are passed
// over.
//
// What leaves open where the next row begins, which is a quote in the wrong place,
// refuses the whole file: text inside a field could be taken for rows otherwise. A
// row with too many or too few fields, one that is too long, and one that is not
// UTF-8 end where they end, and are refused by themselves.
type csvReader struct {
	pairs   bool // the rows have the requests of pairs
	in      *bufio.Reader
	columns []csvColumn // nil before the header
	line    int64       // of the octet that comes next, from 1
	column  int64       // in octets, from 1
	buf     []byte      // the record's fields, one after another
	ends    []int       // where each ends in buf
	starts  []csvPlace
}

type csvPlace struct{ line, column int64 }

// A csvColumn puts a field into its place in a row.
type csvColumn struct {
	name string
	put  func(row *enroll.Row, field string)
}

const (
	attributePrefix = "attributes."
	maxColumns      = 64
)

func newCSVReader(r io.Reader, pairs bool) *csvReader {
	return &csvReader{pairs: pairs, in: bufio.NewReaderSize(r, 64<<10), line: 1, column: 1}
}

func (c *csvReader) next() (enroll.Row, error) {
	row, _, _, err := c.read()
	return row, err
}

// pair reads the rows of one device.
func (c *csvReader) pair() ([2]enroll.Row, error) {
	row, pair, line, err := c.read()
	return withSecond(row, pair, line), err
}

// read reads one record: a row, the text of the second request of a pair, and the line in
// which it begins.
func (c *csvReader) read() (row enroll.Row, pair string, line int64, err error) {
	if c.columns == nil {
		if err := c.header(); err != nil {
			return row, "", 0, err
		}
	}
	for {
		start := c.line
		if c.emptyLine() {
			continue
		}
		fits, err := c.record()
		switch {
		case err != nil:
			return row, "", start, err
		case !fits:
			return problem("the row in line %d is longer than a row may be", start), "", start, nil
		case len(c.ends) != len(c.columns):
			return problem("line %d has %d fields; the header has %d", start, len(c.ends), len(c.columns)), "", start, nil
		}
		row, pair = c.row(start)
		return row, pair, start, nil
	}
}

// emptyLine passes over a line that has nothing in it.
func (c *csvReader) emptyLine() bool {
	for _, end := range []string{"\n", "\r\n"} {
		if b, _ := c.in.Peek(len(end)); string(b) == end { // a fault is met again by whoever reads on
			_, _ = c.in.Discard(len(end))
			c.line++
			return true
		}
	}
	return false
}

// row makes a row of the record that was read; pair is as it stands there.
func (c *csvReader) row(start int64) (row enroll.Row, pair string) {
	var csr string
	for i, col := range c.columns {
		f := c.field(i)
		switch {
		case !utf8.Valid(f):
			return problem("line %d, column %d: %s is not text in UTF-8", c.starts[i].line, c.starts[i].column, col.name), ""
		case bytes.IndexByte(f, 0) >= 0:
			return problem("line %d, column %d: %s has an octet 0 in it", c.starts[i].line, c.starts[i].column, col.name), ""
		}
		switch {
		case col.name == "csr":
			csr = string(f)
		case col.name == pairColumn:
			pair = string(f)
		case len(f) > 0:
			col.put(&row, string(f))
		}
	}
	var err error
	if row.CSR, err = decodeCSR(csr); err != nil {
		return unreadable(row.Device, "line %d: %s", start, pki.DetailOf(err)), ""
	}
	return row, pair
}

func (c *csvReader) field(i int) []byte {
	from := 0
	if i > 0 {
		from = c.ends[i-1]
	}
	return c.buf[from:c.ends[i]]
}

// header reads the first record, and is particular about it: a column that is
// misspelt would be lost from every row.
func (c *csvReader) header() error {
	if err := c.checkEncoding(); err != nil {
		return err
	}
	for c.emptyLine() {
	}
	line := c.line
	fits, err := c.record()
	switch {
	case err != nil: // io.EOF of an empty file too
		return err
	case !fits || len(c.ends) > maxColumns:
		return pki.Errorf(pki.Malformed, "the header in line %d has more than %d columns", line, maxColumns)
	}
	columns := make([]csvColumn, len(c.ends))
	for i := range columns {
		name := string(c.field(i))
		if i == 0 && len(columns) == 1 && strings.ContainsAny(name, ";\t|") {
			return pki.Errorf(pki.Malformed, "line %d: columns are separated by commas, not by %q", line, name[strings.IndexAny(name, ";\t|")])
		}
		if slices.ContainsFunc(columns[:i], func(o csvColumn) bool { return o.name == name }) {
			return pki.Errorf(pki.Malformed, "line %d, column %d: %.60q stands in the header twice", line, c.starts[i].column, name)
		}
		if name == pairColumn && !c.pairs {
			return pki.Errorf(pki.Malformed, "line %d, column %d: %s is for a batch of pairs, which has a pair_endpoint", line, c.starts[i].column, name)
		}
		var known bool
		if columns[i], known = csvColumnOf(name); !known {
			return pki.Errorf(pki.Malformed, "line %d, column %d: unknown column %.60q: a header has csr, pair_csr for a batch of pairs, device, product_line, lot, site and attributes.NAME", line, c.starts[i].column, name)
		}
	}
	if !slices.ContainsFunc(columns, func(o csvColumn) bool { return o.name == "csr" }) {
		return pki.Errorf(pki.Malformed, "line %d: the header has no column csr", line)
	}
	if c.pairs && !slices.ContainsFunc(columns, func(o csvColumn) bool { return o.name == pairColumn }) {
		return pki.Errorf(pki.Malformed, "line %d: the header has no column %s, for the second request of each device", line, pairColumn)
	}
	c.columns = columns
	return nil
}

// pairColumn has the second request of a pair.
const pairColumn = "pair_csr"

// csvColumnOf returns the column of a name. Requests have no put: they are decoded when
// the rest of the row is known.
func csvColumnOf(name string) (csvColumn, bool) {
	col := csvColumn{name: name}
	switch attribute, ok := strings.CutPrefix(name, attributePrefix); {
	case name == "csr" || name == pairColumn:
	case name == "device":
		col.put = func(r *enroll.Row, f string) { r.Device = pki.DeviceID(f) }
	case name == "product_line":
		col.put = func(r *enroll.Row, f string) { r.Placement.ProductLine = f }
	case name == "lot":
		col.put = func(r *enroll.Row, f string) { r.Placement.Lot = f }
	case name == "site":
		col.put = func(r *enroll.Row, f string) { r.Placement.Site = f }
	case ok && attribute != "" && utf8.ValidString(attribute):
		col.put = func(r *enroll.Row, f string) {
			if r.Attributes == nil {
				r.Attributes = make(map[string]string)
			}
			r.Attributes[attribute] = f
		}
	default:
		return col, false
	}
	return col, true
}

// checkEncoding looks for what programs put before text that is not plain UTF-8.
func (c *csvReader) checkEncoding() error {
	start, err := c.in.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	switch {
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf")):
		return pki.Errorf(pki.Malformed, "line 1, column 1: the file begins with a byte order mark: save it as UTF-8 without one")
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")),
		len(start) >= 2 && (start[0] == 0) != (start[1] == 0):
		return pki.Errorf(pki.Malformed, "line 1, column 1: the file is UTF-16: save it as UTF-8")
	}
	return nil
}

// record reads the next record into buf, ends and starts; of one above maxRow it
// returns fits false and passes over the rest.
func (c *csvReader) record() (fits bool, err error) {
	c.buf, c.ends, c.starts = c.buf[:0], c.ends[:0], c.starts[:0]
	if _, err := c.in.Peek(1); err != nil {
		return false, err
	}
	size := 0 // with one octet for each comma
	keep := func(b []byte) {
		if size += len(b); size <= maxRow {
			c.buf = append(c.buf, b...)
		}
	}
	for {
		start := csvPlace{c.line, c.column}
		last, err := c.readField(keep)
		if err != nil {
			return false, err
		}
		if size++; size <= maxRow {
			c.starts, c.ends = append(c.starts, start), append(c.ends, len(c.buf))
		}
		if last {
			return size <= maxRow, nil
		}
	}
}

// readField reads one field and what ends it; last where that is the record's end.
func (c *csvReader) readField(keep func([]byte)) (last bool, err error) {
	b, err := c.octet()
	if err == nil && b == '"' {
		if err = c.quoted(keep); err != nil {
			return false, err
		}
		b, err = c.octet()
		if err == nil && b != ',' && b != '\r' && b != '\n' {
			return false, c.misplaced("there is text after the quote that ends a field")
		}
	} else if err == nil && strings.IndexByte(",\r\n\"", b) < 0 {
		keep([]byte{b})
		if err = c.span(",\r\n\"", keep); err == nil {
			b, err = c.octet()
		}
	}
	switch {
	case err == io.EOF:
		return true, nil
	case err != nil:
		return false, err
	case b == ',':
		return false, nil
	case b == '"':
		return false, c.misplaced("a quote stands inside a field that does not begin with one; write such a field in quotes, and quotes in it twice")
	case b == '\r':
		next, err := c.in.Peek(1)
		if err != nil && err != io.EOF {
			return false, err
		}
		if err == io.EOF || next[0] != '\n' {
			return false, c.misplaced("a carriage return stands alone; lines end in LF or CR LF")
		}
		_, _ = c.octet() // it is there
	}
	c.line, c.column = c.line+1, 1
	return true, nil
}

// quoted reads a field in quotes, whose first is read, to its last.
func (c *csvReader) quoted(keep func([]byte)) error {
	start := csvPlace{c.line, c.column - 1}
	for {
		err := c.span("\"\n", keep)
		var b byte
		if err == nil {
			b, err = c.octet()
		}
		switch {
		case err == io.EOF:
			return pki.Errorf(pki.Malformed, "line %d, column %d: the quote that begins here has no end", start.line, start.column)
		case err != nil:
			return err
		case b == '\n':
			c.line, c.column = c.line+1, 1
		default:
			next, err := c.in.Peek(1)
			if err != nil && err != io.EOF {
				return err
			}
			if err == io.EOF || next[0] != '"' {
				return nil
			}
			_, _ = c.octet() // it is there
		}
		keep([]byte{b})
	}
}

// span reads up to the next octet that is one of stop.
func (c *csvReader) span(stop string, keep func([]byte)) error {
	for {
		if _, err := c.in.Peek(1); err != nil {
			return err
		}
		b, _ := c.in.Peek(c.in.Buffered())
		n := bytes.IndexAny(b, stop)
		found := n >= 0
		if !found {
			n = len(b)
		}
		keep(b[:n])
		c.column += int64(n)
		if _, err := c.in.Discard(n); err != nil || found {
			return err
		}
	}
}

// octet reads one octet; line and column are those of the next.
func (c *csvReader) octet() (byte, error) {
	b, err := c.in.ReadByte()
	if err == nil {
		c.column++
	}
	return b, err
}

// misplaced is the error about the octet that was read last.
func (c *csvReader) misplaced(what string) error {
	return pki.Errorf(pki.Malformed, "line %d, column %d: %s", c.line, c.column-1, what)
}
