package revocation

import (
	"bytes"
	"cmp"
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
	// partLife is within what time about each part is made anew of the entries, by
	// turns: whatever became of one, by a fault or by somebody who can write to the
	// store, ends then. Where CRLs are so rare that one would have to make more than
	// a turnShare-th of many parts, it takes that many CRLs.
	partLife  = 24 * time.Hour
	turnShare = 24
	// stageParts is how many new parts are held, some 1.7 MB; where a CRL has more,
	// they are stored before it.
	stageParts = 64
	// dropParts is how many parts that are gone are dropped at once: what else is to be
	// written waits for no more of them.
	dropParts = 64
	// readParts is how many parts are read at once, to some 400 kB.
	readParts = 16
)

// signFull signs a full CRL of the parts of the one before it and of new ones where an
// entry changed or their turn has come, or of the entries alone.
func (s *Service) signFull(ctx context.Context, id *identity, c *CRL, info *tbs.CRLInfo, state *ShardState, expired time.Time) error {
	a, err := s.assemble(ctx, c, state, expired)
	if err != nil {
		return fmt.Errorf("entries: %w", err)
	}
	if err := s.lintCRL(info, &a.sample); err != nil {
		return err
	}
	list, err := tbs.NewCertList(info, a.octets)
	if err != nil {
		return err
	}
	c.Entries, c.Parts = a.entries, &a.Parts
	a.Head, a.Tail, err = s.signList(ctx, id, list, func(w io.Writer) error { return s.writeParts(ctx, c, a, w) })
	return err
}

// errParts says that stored parts are not those that were counted.
var errParts = errors.New("the stored parts of the CRL are damaged")

// buildWhole makes a full CRL of nothing but the entries, after build found parts
// damaged; under another number, since some of it may be staged. It is a Conflict where
// the parts were another process's meanwhile.
func (s *Service) buildWhole(ctx context.Context, id *identity, state *ShardState) (*CRL, error) {
	list := List{Issuer: id.issuer.ID, Shard: state.Shard}
	switch latest, err := s.cfg.Store.CRLNumber(ctx, list); {
	case err != nil && pki.KindOf(err) != pki.NotFound:
		return nil, err
	case latest != state.Number:
		return nil, pki.Errorf(pki.Conflict, "CRL number %d of the shard is there already", latest)
	}
	s.tellDamaged(ctx, id, list, fmt.Sprintf("the stored parts of CRL number %d are not as they were written; the next one was made of the revocations instead", state.Number))
	anew := *state
	anew.Renewed = true
	return s.build(ctx, id, &anew, nil)
}

// An assembly is the parts of a CRL.
type assembly struct {
	Parts
	order   []piece
	entries int64
	octets  int
	sample  sample // of the new parts; those that stay were sampled when they were new
}

// A piece is a span of an assembly with parts of the CRL before, which stay, or with new
// ones: first those that are staged, then those that are held, of Parts.New.
type piece struct {
	span          Span
	stays, staged bool
	held          []Part
}

// assemble makes the parts that the entries up to c.Covers need, and says which stay.
func (s *Service) assemble(ctx context.Context, c *CRL, state *ShardState, expired time.Time) (*assembly, error) {
	a := &assembly{Parts: Parts{Of: state.Number}}
	age := c.ThisUpdate.Sub(state.ThisUpdate)
	var parts []Part
	// Where more happened, to whatever shard, than this one has entries, those are
	// read sooner than what happened.
	if !state.Renewed && state.Newest-state.Covers <= state.Entries && age >= 0 {
		var err error
		if parts, err = s.cfg.Store.Parts(ctx, c.Issuer, c.Shard); err != nil {
			return nil, err
		}
	}
	if len(parts) == 0 {
		a.Of, a.Gone = 0, []Span{{}}
		return a, s.addParts(ctx, a, c, expired, Span{})
	}
	if entriesOf(parts) != state.Entries {
		return nil, errParts
	}
	changes, err := s.changed(ctx, c, state.Covers, expired)
	if err != nil {
		return nil, err
	}
	old := touched(parts, changes, expired, age)
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

func entriesOf(parts []Part) (n int64) {
	for i := range parts {
		n += parts[i].Entries
	}
	return n
}

// touched says which parts are to be made anew, after a time since the CRL that they
// are of: those with entries that changed or expired, and by turns the oldest; the last
// value is for the serials behind all parts. A small part goes with the next one.
func touched(parts []Part, changes []pki.Revocation, expired time.Time, age time.Duration) []bool {
	old := make([]bool, len(parts)+1)
	for _, i := range oldest(parts, age) {
		old[i] = true
	}
	for i := range changes {
		serial := changes[i].Serial
		old[sort.Search(len(parts), func(n int) bool { return bytes.Compare(parts[n].Last[:], serial[:]) >= 0 })] = true
	}
	for i, p := range parts {
		old[i] = old[i] || p.Expires.Before(expired)
	}
	// What is behind the last part may lack one that was there.
	old[len(parts)] = old[len(parts)] || old[len(parts)-1]
	for i := len(parts) - 1; i >= 0; i-- {
		old[i] = old[i] || old[i+1] && parts[i].Entries < partEntries/2
	}
	return old
}

// oldest returns which parts have their turn: as many of all as the time is of a part's
// life, but no more than are held at once or than a turnShare-th of all. Those that are
// as old as others are neighbours, and so are few spans.
func oldest(parts []Part, age time.Duration) []int {
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(parts[a].Number, parts[b].Number) })
	const life = int(partLife / time.Second)
	due := (len(parts)*int(min(age, partLife)/time.Second) + life - 1) / life
	return order[:min(due, max(stageParts, (len(parts)+turnShare-1)/turnShare))]
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
	held := len(a.New) // before those of this span
	a.order = append(a.order, piece{span: span})
	return s.eachPage(ctx, c.List, c.Covers, expired, span, func(got []pki.Revocation) error {
		for some := range slices.Chunk(got, partEntries) {
			if len(a.New) == stageParts {
				if err := s.stage(ctx, a, c); err != nil {
					return err
				}
				held = 0
			}
			p, err := newPart(some, &a.sample)
			if err != nil {
				return err
			}
			a.New = append(a.New, p)
			a.entries += p.Entries
			a.octets += p.Octets
			a.order[len(a.order)-1].held = a.New[held:]
		}
		return nil
	})
}

// stage stores the parts that are held: what a CRL holds does not grow with how many
// are new, nor does what its transaction stores.
func (s *Service) stage(ctx context.Context, a *assembly, c *CRL) error {
	if err := s.cfg.Store.StageParts(ctx, c.Issuer, c.Shard, c.Number, a.New); err != nil {
		return err
	}
	for i := range a.order {
		if p := &a.order[i]; len(p.held) > 0 {
			p.held, p.staged = nil, true
		}
	}
	a.New = a.New[:0]
	return nil
}

// dropGone drops the parts that are no CRL's any more, some at a time: those of the CRL that
// was stored just now, and what a process that ended left. They harm nobody but by the
// room that they take, and the next CRL tries again: so an error is only logged.
func (s *Service) dropGone(ctx context.Context) {
	for {
		n, err := s.cfg.Store.DropParts(ctx, dropParts)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "parts of earlier CRLs", "error", err)
		}
		if err != nil || n < dropParts {
			return
		}
	}
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

// writeParts writes the entries of an assembly, those that are stored as they are read.
// It is errParts where they are not what was counted: the length stands before them
// already.
func (s *Service) writeParts(ctx context.Context, c *CRL, a *assembly, w io.Writer) error {
	entries, octets := int64(0), 0
	write := func(parts []Part) error {
		for i := range parts {
			p := &parts[i]
			if !p.whole() {
				return errParts
			}
			entries, octets = entries+p.Entries, octets+len(p.DER)
			if _, err := w.Write(p.DER); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range a.order {
		p := &a.order[i]
		for span := p.span; p.stays || p.staged; {
			got, err := s.storedParts(ctx, c, p, span)
			if err != nil {
				return err
			}
			if err := write(got); err != nil {
				return err
			}
			if len(got) < readParts {
				break
			}
			span.After = got[len(got)-1].Last
		}
		if err := write(p.held); err != nil {
			return err
		}
	}
	if entries != a.entries || octets != a.octets {
		return errParts
	}
	return nil
}

// storedParts returns the first of a piece's stored parts within a span.
func (s *Service) storedParts(ctx context.Context, c *CRL, p *piece, span Span) ([]Part, error) {
	if p.staged {
		return s.cfg.Store.StagedDER(ctx, c.Issuer, c.Shard, c.Number, span, readParts)
	}
	return s.cfg.Store.PartsDER(ctx, c.Issuer, c.Shard, span, readParts)
}

// whole reports whether the DER of a stored part is as it was made.
func (p *Part) whole() bool { return len(p.DER) == p.Octets && sha256.Sum256(p.DER) == p.Hash }
