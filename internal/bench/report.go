package bench

import (
	"fmt"
	"slices"
	"time"
)

// A Report is what a run found.
type Report struct {
	Machine   Machine   `json:"machine"`
	Started   time.Time `json:"started"`
	Seconds   float64   `json:"seconds"`
	LimitUS   float64   `json:"limit_us,omitzero"`   // CPU of the machine's own limit, microseconds, where a row needs it
	HandlerUS float64   `json:"handler_us,omitzero"` // of the bare handler, likewise
	Rows      []Row     `json:"rows"`
	Lines     []string  `json:"lines"` // each measurement, as it was made

	Interrupted bool `json:"interrupted"` // rows were not measured, or with fewer rounds

	sizes map[int]int // of what rows were measured with, by row
}

// A Row is one figure.
type Row struct {
	Row      int       `json:"row"`
	What     string    `json:"what"`
	Measured float64   `json:"measured,omitzero"` // the median of Rounds; absent where it was not
	Unit     string    `json:"unit"`
	Must     float64   `json:"must"`
	Aim      float64   `json:"aim"`
	Met      string    `json:"met"` // aim, must, no, "not built" or "not measured"
	Rounds   []float64 `json:"rounds,omitempty"`
}

const (
	notBuilt    = "not built"
	notMeasured = "not measured" // the run was interrupted before
)

func newReport(dir string) (*Report, error) {
	m, err := describe(dir)
	if err != nil {
		return nil, err
	}
	return &Report{Machine: *m, Started: time.Now().UTC(), Lines: []string{}, sizes: make(map[int]int)}, nil
}

// add notes the figure of one round.
func (r *Report) add(what string, ratio float64) {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.What == what })
	if i < 0 {
		i = len(r.Rows)
		r.Rows = append(r.Rows, Row{What: what})
	}
	r.Rows[i].Rounds = append(r.Rows[i].Rounds, ratio)
}

// end puts the rows into the order of Goals, those that were asked for alone, and
// judges each.
func (r *Report) end(rows []int, yard yardsticks) error {
	found := r.Rows
	r.Rows = nil
	for _, g := range Goals {
		if !slices.Contains(rows, g.Row) {
			continue
		}
		row := Row{Row: g.Row, What: g.What, Unit: g.Unit, Must: g.Must, Aim: g.Aim, Met: notBuilt}
		if i := slices.IndexFunc(found, func(f Row) bool { return f.What == g.What }); i >= 0 {
			row.Rounds = found[i].Rounds
			row.Measured = median(row.Rounds)
			row.Met = g.met(row.Measured)
		} else if !g.Absent && r.Interrupted {
			row.Met = notMeasured
		} else if !g.Absent {
			return fmt.Errorf("row %d was not measured: %s", g.Row, g.What)
		}
		if size := r.sizes[g.Row]; size > 0 && size < g.Size {
			row.What += fmt.Sprintf(" (with %d, not %d)", size, g.Size)
		}
		r.Rows = append(r.Rows, row)
	}
	r.LimitUS, r.HandlerUS = median(yard.limits), median(yard.handlers)
	r.Seconds = time.Since(r.Started).Seconds()
	return r.Machine.end()
}

// median returns the middle of values, the mean of the two middle ones where their
// number is even, and 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
