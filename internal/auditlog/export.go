package auditlog

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// around is how much an export has before and after its period at least, where the log
// has so much: an act may wait for its place for as long as maxAge, and the clocks of the
// nodes that date acts and checkpoints are up to a minute apart. Without it an act of a
// period's last moment would stand in no export of the period.
const around = maxAge + time.Minute

// page is how many entries, or checkpoints, an export reads at once.
const page = 1000

// An Export is a part of a log that is ready to be written.
type Export struct {
	s        *Service
	v        *view
	from, to int64
}

// Export returns the part of a log that covers a period, up to its newest entry
// where until is zero and from its first where since is. The part begins and ends
// with a checkpoint that was handed to anchors, minutes before and after the period.
func (s *Service) Export(ctx context.Context, g access.Permit, since, until time.Time) (*Export, error) {
	if !until.IsZero() && until.Before(since) {
		return nil, pki.Errorf(pki.Malformed, "the period ends before it begins")
	}
	v, err := s.read(ctx, g)
	if err != nil {
		return nil, err
	}
	e := &Export{s: s, v: v, to: v.Size}
	if !since.IsZero() {
		before, _, err := s.cfg.Store.KeptAt(ctx, v.tenant, since.Add(-around))
		if err != nil {
			return nil, err
		}
		e.from = min(before.Size, v.Size)
	}
	if !until.IsZero() {
		_, after, err := s.cfg.Store.KeptAt(ctx, v.tenant, until.Add(around))
		if err != nil {
			return nil, err
		}
		if after.Size > 0 {
			e.to = min(after.Size, v.Size)
		}
	}
	return e, nil
}

// Write writes the export (see audit.Verify for how it is read).
func (e *Export) Write(ctx context.Context, to io.Writer) error {
	if err := e.write(ctx, to); err != nil {
		e.s.stats.ExportFailures.Add(1)
		return err
	}
	e.s.stats.Exports.Add(1)
	return nil
}

func (e *Export) write(ctx context.Context, to io.Writer) error {
	edge, err := audit.Edge(e.from, e.v.hashes)
	if err != nil {
		return fmt.Errorf("reading the log's tree: %w", err)
	}
	w, err := audit.NewWriter(to, audit.Header{Origin: e.v.Origin, Key: e.v.key.String(), From: e.from, To: e.to, Edge: edge})
	if err != nil {
		return err
	}
	if err := e.entries(ctx, w); err != nil {
		return err
	}
	end := audit.End{Checkpoint: e.v.checkpoint, Consistency: audit.Consistency{From: e.to, To: e.v.Size}}
	if e.to > 0 && e.to < e.v.Size {
		if end.Consistency.Hashes, err = tlog.ProveTree(e.v.Size, e.to, e.v.hashes); err != nil {
			return fmt.Errorf("proving the export: %w", err)
		}
	}
	return w.End(end)
}

// entries writes the entries, and each kept checkpoint where its tree ends.
func (e *Export) entries(ctx context.Context, w *audit.Writer) error {
	kept := checkpoints{e: e, last: e.from - 1}
	if err := kept.write(ctx, w, e.from); err != nil {
		return err
	}
	for at := e.from; at < e.to; {
		// A page ends where a checkpoint does, or it is full.
		next, err := kept.next(ctx)
		if err != nil {
			return err
		}
		n := min(page, e.to-at, next-at)
		entries, err := e.s.entries(ctx, e.v, at, int(n))
		if err != nil {
			return err
		}
		for i := range entries {
			if err := w.Entry(&entries[i]); err != nil {
				return err
			}
		}
		at += n
		if err := kept.write(ctx, w, at); err != nil {
			return err
		}
	}
	return nil
}

// checkpoints reads the kept checkpoints of an export in order of size.
type checkpoints struct {
	e    *Export
	last int64 // the size of the last that was read
	page []Kept
	done bool
}

// next returns the size of the next checkpoint, or one beyond the export.
func (c *checkpoints) next(ctx context.Context) (int64, error) {
	if len(c.page) == 0 && !c.done {
		var err error
		if c.page, err = c.e.s.cfg.Store.Kept(ctx, c.e.v.tenant, c.last, page); err != nil {
			return 0, err
		}
		if c.done = len(c.page) < page; len(c.page) > 0 {
			c.last = c.page[len(c.page)-1].Size
		}
	}
	if len(c.page) == 0 {
		return c.e.to + 1, nil
	}
	return c.page[0].Size, nil
}

// write writes the checkpoint of that size, if there is one.
func (c *checkpoints) write(ctx context.Context, w *audit.Writer, size int64) error {
	next, err := c.next(ctx)
	if err != nil || next != size {
		return err
	}
	note := c.page[0].Note
	c.page = c.page[1:]
	return w.Checkpoint(note)
}
