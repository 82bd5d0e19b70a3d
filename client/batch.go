package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Format is how the rows of a batch or its results are written.
type Format string

// The formats.
const (
	PEM    Format = "pem"    // CSRs, or certificates, one after another
	NDJSON Format = "ndjson" // one JSON object a line
	CSV    Format = "csv"    // RFC 4180, with a header; of rows, devices and exports
	TarGz  Format = "tar.gz" // of rows: a CSR in each file, whose name is the device
	Zip    Format = "zip"    // likewise; or a certificate in each file, and index.csv
)

// uploads are the media types of rows.
var uploads = map[Format]string{
	PEM: "application/x-pem-file", NDJSON: "application/x-ndjson", CSV: "text/csv", TarGz: "application/gzip", Zip: "application/zip",
}

// A Submission is a new batch.
type Submission struct {
	Endpoint string // label, or name within the tenant

	// PairEndpoint is that of the second certificate of each device, in a batch of pairs:
	// rows have two requests then. Empty is none.
	PairEndpoint string

	Format      Format // of the rows
	ProductLine string // of rows that say nothing; likewise Lot and Site
	Lot         string
	Site        string
	DryRun      bool // check every row, sign nothing, and wait to be issued

	// IdempotencyKey makes the same file the same batch, however often it is
	// submitted; at most 128 bytes. Empty is none.
	IdempotencyKey string
}

// Submit streams rows to a new batch and returns it when the server has them
// all. It is sent again after a failure only where there is an idempotency key
// and body can seek to its start. Submit does not close body, and returns no
// sooner than a Read of it does, even when ctx has ended.
func (c *Client) Submit(ctx context.Context, s Submission, body io.Reader) (*Batch, error) {
	q := url.Values{}
	setNonEmpty(q, map[string]string{"endpoint": s.Endpoint, "pair_endpoint": s.PairEndpoint, "product_line": s.ProductLine, "lot": s.Lot, "site": s.Site})
	if s.DryRun {
		q.Set("dry_run", "true")
	}
	media := uploads[s.Format]
	if media == "" {
		return nil, fmt.Errorf("format %q: it is one of %v", s.Format, slices.Sorted(maps.Keys(uploads)))
	}
	b := new(Batch)
	return orNil(b, c.do(ctx, call{method: http.MethodPost, path: "/batches", query: q,
		contentType: media, body: body, idempotency: s.IdempotencyKey}, nil, b))
}

// Batches returns up to limit of the tenant's batches, newest first, that come
// before the given id ("" from the newest).
func (c *Client) Batches(ctx context.Context, before string, limit int) (*List[Batch], error) {
	return get[List[Batch]](ctx, c, "/batches", page("before", before, limit))
}

// Batch returns a batch with its counts.
func (c *Client) Batch(ctx context.Context, id string) (*Batch, error) {
	return get[Batch](ctx, c, batchPath(id), nil)
}

// IssueBatch starts a batch that was checked.
func (c *Client) IssueBatch(ctx context.Context, id string) (*Batch, error) {
	return post[Batch](ctx, c, batchPath(id)+"/issue", nil)
}

// PauseBatch halts a running batch; groups in flight are finished.
func (c *Client) PauseBatch(ctx context.Context, id string) (*Batch, error) {
	return post[Batch](ctx, c, batchPath(id)+"/pause", nil)
}

// ResumeBatch lets a paused batch go on.
func (c *Client) ResumeBatch(ctx context.Context, id string) (*Batch, error) {
	return post[Batch](ctx, c, batchPath(id)+"/resume", nil)
}

// CancelBatch ends a batch; what was issued stays issued.
func (c *Client) CancelBatch(ctx context.Context, id string) (*Batch, error) {
	return post[Batch](ctx, c, batchPath(id)+"/cancel", nil)
}

// RetryBatch makes and starts a batch of the rows that a batch refused, for one of
// the kinds (none is all), and that no retry has yet. With an idempotency key the
// same retry is the same batch, however often it is asked for.
func (c *Client) RetryBatch(ctx context.Context, id string, kinds []string, idempotency string) (*Batch, error) {
	b := new(Batch)
	return orNil(b, c.do(ctx, call{method: http.MethodPost, path: batchPath(id) + "/retry", idempotency: idempotency}, Retry{Kinds: kinds}, b))
}

// Results yields the ends of the rows after the given one, in input order, up to
// the first row that has none yet. A broken connection is taken up again where
// it broke. After an error it yields nothing more.
func (c *Client) Results(ctx context.Context, id string, after int64) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		for {
			from := after
			err := c.results(ctx, id, &after, yield)
			switch {
			case err == nil:
				return
			case after == from || ctx.Err() != nil: // no row since the last time
				yield(Result{}, err)
				return
			}
		}
	}
}

// results yields rows of one answer and keeps in after the last that it yielded.
// It returns nil at the answer's end and when yield wants no more.
func (c *Client) results(ctx context.Context, id string, after *int64, yield func(Result, error) bool) error {
	body, err := c.ResultsAs(ctx, id, *after, "", NDJSON)
	if err != nil {
		return err
	}
	defer body.Close()
	rows := jsontext.NewDecoder(body)
	for {
		var r Result
		switch err := json.UnmarshalDecode(rows, &r); {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading results after row %d: %w", *after, err)
		}
		if !yield(r, nil) {
			return nil
		}
		*after = r.Row
	}
}

// ResultsAs returns the same as Results as a stream in a format, which the
// caller closes, NDJSON where none is named; with a status, RowRefused for instance,
// only the rows that ended so. A stream that the server cut short ends in io.ErrUnexpectedEOF.
func (c *Client) ResultsAs(ctx context.Context, id string, after int64, status string, f Format) (io.ReadCloser, error) {
	q := url.Values{}
	if after > 0 {
		q.Set("after", strconv.FormatInt(after, 10))
	}
	setNonEmpty(q, map[string]string{"status": status, "format": string(f)})
	return c.open(ctx, call{method: http.MethodGet, path: batchPath(id) + "/results", query: q, accept: "*/*", bulk: true})
}

// Watch yields the batch now and at each change of its counts or state, until it
// is at rest: checked, waiting for approval, paused, cancelled or done. A broken connection is taken
// up again. After an error it yields nothing more.
func (c *Client) Watch(ctx context.Context, id string) iter.Seq2[*Batch, error] {
	return watch[Batch](ctx, c, batchPath(id))
}

func batchPath(id string) string { return "/batches/" + url.PathEscape(id) }
