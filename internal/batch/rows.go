package batch

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// appendRow appends a row as a chunk keeps it: each text preceded by its length
// as a uvarint, attributes as a count and pairs in order of name.
func appendRow(dst []byte, r *enroll.Row) []byte {
	dst = appendText(dst, r.Problem)
	dst = appendText(dst, r.CSR)
	dst = appendText(dst, r.Device)
	dst = appendText(dst, r.Placement.ProductLine)
	dst = appendText(dst, r.Placement.Lot)
	dst = appendText(dst, r.Placement.Site)
	dst = binary.AppendUvarint(dst, uint64(len(r.Attributes)))
	for _, k := range slices.Sorted(maps.Keys(r.Attributes)) {
		dst = appendText(dst, k)
		dst = appendText(dst, r.Attributes[k])
	}
	return dst
}

func appendText[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// decodeRows reads a chunk's rows; first is the number of its first. Their requests
// are parts of b.
func decodeRows(b []byte, first int64, count int) ([]enroll.Row, error) {
	d := rowDecoder{rest: b}
	rows := make([]enroll.Row, 0, min(count, len(b)))
	for i := range count {
		r := enroll.Row{No: first + int64(i), Problem: d.text()}
		r.CSR = d.bytes()
		r.Device = pki.DeviceID(d.text())
		r.Placement = pki.Placement{ProductLine: d.text(), Lot: d.text(), Site: d.text()}
		for n := d.number(); n > 0 && !d.bad; n-- {
			if r.Attributes == nil {
				r.Attributes = make(map[string]string)
			}
			k := d.text()
			r.Attributes[k] = d.text()
		}
		if d.bad {
			return nil, errors.New("a chunk's rows are not as they were written")
		}
		rows = append(rows, r)
	}
	if len(d.rest) > 0 {
		return nil, errors.New("a chunk has more than its rows")
	}
	return rows, nil
}

type rowDecoder struct {
	rest []byte
	bad  bool
}

func (d *rowDecoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *rowDecoder) bytes() []byte {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *rowDecoder) text() string { return string(d.bytes()) }
