package batch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Retry makes and starts a batch of the rows that a batch refused, for one of the
// kinds (none is any), and that no retry has yet. Its rows are those that were
// uploaded, under the endpoint as it is now; what rules always holds for them too,
// so that a row whose key has got a certificate meanwhile is refused again. The
// same retry under the same idempotency key is the same batch, as with Submit. The batch's digest
// is over its rows as they are stored. Where there is nothing to retry, or the rows are
// not kept any more, it is Conflict and makes no batch. It needs access.ManageBatches.
func (s *Service) Retry(ctx context.Context, g access.Permit, id pki.BatchID, kinds []pki.Kind, idempotency string) (*Batch, error) {
	of, err := s.visible(ctx, g, access.ManageBatches, id)
	if err != nil {
		return nil, err
	}
	if of.State == Checked {
		return nil, pki.Errorf(pki.NotReady, "the batch is checked, and nothing of it is issued: 'pando batch issue' issues its good rows, after which the refused ones are retried; 'pando batch cancel' ends it")
	}
	if of.State != Done && of.State != Cancelled {
		return nil, pki.Errorf(pki.NotReady, "the batch is %s: its refused rows are retried when it is at its end", of.State)
	}
	if err := s.checkRetry(ctx, of, kinds, idempotency); err != nil {
		return nil, err
	}
	b, existed, err := s.create(ctx, g, Submission{
		Endpoint: of.Endpoint, Pair: of.PairEndpoint, Format: PEM, Defaults: of.Defaults, Idempotency: idempotency,
	}, retried{of.ID, joinKinds(kinds)})
	if err != nil || existed && b.whole() {
		return b, err
	}
	if err := s.beginUpload(ctx, g, b, existed); err != nil {
		return nil, err
	}
	defer s.let(s.uploading, b.ID)
	rows, sum, err := s.copyRows(ctx, g, b, of, kinds)
	if err == nil && rows == 0 {
		err = nothingToRetry(of, kinds)
	}
	if pki.KindOf(err) == pki.Conflict || errors.Is(err, errUnfit) {
		return nil, s.giveUp(ctx, g, b, err) // found after the look of checkRetry: the rows were dropped, or another has them
	}
	if err != nil {
		return nil, err
	}
	b.Rows, b.Every, b.Digest = rows, of.Every, sum
	return s.endUpload(ctx, g, b, s.event(g, "retry", b.ID, fmt.Sprintf("%s of batch %s", pki.Count(rows, "row"), of.ID)))
}

// checkRetry refuses a retry that finds nothing, so that no batch is made for it, unless
// it has been made already.
func (s *Service) checkRetry(ctx context.Context, of *Batch, kinds []pki.Kind, idempotency string) error {
	again, err := s.cfg.Store.Retryable(ctx, of.Tenant, of.ID, kinds, 0, 1)
	if err != nil {
		return err
	}
	nothing := nothingToRetry(of, kinds)
	if len(again) > 0 {
		if _, nothing = s.uploaded(ctx, of, again[0].Row); nothing == nil {
			return nil
		}
	}
	// Later than the rows were looked at: who retries them at this moment has them.
	made, err := s.cfg.Store.BatchByKey(ctx, of.Tenant, idempotency)
	switch {
	case pki.KindOf(err) == pki.NotFound || err == nil && made.neverComplete():
		return nothing
	case err != nil:
		return err
	}
	return nil
}

// uploaded returns the chunk of a row that a batch refused; Conflict where it is not
// kept any more.
func (s *Service) uploaded(ctx context.Context, of *Batch, row int64) (*Chunk, error) {
	c, err := s.cfg.Store.ChunkOf(ctx, of.Tenant, of.ID, row)
	if pki.KindOf(err) == pki.NotFound && of.over() {
		err = pki.Because(pki.Conflict, err, "the rows of the batch are not kept any more, so they cannot be retried: %s. Submit the requests that were refused in a new file; 'pando batch results %s' says which", of.rowsGone(), of.ID)
	}
	return c, err
}

// nothingToRetry says that a batch has no rows that a retry would be of.
func nothingToRetry(of *Batch, kinds []pki.Kind) error {
	switch {
	case of.Refused == 0:
		return pki.Errorf(pki.Conflict, "no row of the batch was refused: there is nothing to retry")
	case len(kinds) == 0:
		return pki.Errorf(pki.Conflict, "the batch has no refused rows that are not retried already")
	}
	return pki.Errorf(pki.Conflict, "the batch has no refused rows of the kind %s that are not retried already", strings.ReplaceAll(joinKinds(kinds), ",", " or "))
}

// retried says whose refused rows a batch is made of; nothing for an upload.
type retried struct {
	batch pki.BatchID
	kinds string // see Batch.RetryKinds
}

// joinKinds returns kinds in one order, each once.
func joinKinds(kinds []pki.Kind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.String())
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// whole returns retries with the other row of each pair, which is refused, too, though
// maybe for another kind of reason.
func whole(again []Retry, width int) []Retry {
	if width == 1 {
		return again
	}
	var all []Retry
	for _, r := range again {
		if n := len(all); n > 0 && all[n-1].Row >= r.Row {
			continue
		}
		back := (r.Row - 1) % 2 // the rows of a file that is retried keep their order
		first := Retry{Row: r.Row - back, Origin: r.Origin - back}
		all = append(all, first, Retry{Row: first.Row + 1, Origin: first.Origin + 1})
	}
	return all
}

// copyRows stores the rows of another that a batch retries, chunk by chunk: each within the permit
// of whoever retries them, who may not be who uploaded them.
func (s *Service) copyRows(ctx context.Context, g access.Permit, b, of *Batch, kinds []pki.Kind) (rows int64, sum [32]byte, err error) {
	fold, err := s.newFold(ctx, g, b)
	if err != nil {
		return 0, sum, err
	}
	digest := sha256.New()
	c := Chunk{First: 1}
	for after := int64(0); ; {
		// One chunk of the new batch is of one chunk of the old.
		again, err := s.cfg.Store.Retryable(ctx, b.Tenant, b.RetryOf, kinds, after, resultPage)
		if err != nil {
			return 0, sum, err
		}
		if len(again) == 0 {
			return c.First - 1, [32]byte(digest.Sum(nil)), nil
		}
		from, err := s.uploaded(ctx, of, again[0].Row)
		if err != nil {
			return 0, sum, err
		}
		old, err := decodeRows(from.Rows, from.First, from.Count)
		if err != nil {
			return 0, sum, err
		}
		for _, r := range whole(again, b.width()) {
			if r.Row >= from.First+int64(from.Count) {
				break
			}
			row := &old[r.Row-from.First]
			if err := fold.keep(ctx, r.Row, row); err != nil {
				return 0, sum, err
			}
			c.Rows = appendRow(c.Rows, row)
			c.Retries = append(c.Retries, r)
			c.Count++
			after = r.Row
		}
		digest.Write(c.Rows)
		if err := s.cfg.Store.AddChunks(ctx, b.Tenant, b.ID, &c); err != nil {
			return 0, sum, err
		}
		c = Chunk{No: c.No + 1, First: c.First + int64(c.Count), Rows: c.Rows[:0]}
	}
}
