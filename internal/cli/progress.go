package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/schollz/progressbar/v3"
)

// quietTime is how long nothing may be told while rows go on.
const quietTime = 5 * time.Second

// percent is the unit of what is known as a share alone.
const percent = "%"

// A step is how far something is.
type step struct {
	stage       string
	unit        string  // of what is counted, in the singular; "" is row
	done, total int64   // units; a total of 0 is unknown
	refused     int64   // rows
	rate        float64 // units per second; 0 is unknown
	rest        bool    // nothing more will come
}

// stepOf returns how far a batch is.
func stepOf(b *client.Batch) step {
	s := step{stage: b.State, done: b.Issued + b.Refused + b.Cancelled, total: b.Rows, refused: b.Refused, rate: b.Rate}
	switch b.State {
	case client.Checking:
		s.done = b.Checked
	case client.Checked:
		s.done, s.rest = b.Checked, true
	case client.Unapproved, client.Paused, client.Cancelled, client.Done:
		s.rest = true
	}
	return s
}

// String says it in one line.
func (s step) String() string {
	if s.unit == percent {
		return fmt.Sprintf("%s: %d %%", s.stage, s.done)
	}
	unit := cmp.Or(s.unit, "row")
	line := fmt.Sprintf("%s: %d of %s", s.stage, s.done, pki.Count(s.total, unit))
	if s.total == 0 {
		line = fmt.Sprintf("%s: %s", s.stage, pki.Count(s.done, unit))
	}
	if s.refused > 0 {
		line += fmt.Sprintf(", %d refused", s.refused)
	}
	if s.rate > 0 {
		line += fmt.Sprintf(", %.0f %ss/s", s.rate, unit)
		if left := s.total - s.done; left > 0 {
			line += fmt.Sprintf(", %s to go", time.Duration(float64(left)/s.rate*float64(time.Second)).Round(time.Second))
		}
	}
	return line
}

// A progress shows steps on standard error: on a terminal as a bar with rows,
// rate and time to go, elsewhere as lines, one at each change of stage and now
// and then between.
type progress struct {
	c        *console
	terminal bool
	bar      *progressbar.ProgressBar // of the present stage; nil for none
	stage    string
	shown    time.Time // when the last line was written
}

func newProgress(c *console) *progress {
	return &progress{c: c, terminal: terminal(c.err) != nil}
}

// show tells how far it is.
func (p *progress) show(s step) {
	changed := s.stage != p.stage
	p.stage = s.stage
	if !p.terminal {
		if changed || time.Since(p.shown) >= quietTime {
			p.shown = time.Now()
			p.c.note("%s", s)
		}
		return
	}
	if changed && !s.rest {
		p.end()
		if s.total > 0 {
			p.bar = newBar(p.c, s)
		}
	}
	if p.bar != nil {
		p.bar.Set64(s.done) // an error is one of drawing: nothing to tell
	}
}

// brokeOff adds to what ended a watch how it is taken up again, unless the server has
// answered: then there is nothing to take up.
func brokeOff(err error, format string, args ...any) error {
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status < http.StatusInternalServerError {
		return err
	}
	return hintf(err, format, args...)
}

// end leaves the bar as it stands, and the cursor below it.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Exit()
		fmt.Fprintln(p.c.err)
		p.bar = nil
	}
}

func newBar(c *console, s step) *progressbar.ProgressBar {
	return progressbar.NewOptions64(s.total,
		progressbar.OptionSetWriter(c.err),
		progressbar.OptionSetDescription(fmt.Sprintf("%-10s", s.stage)),
		progressbar.OptionShowCount(),
		progressbar.OptionShowBytes(s.unit == "byte"),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(30),
	)
}
