package batch

import (
	"context"
	"errors"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// A fold keeps the rows of an upload within their submitter's permit, and sees where
// all of them belong.
type fold struct {
	ra     RA
	permit access.Permit
	where  []access.Scope // but for the rows; see Service.where
	free   bool           // wherever a row belongs, it is within the permit

	begun     bool
	said      pki.Placement // of the last row
	completed pki.Placement
	every     Every
}

func (s *Service) newFold(ctx context.Context, g access.Permit, b *Batch) (*fold, error) {
	where, err := s.where(ctx, b)
	beyond := func(w access.Scope) bool { return !g.Covers(w) }
	return &fold{ra: s.cfg.RA, permit: g, where: where, free: !slices.ContainsFunc(where, beyond)}, err
}

// take sees one row of an upload.
func (f *fold) take(ctx context.Context, no int64, row *enroll.Row) error {
	if err := f.keep(ctx, no, row); err != nil {
		return err
	}
	if row.Problem != "" { // it is never enrolled
		return nil
	}
	return f.complete(ctx, row.Placement)
}

// keep is Forbidden for a row outside of where somebody may enrol who may not
// everywhere.
func (f *fold) keep(ctx context.Context, no int64, row *enroll.Row) (err error) {
	if f.free || row.Problem != "" {
		return nil
	}
	where := f.where[(no-1)%int64(len(f.where))]
	row.Placement, err = f.ra.CheckSubject(ctx, f.permit, access.ManageBatches, where, row.Subject)
	switch pki.KindOf(err) {
	case pki.Forbidden:
		return pki.Because(pki.Forbidden, errors.Join(errUnfit, err), "row %d: %s", no, pki.DetailOf(err))
	case pki.Malformed, pki.PolicyRefused, pki.Conflict:
		// As it is it was not checked; it must not become good later.
		row.Subject, row.Problem, err = enroll.Subject{}, pki.DetailOf(err), nil
	}
	return err
}

// complete completes a placement, which most rows have in common with the one before.
// One that cannot be enrolled in stays as it is said: the row will be refused.
func (f *fold) complete(ctx context.Context, said pki.Placement) error {
	if f.begun && said == f.said {
		return nil
	}
	completed, err := f.ra.Complete(ctx, f.permit, said)
	switch pki.KindOf(err) {
	case pki.Malformed, pki.PolicyRefused, pki.Conflict, pki.NotFound:
		completed, err = said, nil
	}
	if err != nil {
		return err
	}
	f.said, f.completed = said, completed
	this := Every{completed.ProductLine, completed.Site}
	if !f.begun {
		f.begun, f.every = true, this
	}
	if this.ProductLine != f.every.ProductLine {
		f.every.ProductLine = ""
	}
	if this.Site != f.every.Site {
		f.every.Site = ""
	}
	return nil
}
