package batch

import (
	"bytes"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// A pairSource reads what a batch of pairs has of one device: the row at the first
// endpoint and the row at the second. What cannot be read of it is a Problem of the row
// that lacks it, or of both. For errors see reader.
type pairSource interface {
	pair() ([2]enroll.Row, error)
}

// A pairReader reads the rows of pairs one by one.
type pairReader struct {
	source pairSource
	second *enroll.Row // of the device whose first was read last
}

// newPairReader returns a reader of the pairs in a file that rows reads.
func newPairReader(rows reader) *pairReader {
	if a, ok := rows.(*archiveReader); ok {
		return &pairReader{source: &archivePairs{rows: a, waiting: make(map[pki.DeviceID]half)}}
	}
	return &pairReader{source: rows.(pairSource)}
}

func (p *pairReader) next() (enroll.Row, error) {
	if p.second != nil {
		row := *p.second
		p.second = nil
		return row, nil
	}
	both, err := p.source.pair()
	if err != nil {
		return enroll.Row{}, err
	}
	p.second = &both[1]
	return both[0], nil
}

// withSecond returns the rows of a device: the second has the request in a text, and all
// else of the first.
func withSecond(row enroll.Row, text string, line int64) [2]enroll.Row {
	if row.Problem != "" {
		return [2]enroll.Row{row, row}
	}
	second := row
	var err error
	if second.CSR, err = decodeCSR(text); err != nil {
		why := "pair_" + pki.DetailOf(err)
		if text == "" {
			why = "there is no pair_csr, the second request of the device"
		}
		second = unreadable(row.Device, "line %d: %s", line, why)
	}
	return [2]enroll.Row{row, second}
}

// archivePairs reads archives of pairs: DEVICE.csr has the first request of a device and
// DEVICE.pair.csr the second, in whatever order. One that comes without the other waits
// for it in memory, and is refused at the end.
type archivePairs struct {
	rows    *archiveReader
	waiting map[pki.DeviceID]half
	held    int    // what those that wait take, in bytes
	came    int    // requests
	ended   bool   // there is no entry more
	lonely  []half // then: what waits for nothing
}

// A half is a request that waits for the other of its device.
type half struct {
	row    enroll.Row
	second bool
	no     int // in order of coming
}

// with returns the rows of a device: the half, and the other one's row.
func (h *half) with(other enroll.Row) [2]enroll.Row {
	if h.second {
		return [2]enroll.Row{other, h.row}
	}
	return [2]enroll.Row{h.row, other}
}

// own has the half keep nothing alive but what it is: of PEM with many line ends the room
// that was made for it, and of an entry its path.
func (h *half) own() {
	h.row.CSR = bytes.Clone(h.row.CSR)
	h.row.Device = pki.DeviceID(strings.Clone(string(h.row.Device)))
}

// size returns what the half takes while it waits, in bytes.
func (h *half) size() int {
	return len(h.row.CSR) + len(h.row.Problem) + len(h.row.Device) + costOfOne
}

// Bounds of what waits, in bytes. In an archive whose files are in order of their names
// hardly anything does.
const (
	maxHeld   = 32 << 20
	costOfOne = 400 // beside what it says
)

func (a *archivePairs) pair() ([2]enroll.Row, error) {
	for !a.ended {
		row, err := a.rows.next()
		if err == io.EOF {
			a.ended = true
			a.lonely = slices.SortedFunc(maps.Values(a.waiting), func(x, y half) int { return x.no - y.no })
			break
		}
		if err != nil {
			return [2]enroll.Row{}, err
		}
		h := half{no: a.came}
		a.came++
		row.Device, h.second = splitName(row.Device)
		if row.Device == "" && row.Problem == "" {
			row = problem("a file %s.csr names no device", secondName)
		}
		if h.row = row; row.Device == "" {
			return [2]enroll.Row{row, row}, nil
		}
		first, met := a.waiting[row.Device]
		switch {
		case met && first.second == h.second:
			row = unreadable(row.Device, "another file has this request of the device %q", row.Device)
			return [2]enroll.Row{row, row}, nil
		case met:
			delete(a.waiting, row.Device)
			a.held -= first.size()
			return first.with(row), nil
		}
		h.own()
		a.waiting[h.row.Device] = h
		if a.held += h.size(); a.held > maxHeld {
			return [2]enroll.Row{}, pki.Errorf(pki.Malformed, "%d devices have one of their two requests far from the other: put the files in order of their names, as 'tar --sort=name' does, or write NDJSON", len(a.waiting))
		}
	}
	if len(a.lonely) == 0 {
		return [2]enroll.Row{}, io.EOF
	}
	h := a.lonely[0]
	a.lonely = a.lonely[1:]
	missing := secondName
	if h.second {
		missing = ""
	}
	return h.with(unreadable(h.row.Device, "there is no %s%s.csr (or .pem, .der)", h.row.Device, missing)), nil
}

// secondName ends the name, without .csr, .pem or .der, of a file with the second request
// of a device.
const secondName = ".pair"

// splitName returns the device that a file's name says, and whether its request is the
// second.
func splitName(name pki.DeviceID) (device pki.DeviceID, second bool) {
	ext := path.Ext(string(name))
	if !strings.EqualFold(ext, secondName) {
		return name, false
	}
	return pki.DeviceID(strings.TrimSuffix(string(name), ext)), true
}
