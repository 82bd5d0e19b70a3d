package batch

import (
	"context"
	"errors"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// A fold keeps the rows of an upload within their submitter's permit, and sees where
// all of them belong.
type fold struct {
	ra     RA
	permit access.Permit
	where  access.Scope // but for the rows
	free   bool         // wherever a row belongs, it is within the permit

	begun     bool
	said      pki.Placement // of the last row
	completed pki.Placement
	every     Every
}

func (s *Service) newFold(ctx context.Context, g access.Permit, b *Batch) (*fold, error) {
	where, err := s.where(ctx, b)
	return &fold{ra: s.cfg.RA, permit: g, where: where, free: g.Covers(where)}, err
}

// take sees one row. In an upload of somebody who may not enrol everywhere it is
// Forbidden outside of where they may; the row's placement is then completed here, so
// that what was checked holds whatever becomes of its lot before the row's turn.
func (f *fold) take(ctx context.Context, row *enroll.Row) error {
	if row.Problem != "" { // it is never enrolled
		return nil
	}
	if err := f.complete(ctx, row.Placement); err != nil {
		return err
	}
	if f.free {
		return nil
	}
	row.Placement = f.completed
	where := f.where
	where.ProductLine, where.Site = f.completed.ProductLine, f.completed.Site
	if err := f.permit.CheckAt(access.ManageBatches, where); err != nil {
		return pki.Because(pki.Forbidden, errors.Join(errUnfit, err), "row %d: %s", row.No, pki.DetailOf(err))
	}
	return nil
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
