package restapi

import (
	"bufio"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

func threeRows(end error) iter.Seq2[batch.Result, error] {
	return func(yield func(batch.Result, error) bool) {
		rows := []batch.Result{
			{Row: 1, Device: "SM-1", Certificate: &batch.Issued{Issuer: "iss", Serial: pki.Serial{19: 1}, DER: []byte{0x30, 0}}},
			{Row: 2, Device: "SM-2", Refusal: &issuance.Refusal{Row: 2, Device: "SM-2", Kind: pki.DuplicateKey, Reason: "taken\n-----BEGIN CERTIFICATE-----"}},
			{Row: 3, Device: "SM-3", Cancelled: true},
		}
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
		if end != nil {
			yield(batch.Result{}, end)
		}
	}
}

func TestResults(t *testing.T) {
	s := serve(t)
	s.results = threeRows(nil)
	c := s.client(t, "auditor")
	pem := certificatePEM([]byte{0x30, 0})
	want := []client.Result{
		{Row: 1, Device: "SM-1", Status: "issued", Issuer: "iss", Serial: "01", Certificate: pem},
		{Row: 2, Device: "SM-2", Status: "refused", Kind: "duplicate-key", Reason: "taken\n-----BEGIN CERTIFICATE-----"},
		{Row: 3, Device: "SM-3", Status: "cancelled"},
	}
	for after := range int64(4) {
		var got []client.Result
		for r, err := range c.Results(t.Context(), "b1", after) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		if diff := cmp.Diff(want[after:], append([]client.Result{}, got...)); diff != "" {
			t.Errorf("after %d: %s", after, diff)
		}
	}
	body, err := c.ResultsAs(t.Context(), "b1", 0, "", client.PEM)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	wantPEM := "# row 1 device SM-1\n" + pem +
		"# row 2 device SM-2 refused: duplicate-key: taken - - -BEGIN CERTIFICATE- - -\n" +
		"# row 3 device SM-3 cancelled\n"
	if diff := cmp.Diff(wantPEM, string(text)); diff != "" {
		t.Error(diff)
	}
}

// TestResultsOfStatus: only the rows that ended so are sent, and an archive, which
// has all, refuses to be told.
func TestResultsOfStatus(t *testing.T) {
	s := serve(t)
	s.results = threeRows(nil)
	resp, text := s.ask(t, "auditor", "GET", "/api/v1/batches/b1/results?status=refused", "")
	if resp.StatusCode != 200 || strings.Count(text, "\n") != 1 || !strings.Contains(text, `"device":"SM-2"`) {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	s.refused(t, 400, pki.Malformed, "auditor", "GET", "/api/v1/batches/b1/results?status=lost", "")
	s.refused(t, 400, pki.Malformed, "auditor", "GET", "/api/v1/batches/b1/results?status=refused&format=zip", "")
}

func TestResultsThatFailDoNotLookComplete(t *testing.T) {
	s := serve(t)
	s.results = threeRows(errors.New("disk"))
	for _, f := range []client.Format{client.NDJSON, client.PEM, client.Zip} {
		body, err := s.client(t, "auditor").ResultsAs(t.Context(), "b1", 0, "", f)
		if err == nil {
			_, err = io.ReadAll(body)
			body.Close()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want a cut connection", f, err)
		}
	}
}

func TestResultsZip(t *testing.T) {
	s := serve(t)
	s.results = threeRows(nil)
	resp, text := s.ask(t, "auditor", "GET", "/api/v1/batches/b1/results?format=zip&after=1", "")
	if resp.StatusCode != 200 || text != "entry 2\nentry 3\n" || resp.Header.Get("Content-Type") != mediaZip {
		t.Errorf("%d %q %s", resp.StatusCode, text, resp.Header.Get("Content-Type"))
	}
}

func TestResultsOfNoBatch(t *testing.T) {
	s := serve(t)
	s.results = func(yield func(batch.Result, error) bool) {
		yield(batch.Result{}, pki.Errorf(pki.NotFound, "no batch"))
	}
	s.refused(t, 404, pki.NotFound, "auditor", "GET", "/api/v1/batches/b1/results", "")
	s.refused(t, 404, pki.NotFound, "auditor", "GET", "/api/v1/batches/b1/results?format=zip", "")
	if resp, text := s.ask(t, "auditor", "GET", "/api/v1/batches/b1/results", ""); resp.StatusCode != 404 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

func TestNoResultsYet(t *testing.T) {
	s := serve(t)
	s.results = func(func(batch.Result, error) bool) {}
	resp, text := s.ask(t, "auditor", "GET", "/api/v1/batches/b1/results", "")
	if resp.StatusCode != 200 || text != "" || resp.Header.Get("Content-Type") != mediaNDJSON {
		t.Errorf("%d %q %s", resp.StatusCode, text, resp.Header.Get("Content-Type"))
	}
}

func TestWatch(t *testing.T) {
	s := serve(t)
	s.watched = func(yield func(*batch.Batch, error) bool) {
		_ = yield(&batch.Batch{ID: "b1", State: batch.Running, Rows: 100, Started: day}, nil) &&
			yield(&batch.Batch{ID: "b1", State: batch.Running, Rows: 100, Issued: 40, Started: day}, nil) &&
			yield(&batch.Batch{ID: "b1", State: batch.Done, Rows: 100, Issued: 90, Refused: 10, Started: day, Finished: day.Add(10 * time.Second)}, nil)
	}
	var issued []int64
	var last *client.Batch
	for b, err := range s.client(t, "auditor").Watch(t.Context(), "b1") {
		if err != nil {
			t.Fatal(err)
		}
		issued, last = append(issued, b.Issued), b
	}
	if diff := cmp.Diff([]int64{0, 40, 90}, issued); diff != "" || last.State != client.Done || last.Rate != 10 {
		t.Errorf("%s, last %+v", diff, last)
	}
	resp, text := s.ask(t, "auditor", "GET", "/api/v1/batches/b1/events", "")
	if resp.Header.Get("Content-Type") != mediaEvents {
		t.Errorf("content type %s", resp.Header.Get("Content-Type"))
	}
	var kinds []string
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if kind, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			kinds = append(kinds, kind)
		}
	}
	if diff := cmp.Diff([]string{"progress", "progress", "progress", "end"}, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestWatchOfNoBatch(t *testing.T) {
	s := serve(t)
	s.watched = func(yield func(*batch.Batch, error) bool) { yield(nil, pki.Errorf(pki.NotFound, "no batch")) }
	s.refused(t, 404, pki.NotFound, "auditor", "GET", "/api/v1/batches/b1/events", "")
}

func TestMeter(t *testing.T) {
	var m meter
	at := func(seconds float64) time.Time { return day.Add(time.Duration(seconds * float64(time.Second))) }
	steps := []struct {
		seconds float64
		rows    int64
		want    float64
	}{
		{0, 1000, 0},
		{0.5, 5000, 0}, // too early to tell
		{1, 5000, 4000},
		{2, 7000, 3000},
		{3, 0, 0}, // other rows are counted now
		{4, 500, 500},
	}
	for _, step := range steps {
		if got := m.observe(step.rows, at(step.seconds)); got != step.want {
			t.Errorf("at %v s: %v rows a second, want %v", step.seconds, got, step.want)
		}
	}
	if got := overall(9000, day, at(10)); got != 900 {
		t.Errorf("%v rows a second of the whole run, want 900", got)
	}
	if got := overall(9000, day, day); got != 0 {
		t.Errorf("%v rows a second in no time", got)
	}
}

// TestStreamsOutlastTheListenersBounds sends and receives for longer than the
// listener lets a whole request take.
func TestStreamsOutlastTheListenersBounds(t *testing.T) {
	const pause = 25 * time.Second // of four in each, where a request has half a minute and an answer a minute
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			s := serve(t)
			synctest.Test(t, func(t *testing.T) {
				c := s.overTLS(t, "admin", protocol == "HTTP/2.0")
				s.submitted = func(_ batch.Submission, body io.Reader) (*batch.Batch, error) {
					n, err := io.Copy(io.Discard, body)
					return &batch.Batch{ID: "b1", Rows: n}, err
				}
				rows, sent := io.Pipe()
				go func() {
					for range 4 {
						time.Sleep(pause)
						io.WriteString(sent, "row\n")
					}
					sent.Close()
				}()
				b, err := c.Submit(t.Context(), client.Submission{Endpoint: "x", Format: client.NDJSON}, rows)
				if err != nil || b.Rows != 16 {
					t.Errorf("submit: %+v, %v", b, err)
				}
				s.watched = func(yield func(*batch.Batch, error) bool) {
					for i := range int64(4) {
						if !yield(&batch.Batch{Issued: i}, nil) {
							return
						}
						time.Sleep(pause)
					}
				}
				events := 0
				for _, err := range c.Watch(t.Context(), "b1") {
					if err != nil {
						t.Fatal(err)
					}
					events++
				}
				if events != 4 {
					t.Errorf("%d events, want 4 of one connection", events)
				}
			})
		})
	}
}
