package restapi

import (
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

// watchBatch serves GET /batches/{id}/events.
func (s *server) watchBatch(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	var rate meter
	return watch(s, w, r, s.cfg.Batch.Watch(r.Context(), g, pki.BatchID(r.PathValue("id"))), func(b *batch.Batch) client.Batch {
		now, rows := wireBatch(b), b.Issued+b.Refused
		switch b.State {
		case batch.Checking:
			rows = b.Checked
		case batch.Done:
			now.Rate = overall(rows, b.Started, b.Finished)
			return now
		}
		now.Rate = rate.observe(rows, time.Now())
		return now
	})
}

// watch serves the states of a job as server-sent events of type progress, until
// it is at rest; the last event is of type end.
func watch[S, T any](s *server, w http.ResponseWriter, r *http.Request, states iter.Seq2[S, error], wire func(S) T) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	out := newStream(w)
	defer out.End()
	var last *T
	for state, err := range states {
		if err != nil && last == nil {
			return err
		}
		if err == nil {
			now := wire(state)
			last = &now
			err = sendEvent(out, "progress", last)
		}
		if err != nil {
			s.cut(r, err)
		}
	}
	if err := r.Context().Err(); err != nil || last == nil {
		s.cut(r, fmt.Errorf("watching %s ended early: %w", r.PathValue("id"), err))
	}
	if err := sendEvent(out, "end", last); err != nil {
		s.cut(r, err)
	}
	return nil
}

func watchBatchDoc() document {
	return document{
		id: "watch-batch", summary: "Watch a batch",
		description: "Server-sent events: of type progress, now and at each change of the batch's counts or state, and at last one of type end, when the batch is at rest. The data of each is the batch.",
		status:      http.StatusOK,
		response:    []media{{mediaEvents, reflect.TypeFor[client.Batch]()}},
	}
}

func sendEvent(out *stream, kind string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	eventHeader(out)
	if _, err := fmt.Fprintf(out, "event: %s\ndata: %s\n\n", kind, data); err != nil {
		return err
	}
	return out.Flush()
}

// openEvents sends the headers before the first event, and a comment.
func openEvents(out *stream) error {
	eventHeader(out)
	if _, err := out.Write([]byte(":\n\n")); err != nil {
		return err
	}
	return out.Flush()
}

func eventHeader(out *stream) {
	h := out.w.Header()
	h.Set("Content-Type", mediaEvents)
	h.Set("X-Accel-Buffering", "no") // proxies that know it do not hold events back
}

// meter measures the rate of rows, smoothed over some seconds.
type meter struct {
	at   time.Time // of the last measurement; zero before the first
	rows int64
	rate float64
}

// window is the least time between two measurements: groups of a thousand rows
// end at once, and shorter ones would jump.
const window = time.Second

// observe takes how many rows are through by now and returns rows per second.
func (m *meter) observe(rows int64, now time.Time) float64 {
	passed := now.Sub(m.at)
	switch {
	case m.at.IsZero() || rows < m.rows: // the first, or a dry run was followed by the order to go on
		*m = meter{at: now, rows: rows}
	case passed >= window:
		rate := float64(rows-m.rows) / passed.Seconds()
		if m.rate > 0 {
			rate = (m.rate + rate) / 2
		}
		*m = meter{now, rows, rate}
	}
	return m.rate
}

// overall returns the rows per second of a whole run, 0 where it took no time.
func overall(rows int64, started, finished time.Time) float64 {
	if !finished.After(started) {
		return 0
	}
	return float64(rows) / finished.Sub(started).Seconds()
}
