package audit

import (
	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/pki"
)

// An Inclusion proves that a leaf is in the tree of a checkpoint (RFC 6962, 2.1.1).
type Inclusion struct {
	Index      int64       `json:"index"`
	Leaf       Leaf        `json:"leaf"`
	Hashes     []tlog.Hash `json:"hashes"`
	Checkpoint string      `json:"checkpoint"`
	Key        string      `json:"key"` // whoever verifies compares it with the one that they know
}

// Verify returns the checkpoint, once its signature and the proof are verified.
func (p *Inclusion) Verify() (Checkpoint, error) {
	key, err := ParseKey(p.Key)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := key.Open(p.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	if p.Index < 0 || p.Index >= c.Size || tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Index, p.Leaf.Hash()) != nil {
		return Checkpoint{}, pki.Errorf(pki.BadProof, "the leaf is not the one at index %d of the log", p.Index)
	}
	return c, nil
}

// A Consistency proves that a tree begins with all of a smaller one (RFC 6962,
// 2.1.2).
type Consistency struct {
	From   int64       `json:"from"` // sizes
	To     int64       `json:"to"`
	Hashes []tlog.Hash `json:"hashes"`
}

// Verify checks the proof against the two roots.
func (p *Consistency) Verify(from, to tlog.Hash) error {
	if p.From == p.To && from == to {
		return nil
	}
	if p.From < 1 || p.From >= p.To || tlog.CheckTree(p.Hashes, p.To, to, p.From, from) != nil {
		return pki.Errorf(pki.BadProof, "the tree of %d leaves does not begin with the one of %d", p.To, p.From)
	}
	return nil
}

// Connect checks that the log of newer begins with the log of older, two checkpoints of
// one origin. Of a log without entries, and of two of one size, nothing needs to be
// proved but that their roots are what they must be.
func (p *Consistency) Connect(older, newer Checkpoint) error {
	if p.From != older.Size || p.To != newer.Size || older.Origin != newer.Origin {
		return pki.Errorf(pki.BadProof, "the proof is from %d to %d leaves, not from %d to %d", p.From, p.To, older.Size, newer.Size)
	}
	if older.Size == 0 && older.Root == (&edge{}).root() {
		return nil
	}
	return p.Verify(older.Root, newer.Root)
}
