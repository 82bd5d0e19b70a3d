package retention

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// rows are rows of a batch that follow each other, with their requests as
// Config.Requests returns them.
type rows struct {
	batch    pki.BatchID
	first    int64
	requests [][]byte
}

// has reports whether a row is among them.
func (r *rows) has(batch pki.BatchID, row int64) bool {
	return r.batch == batch && row >= r.first && row < r.first+int64(len(r.requests))
}

// addRequest adds the request of an entry from a batch, where it is kept. The store has
// those of single requests beside the certificate.
func (r *round) addRequest(ctx context.Context, e *Entry) error {
	l := &e.Leaf
	if l.Batch == "" {
		return nil
	}
	if !r.rows.has(l.Batch, l.Row) {
		first, requests, err := r.s.cfg.Requests(ctx, l.Owner, l.Batch, l.Row)
		if pki.KindOf(err) == pki.NotFound {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the requests of batch %s: %w", l.Batch, err)
		}
		r.rows = rows{l.Batch, first, requests}
	}
	cut := r.rows.requests[l.Row-r.rows.first]
	if len(cut) == 0 {
		return nil
	}
	parsed, err := tbs.ParseCertificate(e.DER)
	if err != nil {
		return fmt.Errorf("reading an expired certificate: %w", err)
	}
	e.Request, err = tbs.RestoreKey(cut, parsed.Key.SPKI())
	return err
}
