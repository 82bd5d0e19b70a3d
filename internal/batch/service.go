// Package batch runs manufacturing jobs over enroll: upload, dry run, issue,
// pause, resume, cancel, results.
package batch

import (
	"context"
	"io"
	"iter"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

type Service struct{}

// A Format is how the rows of an upload or of results are written.
type Format string

// The formats.
const (
	PEM    Format = "pem"
	NDJSON Format = "ndjson"
)

// Submission is a new batch.
type Submission struct {
	Endpoint    string // label or name
	Format      Format
	Defaults    pki.Placement
	DryRun      bool
	Idempotency string
}

// Submit reads rows to the end of body and starts the batch (or its dry run). The same file under the
// same idempotency key is the same batch; another file is Conflict.
func (s *Service) Submit(ctx context.Context, g access.Grant, n Submission, body io.Reader) (*Batch, error) {
	panic("unwritten")
}

// Issue starts a checked batch; access.ManageBatches, as Pause, Resume, Cancel.
func (s *Service) Issue(ctx context.Context, g access.Grant, id pki.BatchID) (*Batch, error) {
	panic("unwritten")
}
func (s *Service) Pause(ctx context.Context, g access.Grant, id pki.BatchID) (*Batch, error) {
	panic("unwritten")
}
func (s *Service) Resume(ctx context.Context, g access.Grant, id pki.BatchID) (*Batch, error) {
	panic("unwritten")
}
func (s *Service) Cancel(ctx context.Context, g access.Grant, id pki.BatchID) (*Batch, error) {
	panic("unwritten")
}

// Batch, Batches, Results, Watch: access.ReadBatches.
func (s *Service) Batch(ctx context.Context, g access.Grant, id pki.BatchID) (*Batch, error) {
	panic("unwritten")
}
func (s *Service) Batches(ctx context.Context, g access.Grant, before pki.BatchID, limit int) ([]*Batch, error) {
	panic("unwritten")
}

// Results yields the ends of rows after the given row, in input order; it stops at the first row without an end.
func (s *Service) Results(ctx context.Context, g access.Grant, id pki.BatchID, after int64) iter.Seq2[Result, error] {
	panic("unwritten")
}

// Watch yields the batch now and at each change of its counts or state (at most about four a second), until it is at rest or ctx ends.
func (s *Service) Watch(ctx context.Context, g access.Grant, id pki.BatchID) iter.Seq2[*Batch, error] {
	panic("unwritten")
}
