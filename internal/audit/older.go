package audit

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/pki"
)

// An Older is an older checkpoint that was given, and is of the export's tree.
type Older struct {
	Size   int64     `json:"size"`
	Signed time.Time `json:"signed"`
}

// NotCompared counts older checkpoints that were given and for which an export has no
// tree: nothing is said of what they vouch for.
type NotCompared struct {
	Before int64 `json:"before"` // have fewer entries than the log had where the export begins
	Beyond int64 `json:"beyond"` // have more than where it ends, and no more than the newest checkpoint
	// Of the largest of those beyond: an export up to then is one to compare them with.
	Size   int64     `json:"size,omitzero"`
	Signed time.Time `json:"signed,omitzero"`
}

// Total returns how many were not compared.
func (n NotCompared) Total() int64 { return n.Before + n.Beyond }

// olders are the older checkpoints that a verifier was given.
type olders struct {
	before  *Checkpoint            // the largest that has fewer entries than the export begins with
	waiting map[int64][]Checkpoint // that are still to be met, by size
	met     int                    // that were held against a tree
	vouched int64                  // the size of the largest of these
}

// older reads the older checkpoints that were given.
func (v *verifier) older() error {
	v.olders = olders{waiting: make(map[int64][]Checkpoint), vouched: v.tree.size}
	v.report.Given = int64(len(v.cfg.Since))
	first := make(map[int64]Checkpoint) // of each size
	for _, note := range v.cfg.Since {
		c, err := v.key.OpenKept(note)
		if err != nil {
			if pki.KindOf(err) != pki.BadProof {
				return err
			}
			v.report.addf("%s", pki.DetailOf(err))
			continue
		}
		if same, ok := first[c.Size]; !ok {
			first[c.Size] = c
		} else if same.Root != c.Root {
			v.report.addf("the log was rewritten: the older checkpoints of %s and of %s have %d entries each, and not the same", rfc3339(same.Time), rfc3339(c.Time), c.Size)
		}
		switch {
		case c.Size < v.tree.size:
			v.report.NotCompared.Before++
			if v.olders.before == nil || v.olders.before.Size < c.Size {
				v.olders.before = &c
			}
		case c.Size == v.tree.size:
			v.compare(c, v.tree.root())
		default:
			v.olders.waiting[c.Size] = append(v.olders.waiting[c.Size], c)
		}
	}
	return nil
}

// meet compares the older checkpoints that have as many entries as the tree has now.
func (v *verifier) meet() {
	for _, c := range v.olders.waiting[v.tree.size] {
		v.compare(c, v.tree.root())
	}
	delete(v.olders.waiting, v.tree.size)
}

// compare holds an older checkpoint against the root of the tree that has its size.
func (v *verifier) compare(c Checkpoint, root tlog.Hash) {
	v.olders.met++
	v.olders.vouched = max(v.olders.vouched, c.Size)
	if c.Root != root {
		v.report.addf("the log was rewritten: its first %d entries are not those of the older checkpoint of %s", c.Size, rfc3339(c.Time))
		return
	}
	v.report.Since = append(v.report.Since, Older{c.Size, c.Time})
}

// unmet says what became of the older checkpoints that no entry has met. Between its
// end and its newest checkpoint an export proves nothing: what is in between is not in
// it. It is a finding where one that could not be compared is about entries of the
// export and no other is, or where none was compared.
func (v *verifier) unmet() {
	var next *Checkpoint // the smallest beyond
	n := &v.report.NotCompared
	for _, size := range slices.Sorted(maps.Keys(v.olders.waiting)) {
		for _, c := range v.olders.waiting[size] {
			switch {
			case v.newest != nil && c.Size > v.newest.Size:
				v.report.addf("the older checkpoint of %s has %d entries, the log now %d: its tail was cut, or the export was made before", rfc3339(c.Time), c.Size, v.newest.Size)
			case v.newest != nil && c.Size == v.newest.Size && c.Root != v.newest.Root:
				v.compare(c, v.newest.Root)
			default:
				if v.newest != nil && c.Size == v.newest.Size { // which is proved to begin with the entries
					v.olders.vouched = c.Size
				}
				n.Beyond++
				n.Size, n.Signed = c.Size, c.Time
				if next == nil {
					next = &c
				}
			}
		}
	}
	if before := v.olders.before; before != nil && v.olders.met == 0 {
		v.report.addf("the older checkpoint of %s has %d entries and the export begins at index %d, so that it cannot be compared: export from an earlier time", rfc3339(before.Time), before.Size, v.report.From)
	}
	switch alone := v.olders.vouched < v.tree.size; {
	case next == nil:
	case alone:
		v.report.addf("the older checkpoint of %s has %d entries and the export ends at %d, so that it cannot be compared, and no other vouches for the entries from index %d on: export up to a later time",
			rfc3339(next.Time), next.Size, v.tree.size, v.olders.vouched)
	case v.olders.met == 0:
		v.report.addf("the older checkpoint of %s has %d entries and the export ends at %d, so that it cannot be compared: export up to a later time", rfc3339(next.Time), next.Size, v.tree.size)
	}
}

func rfc3339(t time.Time) string { return t.Format(time.RFC3339) }
