package sqlstore

import (
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// The kinds of log leaves.
const (
	leafCertificates = "certificates" // ref is an intent
	leafRevocation   = "revocation"   // ref is the seq of the first of count entries
	leafEvent        = "event"        // ref is an event
)

// A leafRun is leaves of one kind and tenant that one transaction stores, with
// their hashes, so that nothing is read again to sequence them.
type leafRun struct {
	tenant   int64
	kind     string
	ref      int64 // see the kinds
	firstRow int64 // id of the first certificate
	hasher   audit.Hasher
	hashes   []byte
	count    int
}

// add appends a leaf.
func (r *leafRun) add(l *audit.Leaf) {
	h := r.hasher.Hash(l)
	r.hashes = append(r.hashes, h[:]...)
	r.count++
}

// addEntry appends the leaf of a revocation entry, which has the given sequence
// number.
func (r *leafRun) addEntry(seq int64, e *pki.Revocation) {
	if r.count == 0 {
		r.ref = seq
	}
	leaf := audit.OfRevocation(e)
	r.add(&audit.Leaf{Revocation: &leaf})
}

// leaves stores a run, for the sequencer to give the leaves their places; nothing
// where it is empty.
func (t *tx) leaves(r *leafRun, at time.Time) error {
	if r.count == 0 {
		return nil
	}
	return t.insertLeaves(r.appendTo(make([]any, 0, leafColumns), at))
}

const leafColumns = 7

var insertLeafGroups = newRowsText(`leaf_group (tenant, kind, ref, count, created, hashes, first_row)`, leafColumns, ``)

// appendTo appends a run's row.
func (r *leafRun) appendTo(args []any, at time.Time) []any {
	return append(args, r.tenant, r.kind, r.ref, r.count, micros(at), r.hashes, r.firstRow)
}

// insertLeaves inserts the rows of runs, in order.
func (t *tx) insertLeaves(args []any) error {
	if err := t.execRows(insertLeafGroups, args); err != nil {
		return fmt.Errorf("storing log leaves: %w", err)
	}
	return nil
}
