package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

const (
	// partEntries is how many entries a new part has at most: what is made anew for
	// one that changed.
	partEntries = 500
	// wholeEvery is how long parts are believed before all are made anew of the entries:
	// whatever became of a part, by a fault or by somebody who can write to the store,
	// ends then.
	wholeEvery = 24 * time.Hour
	// readParts is how many parts are read at once, to some 400 kB.
	readParts = 16
)

// signFull signs a full CRL of the parts of the one before it and of new ones where an
// entry changed, or of the entries alone.
func (s *Service) signFull(ctx context.Context, id *identity, c *CRL, info *tbs.CRLInfo, state *ShardState, expired time.Time) error {
	a, err := s.assemble(ctx, c, state, expired)
	if err != nil {
		return fmt.Errorf("entries: %w", err)
	}
	err = s.signParts(ctx, id, c, info, a)
	if !errors.Is(err, errParts) {
		return err
	}
	s.tellDamaged(ctx, id, c.List, fmt.Sprintf("the stored parts of CRL number %d are not as they were written; the next one was made of the revocations instead", a.Of))
	if a, err = s.assembleWhole(ctx, c, expired); err != nil {
		return fmt.Errorf("entries: %w", err)
	}
	return s.signParts(ctx, id, c, info, a)
}

// errParts says that the parts that stay are not those that were counted.
var errParts = errors.New("the parts of the CRL before are damaged")

func (s *Service) signParts(ctx context.Context, id *identity, c *CRL, info *tbs.CRLInfo, a *assembly) error {
	if err := s.lintCRL(info, &a.sample); err != nil {
		return err
	}
	list, err := tbs.NewCertList(info, a.octets)
	if err != nil {
		return err
	}
	c.Entries, c.Parts = a.entries, &a.Parts
	a.Head, a.Tail, err = s.signList(ctx, id, list, func(w io.Writer) error { return s.writeParts(ctx, c.List, a, w) })
	return err
}

// An assembly is the parts of a CRL.
type assembly struct {
	Parts
	order   []piece
	entries int64
	octets  int
	sample  sample // of the new parts; those that stay were sampled when they were new
}

// A piece is new parts of an assembly, or parts of the CRL before, which stay.
type piece struct {
	new   []Part
	stays bool
	span  Span // of those that stay
}

// assemble makes the parts that the entries up to c.Covers need, and says which stay.
func (s *Service) assemble(ctx context.Context, c *CRL, state *ShardState, expired time.Time) (*assembly, error) {
	c.Whole = state.Whole
	now := c.ThisUpdate
	// Where more happened, to whatever shard, than this one has entries, those are
	// read sooner than what happened.
	if state.Renewed || state.Newest-state.Covers > state.Entries || now.Before(state.Whole) || !now.Before(state.Whole.Add(wholeEvery)) {
		return s.assembleWhole(ctx, c, expired)
	}
	parts, err := s.cfg.Store.Parts(ctx, c.Issuer, c.Shard)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return s.assembleWhole(ctx, c, expired)
	}
	changes, err := s.changed(ctx, c, state.Covers, expired)
	if err != nil {
		return nil, err
	}
	a := &assembly{Parts: Parts{Of: state.Number}}
	old := touched(parts, changes, expired)
	for i := 0; i <= len(parts); {
		first := i
		for i <= len(parts) && old[i] == old[first] {
			i++
		}
		span := spanOf(parts, first, i)
		if !old[first] {
			a.keep(parts[first:min(i, len(parts))], span)
			continue
		}
		a.Gone = append(a.Gone, span)
		if err := s.addParts(ctx, a, c, expired, span); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (s *Service) assembleWhole(ctx context.Context, c *CRL, expired time.Time) (*assembly, error) {
	c.Whole = c.ThisUpdate
	a := &assembly{Parts: Parts{Gone: []Span{{}}}}
	return a, s.addParts(ctx, a, c, expired, Span{})
}

// touched says which parts have entries that changed or expired; the last value is for
// the serials behind all parts. A small part goes with the next one.
func touched(parts []Part, changes []pki.Revocation, expired time.Time) []bool {
	old := make([]bool, len(parts)+1)
	for i := range changes {
		serial := changes[i].Serial
		old[sort.Search(len(parts), func(n int) bool { return bytes.Compare(parts[n].Last[:], serial[:]) >= 0 })] = true
	}
	for i, p := range parts {
		old[i] = old[i] || p.Expires.Before(expired)
	}
	for i := len(parts) - 1; i >= 0; i-- {
		old[i] = old[i] || old[i+1] && parts[i].Entries < partEntries/2
	}
	return old
}

// spanOf returns the serials that parts[first:end] have; behind all of them there is
// one more.
func spanOf(parts []Part, first, end int) (s Span) {
	if first > 0 {
		s.After = parts[first-1].Last
	}
	if end <= len(parts) {
		s.Through = parts[end-1].Last
	}
	return s
}

func (a *assembly) keep(parts []Part, span Span) {
	if len(parts) == 0 {
		return
	}
	a.order = append(a.order, piece{stays: true, span: span})
	for _, p := range parts {
		a.entries += p.Entries
		a.octets += p.Octets
	}
}

// addParts makes parts of the entries within a span.
func (s *Service) addParts(ctx context.Context, a *assembly, c *CRL, expired time.Time, span Span) error {
	begun := len(a.New)
	err := s.eachPage(ctx, c.List, c.Covers, expired, span, func(got []pki.Revocation) error {
		for some := range slices.Chunk(got, partEntries) {
			p, err := newPart(some, &a.sample)
			if err != nil {
				return err
			}
			a.New = append(a.New, p)
			a.entries += p.Entries
			a.octets += p.Octets
		}
		return nil
	})
	a.order = append(a.order, piece{new: a.New[begun:]})
	return err
}

func newPart(entries []pki.Revocation, of *sample) (p Part, err error) {
	p.Last, p.Entries, p.Expires = entries[len(entries)-1].Serial, int64(len(entries)), entries[0].NotAfter
	for i := range entries {
		if end := entries[i].NotAfter; end.Before(p.Expires) {
			p.Expires = end
		}
	}
	p.DER, err = appendEntries(make([]byte, 0, len(entries)*entrySize), entries, of)
	p.Octets, p.Hash = len(p.DER), sha256.Sum256(p.DER)
	return p, err
}

// writeParts writes the entries of an assembly, those that stay as they are read. It is
// errParts where they are not what was counted: the length stands before them already.
func (s *Service) writeParts(ctx context.Context, list List, a *assembly, w io.Writer) error {
	entries, octets := int64(0), 0
	for _, piece := range a.order {
		for _, p := range piece.new {
			entries, octets = entries+p.Entries, octets+len(p.DER)
			if _, err := w.Write(p.DER); err != nil {
				return err
			}
		}
		for span := piece.span; piece.stays; {
			got, err := s.cfg.Store.PartsDER(ctx, list.Issuer, list.Shard, span, readParts)
			if err != nil {
				return err
			}
			for i := range got {
				p := &got[i]
				if !p.whole() {
					return errParts
				}
				entries, octets = entries+p.Entries, octets+len(p.DER)
				if _, err := w.Write(p.DER); err != nil {
					return err
				}
			}
			if len(got) < readParts {
				break
			}
			span.After = got[len(got)-1].Last
		}
	}
	if entries != a.entries || octets != a.octets {
		return errParts
	}
	return nil
}

// whole reports whether the DER of a stored part is as it was made.
func (p *Part) whole() bool { return len(p.DER) == p.Octets && sha256.Sum256(p.DER) == p.Hash }
