package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// The sizes of a batch.
const (
	batchRows = 100_000
	quickRows = 5_000
	fewRows   = 500 // where a measurement lasts less than a second
)

func (b *bench) batchRows() int {
	switch {
	case b.length < time.Second:
		return fewRows
	case b.cfg.Quick:
		return quickRows
	default:
		return batchRows
	}
}

// issueBatches measures row 2: a file of requests in, a file of certificates out.
func (b *bench) issueBatches(ctx context.Context) error {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	if err := b.addAuthority(ctx, client.NewAuthority{Name: checkedName, SignCheck: string(pki.CheckAlways)}, "batch"); err != nil {
		return fmt.Errorf("making an authority that checks: %w", err)
	}
	b.report.sizes[2] = b.batchRows()
	for range b.rounds {
		for _, way := range []struct{ what, endpoint string }{{batchPlain, endpoint}, {batchChecked, checkedName}} {
			file, err := b.newDevices(ctx, b.batchRows())
			if err != nil {
				return err
			}
			var r *batchResult
			limit, err := b.besideLimit(func() (err error) {
				r, _, err = b.runBatch(ctx, lot, way.endpoint, file, b.batchRows())
				return err
			})
			if err != nil {
				return err
			}
			b.report.add(way.what, r.rate/limit.rate)
			b.tell("batch at %s: %d certificates in %.2f s (%s), %.0f a second, %.1f µs of CPU each; %.2f of all cores, %.2f × Limit",
				way.endpoint, r.requests, r.took.Seconds(), r.parts, r.rate, r.cpu, r.rate/limit.rate, r.cpu/limit.cpu)
		}
	}
	return nil
}

// A batchResult is what a batch came to, and where its time went.
type batchResult struct {
	result
	parts string
}

// runBatch hands in a file for a lot and fetches the certificates as they come. It
// returns the batch's id too.
func (b *bench) runBatch(ctx context.Context, lot, at string, file []byte, rows int) (r *batchResult, id string, err error) {
	before, err := b.server.cpu()
	if err != nil {
		return nil, "", err
	}
	begun := time.Now()
	batch, err := b.submit(ctx, lot, at, file)
	if err != nil {
		return nil, "", err
	}
	submitted := time.Since(begun)
	if err := b.collect(ctx, batch.ID, rows); err != nil {
		return nil, "", err
	}
	r = &batchResult{result: result{requests: rows, took: time.Since(begun)}}
	after, err := b.server.cpu()
	if err != nil {
		return nil, "", err
	}
	r.rate = float64(rows) / r.took.Seconds()
	r.cpu = float64(max(after-before, tick).Microseconds()) / float64(rows)
	r.parts = fmt.Sprintf("%.2f handed in", submitted.Seconds())
	return r, batch.ID, nil
}

func (b *bench) submit(ctx context.Context, lot, at string, file []byte) (*client.Batch, error) {
	return b.api.Submit(ctx, client.Submission{Endpoint: at, Format: client.PEM, Lot: lot}, bytes.NewReader(file))
}

// How long it waits before it asks for more results.
const (
	lookAgain = 20 * time.Millisecond  // at the end of a batch
	atEase    = 100 * time.Millisecond // before
)

// collect reads the results until all rows have theirs, each a certificate.
func (b *bench) collect(ctx context.Context, batch string, rows int) error {
	lines := bufio.NewReaderSize(nil, 64<<10)
	begun := time.Now()
	counted, last := 0, begun
	for counted < rows {
		body, err := b.api.ResultsAs(ctx, batch, int64(counted), "", client.PEM)
		if err != nil {
			return err
		}
		lines.Reset(body)
		n, err := countCertificates(lines)
		if err = errors.Join(err, body.Close()); err != nil {
			return err
		}
		if counted += n; n > 0 {
			last = time.Now()
		} else if time.Since(last) > patience {
			return fmt.Errorf("batch %s stands at row %d of %d", batch, counted, rows)
		}
		left := time.Since(begun) * time.Duration(rows-counted) / time.Duration(max(counted, 1)) // at the same pace
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(max(left/2, lookAgain), atEase)):
		}
	}
	return nil
}

// countCertificates reads PEM to its end.
func countCertificates(lines *bufio.Reader) (int, error) {
	mark := []byte("-----BEGIN CERTIFICATE-----")
	n := 0
	for {
		line, err := lines.ReadSlice('\n')
		if bytes.HasPrefix(line, mark) {
			n++
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
