package batch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// MaxRows is the largest number of rows of one batch.
const MaxRows = 10_000_000

// maxChunk is the size in bytes from which a chunk takes no more rows, however
// few it has: uploads and workers hold whole chunks in memory.
const maxChunk = 2 << 20

// partChunks is how many chunks of an upload are stored at a time, which waits for the
// disk once; fewer where they have maxChunk bytes together.
const partChunks = 8

// Submission is a new batch.
type Submission struct {
	Endpoint    string // label, or name within the tenant
	Pair        string // likewise, of the second certificate of each device, in a batch of pairs; "" for none
	Format      Format
	Defaults    pki.Placement // of rows that say nothing
	DryRun      bool          // check every row and wait for Issue
	Idempotency string        // "" for none
}

// Submit reads rows to the end of body and starts the batch, or its dry run. It
// never holds more than two parts of them, see partChunks. The same file under the same
// idempotency key is the same batch, for those who may read it. Where a connection broke,
// its submitter alone goes on with the upload, which is Unavailable while another request
// uploads it. Another file under the key is Conflict. It needs access.ManageBatches.
func (s *Service) Submit(ctx context.Context, g access.Permit, n Submission, body io.Reader) (*Batch, error) {
	if n.Pair != "" && n.Format == PEM {
		return nil, pki.Errorf(pki.Malformed, "PEM does not say which two requests are of one device: write a batch of pairs as %s, %s, %s or %s", NDJSON, CSV, TarGz, Zip)
	}
	b, existed, err := s.create(ctx, g, n, retried{})
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	body = io.TeeReader(body, digest)
	if existed && b.whole() {
		return s.compare(b, digest, body)
	}
	if err := s.beginUpload(ctx, g, b, existed); err != nil {
		return nil, err
	}
	defer s.let(s.uploading, b.ID)
	rows, every, err := s.upload(ctx, g, b, n, body)
	if errors.Is(err, errUnfit) {
		return nil, s.cancel(ctx, g, b, err)
	}
	if err != nil {
		return nil, err
	}
	b.Rows, b.Every = rows, every
	digest.Sum(b.Digest[:0])
	return s.endUpload(ctx, g, b, s.event(g, "submit", b.ID, fmt.Sprintf("%s at %s, sha256 %x", pki.Count(rows, "row"), b.Endpoint, b.Digest)))
}

// busyFor is when to come again to an upload that another request has. Where the connection
// of that one is dead, it takes a minute to be found to stand still, and a client comes three
// times.
const busyFor = 20 * time.Second

// beginUpload holds a batch for an upload; one that existed is begun anew, with what its
// submitter may do now. It is Unavailable where another request has it.
func (s *Service) beginUpload(ctx context.Context, g access.Permit, b *Batch, existed bool) error {
	busy := &pki.Error{Kind: pki.Unavailable, RetryAfter: busyFor,
		Detail: fmt.Sprintf("batch %s is being uploaded at this moment, by another request; send this one again after its end", b.ID)}
	if !s.hold(s.uploading, b.ID) {
		return busy
	}
	if !existed {
		return nil
	}
	b.Scopes = g.Scopes()
	err := s.cfg.Store.RestartUpload(ctx, b.Tenant, b.ID, b.Scopes)
	if err != nil {
		s.let(s.uploading, b.ID)
	}
	if pki.KindOf(err) == pki.Conflict { // the other request came to its end
		busy.Cause, err = err, busy
	}
	return err
}

// endUpload ends the upload of a batch of which all rows are there. Where it has to be
// approved that is asked for first: a batch that waits has its change, also where the
// process ends in between.
func (s *Service) endUpload(ctx context.Context, g access.Permit, b *Batch, e pki.Event) (*Batch, error) {
	next := Checking
	if !b.DryRun {
		var err error
		next, err = s.begin(ctx, g, b)
		if errors.Is(err, errDenied) {
			return nil, s.cancel(ctx, g, b, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.cfg.Store.EndUpload(ctx, b.Tenant, b.ID, b.Rows, b.Every, b.Digest, next, e.At, e); err != nil {
		return nil, err
	}
	s.awaken()
	b, err := s.cfg.Store.Batch(ctx, b.Tenant, b.ID)
	if err != nil {
		return nil, err
	}
	return s.told(ctx, b)
}

// needs returns whose approval a batch needs, for people, and refuses one that nobody
// could approve.
func (s *Service) needs(ctx context.Context, tenant pki.TenantID, lane *enroll.Lane) (string, error) {
	rule := lane.Approvals()
	if rule == nil {
		return "", nil
	}
	if err := s.cfg.Gate.CheckSteps(ctx, tenant, rule.Steps); err != nil {
		return "", pki.Because(pki.PolicyRefused, err, "nobody could approve what is enrolled at the endpoint %s: %s", lane.Endpoint.Label(), pki.DetailOf(err))
	}
	return rule.String(), nil
}

// create stores the batch, or finds the one with its idempotency key.
func (s *Service) create(ctx context.Context, g access.Permit, n Submission, of retried) (*Batch, bool, error) {
	if err := g.CheckSome(access.ManageBatches); err != nil {
		return nil, false, err
	}
	if len(n.Idempotency) > enroll.MaxIdempotency {
		return nil, false, pki.Errorf(pki.Malformed, "the idempotency key is longer than %d bytes", enroll.MaxIdempotency)
	}
	if err := checkFormat(n.Format); err != nil {
		return nil, false, err
	}
	if err := enroll.CheckPlacement(n.Defaults); err != nil {
		return nil, false, err
	}
	lane, err := s.cfg.RA.OpenBatch(ctx, g, n.Endpoint, n.Pair)
	if err != nil {
		return nil, false, err
	}
	needs, err := s.needs(ctx, g.Tenant(), lane)
	if err != nil {
		return nil, false, err
	}
	now := s.cfg.Now().UTC()
	b := &Batch{
		ID: pki.BatchID(pki.NewID(now)), Tenant: g.Tenant(), Endpoint: lane.Endpoint.Name, Profile: lane.Profile(),
		Authority: lane.Authority(), Defaults: n.Defaults, DryRun: n.DryRun, Idempotency: n.Idempotency,
		State: Uploading, By: g.Actor(), Scopes: g.Scopes(), Needs: needs, Created: now,
		RetryOf: of.batch, RetryKinds: of.kinds,
	}
	b.PairEndpoint, b.PairProfile = lane.Pair()
	got, existed, err := s.cfg.Store.CreateBatch(ctx, b, s.event(g, "create", b.ID, "at "+b.Endpoint))
	if err != nil {
		return nil, false, err
	}
	if existed {
		if err := s.sameAs(ctx, g, b, got); err != nil {
			return nil, false, err
		}
	}
	if existed && !got.neverComplete() {
		return got, true, nil
	}
	// After it is there: a lot that is closed now looks for batches of its own.
	_, err = s.cfg.RA.Complete(ctx, g, n.Defaults)
	if err != nil && !existed {
		err = s.giveUp(ctx, g, b, err)
	}
	if err != nil {
		return nil, false, err
	}
	return got, existed, nil
}

// sameAs refuses a batch whose idempotency key belongs to another one that was there: not
// the same, or not whole and somebody else's, whose name and scopes its rows would have.
func (s *Service) sameAs(ctx context.Context, g access.Permit, b, got *Batch) error {
	seen := s.readable(ctx, g, got)
	where := got.Endpoint == b.Endpoint && got.PairEndpoint == b.PairEndpoint && got.Defaults == b.Defaults && got.RetryOf == b.RetryOf
	switch {
	case where && got.DryRun && !b.DryRun:
		return access.KeyTaken(seen, "batch", "%s, which is a dry run of this: issue that one with 'pando batch issue', or take another key for another batch", got.ID)
	case !where || got.DryRun != b.DryRun || got.RetryKinds != b.RetryKinds:
		return access.KeyTaken(seen, "batch", "%s, which was submitted with other parameters; take another key for another batch", got.ID)
	case got.whole() && seen != nil:
		return access.KeyTaken(seen, "batch", "%s", got.ID)
	case !got.whole() && got.By != b.By:
		return access.KeyTaken(seen, "batch", "%s of %s, who alone may go on with it while it is not whole; take another key for a batch of your own", got.ID, got.By)
	}
	return nil
}

// readable is nil where a batch may be shown to whoever submits one: as Batch shows it, or
// since they submitted it, with no more than they have now, and were answered with it then.
func (s *Service) readable(ctx context.Context, g access.Permit, b *Batch) error {
	if b.By == g.Actor() {
		where, err := s.where(ctx, b)
		if err != nil || hasAll(g, b, where) == nil {
			return err
		}
	}
	read, err := g.Principal().Authorize(access.ReadBatches, g.Tenant())
	if err != nil {
		return err
	}
	return s.within(ctx, read, access.ReadBatches, b)
}

// whole reports whether all rows of the batch came.
func (b *Batch) whole() bool { return b.State != Uploading && !b.neverComplete() }

// neverComplete reports whether the batch was cancelled before its upload was
// complete: its file was none, or never came whole. Nothing was done under its
// idempotency key.
func (b *Batch) neverComplete() bool { return b.State == Cancelled && b.Rows == 0 }

// cancel cancels a batch that is uploading, for an error that it returns.
func (s *Service) cancel(ctx context.Context, g access.Permit, b *Batch, cause error) error {
	return errors.Join(cause, s.cfg.Store.SetState(ctx, b.Tenant, b.ID, []State{Uploading}, Cancelled,
		s.cfg.Now().UTC(), s.event(g, "cancel", b.ID, pki.DetailOf(cause))))
}

// giveUp is cancel, but leaves nothing of a retry, which nobody has sent a file for.
func (s *Service) giveUp(ctx context.Context, g access.Permit, b *Batch, cause error) error {
	if b.RetryOf == "" {
		return s.cancel(ctx, g, b, cause)
	}
	return errors.Join(cause, s.cfg.Store.DropRetry(ctx, b.Tenant, b.ID, s.event(g, "drop", b.ID, pki.DetailOf(cause))))
}

// compare reads the body and returns the batch where it is the same file again.
func (s *Service) compare(b *Batch, digest hash.Hash, body io.Reader) (*Batch, error) {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, pki.Because(pki.Malformed, err, "the upload broke off; send it again")
	}
	if [32]byte(digest.Sum(nil)) != b.Digest {
		return nil, pki.Errorf(pki.Conflict, "the idempotency key belongs to batch %s, which is another file; take another key for this one", b.ID)
	}
	return b, nil
}

// errUnfit marks an upload that cannot become a batch, however often it comes.
var errUnfit = errors.New("the file cannot be a batch")

// upload stores the rows in parts of some chunks, each while the next is read, and
// returns how many rows there are.
func (s *Service) upload(ctx context.Context, g access.Permit, b *Batch, n Submission, body io.Reader) (int64, Every, error) {
	none := Every{}
	r, done, err := newReader(n.Format, body, s.cfg.Spool, b.PairEndpoint != "")
	if err != nil {
		return 0, none, uploadFault(err)
	}
	defer done()
	fold, err := s.newFold(ctx, g, b)
	if err != nil {
		return 0, none, err
	}
	c := &Chunk{First: 1}
	var part []*Chunk
	size := 0 // of part, in bytes
	fill := func() {
		part, size = append(part, c), size+len(c.Rows)
		c = &Chunk{No: c.No + 1, First: c.First + int64(c.Count), Rows: make([]byte, 0, len(c.Rows)*17/16)} // rows are alike
	}
	var storing errgroup.Group
	defer storing.Wait() // also after a fault: what is done about that comes later
	store := func() error {
		if err := storing.Wait(); err != nil || len(part) == 0 {
			return err
		}
		full := part
		storing.Go(func() error { return s.cfg.Store.AddChunks(ctx, b.Tenant, b.ID, full...) })
		part, size = nil, 0
		return nil
	}
	for {
		row, err := r.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, none, uploadFault(err)
		}
		row.Placement = withDefaults(row.Placement, n.Defaults)
		if err := fold.take(ctx, c.First+int64(c.Count), &row); err != nil {
			return 0, none, err
		}
		c.Rows = appendRow(c.Rows, &row)
		if c.Count++; c.full(b.width()) {
			fill()
		}
		if len(part) == partChunks || size >= maxChunk {
			if err := store(); err != nil {
				return 0, none, err
			}
		}
		if c.First-1+int64(c.Count) > MaxRows {
			return 0, none, pki.Because(pki.Malformed, errUnfit, "a batch has at most %d rows: submit several", MaxRows)
		}
	}
	if c.Count > 0 {
		fill()
	}
	if err = store(); err == nil {
		err = storing.Wait()
	}
	if err != nil {
		return 0, none, err
	}
	if c.First == 1 {
		return 0, none, pki.Because(pki.Malformed, errUnfit, "there is no row in the upload: in %s a row is %s", n.Format, n.Format.row())
	}
	return c.First - 1, fold.every, nil
}

// full reports whether a chunk takes no more devices, which have so many rows each.
func (c *Chunk) full(width int) bool {
	return c.Count%width == 0 && (c.Count > ChunkRows-width || len(c.Rows) >= maxChunk)
}

// uploadFault tells a file that cannot be a batch from an upload that broke off.
func uploadFault(err error) error {
	switch pki.KindOf(err) {
	case pki.Unauthenticated, pki.Forbidden, pki.Unavailable: // who sends it may not any more, or there is no room
		return err
	case pki.Malformed:
		return pki.Because(pki.Malformed, errors.Join(errUnfit, err), "%s", pki.DetailOf(err))
	}
	return pki.Because(pki.Malformed, err, "the upload broke off; send it again under the same idempotency key")
}

func withDefaults(p, d pki.Placement) pki.Placement {
	if p.ProductLine == "" {
		p.ProductLine = d.ProductLine
	}
	if p.Lot == "" {
		p.Lot = d.Lot
	}
	if p.Site == "" {
		p.Site = d.Site
	}
	return p
}
