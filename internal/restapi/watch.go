package restapi

import (
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

// watchBatch serves GET /batches/{id}/events: the batch as server-sent events of
// type progress, until it is at rest; the last event is of type end.
func (s *server) watchBatch(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	out := newStream(w)
	defer out.End()
	var last *client.Batch
	var rate meter
	for b, err := range s.cfg.Batch.Watch(r.Context(), g, pki.BatchID(r.PathValue("id"))) {
		if err != nil && last == nil {
			return err
		}
		if err == nil {
			now := wireBatch(b)
			now.Rate = rate.observe(b, time.Now())
			last = &now
			err = sendEvent(out, "progress", last)
		}
		if err != nil {
			s.cut(r, err)
		}
	}
	if err := r.Context().Err(); err != nil || last == nil {
		s.cut(r, fmt.Errorf("watching batch %s ended early: %w", r.PathValue("id"), err))
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

func sendEvent(out *stream, kind string, b *client.Batch) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	h := out.w.Header()
	h.Set("Content-Type", mediaEvents)
	h.Set("X-Accel-Buffering", "no") // proxies that know it do not hold events back
	if _, err := fmt.Fprintf(out, "event: %s\ndata: %s\n\n", kind, data); err != nil {
		return err
	}
	return out.Flush()
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

// observe returns rows per second: looked at while checking, ended while
// running, and of the whole run once it is done.
func (m *meter) observe(b *batch.Batch, now time.Time) float64 {
	rows := b.Issued + b.Refused
	if b.State == batch.Checking {
		rows = b.Checked
	}
	if b.State == batch.Done && b.Finished.After(b.Started) {
		return float64(rows) / b.Finished.Sub(b.Started).Seconds()
	}
	passed := now.Sub(m.at)
	switch {
	case m.at.IsZero() || rows < m.rows: // the first, or a dry run was followed by the order to issue
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
