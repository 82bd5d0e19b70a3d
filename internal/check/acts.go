package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// An act is one sighting of an event or of an entry about status: of its leaf or of its
// row. That each row has a leaf is told by what it says, not by what the store says of
// where its leaf is.
type act struct {
	log  uint32
	leaf tlog.Hash
	by   byte
	row  int64 // 0 of a leaf
}

// What an act was seen as. Within a leaf, records sort so.
const (
	seenLeaf  byte = iota
	seenEntry      // a row about status
	seenEvent      // a row of an event
)

const actSize = 4 + tlog.HashSize + 1 + 8

// encode returns the record, which sorts by log and leaf.
func (a act) encode() []byte {
	b := make([]byte, 0, actSize)
	b = binary.BigEndian.AppendUint32(b, a.log)
	b = append(b, a.leaf[:]...)
	b = append(b, a.by)
	return binary.BigEndian.AppendUint64(b, uint64(a.row))
}

// decodeAct reads what encode wrote.
func decodeAct(b []byte) (a act) {
	a.log = binary.BigEndian.Uint32(b)
	copy(a.leaf[:], b[4:])
	a.by = b[4+tlog.HashSize]
	a.row = int64(binary.BigEndian.Uint64(b[4+tlog.HashSize+1:]))
	return a
}

// logNumber returns the number of a tenant's log, which one without a log gets here.
func (c *checker) logNumber(tenant pki.TenantID) uint32 {
	number, ok := c.logs[tenant]
	if !ok {
		number = uint32(len(c.logs))
		c.logs[tenant] = number
	}
	return number
}

// pages yields rows, a page at a time, from the first number that there can be on: what
// was put into a table by hand may have any.
func pages[T any](ctx context.Context, scan func(ctx context.Context, from int64, limit int) ([]T, error), number func(*T) int64) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		for from := int64(math.MinInt64); ; from++ {
			rows, err := scan(ctx, from, page)
			if err == nil && len(rows) == 0 || !yield(rows, err) || err != nil {
				return
			}
			if from = number(&rows[len(rows)-1]); from == math.MaxInt64 {
				return
			}
		}
	}
}

// readEntries reads every entry about status.
func (c *checker) readEntries(ctx context.Context) error {
	var hasher audit.Hasher
	for entries, err := range pages(ctx, c.store.ScanEntries, func(e *EntryRow) int64 { return e.Row }) {
		if err != nil {
			return fmt.Errorf("reading entries about status: %w", err)
		}
		for i := range entries {
			e := &entries[i]
			c.report.StatusEntries++
			issuer := c.issuers[e.Issuer]
			if issuer == nil {
				c.report.addf(LogComplete, entrySubject(&e.Revocation), "%s: its issuer is missing", entryName(&e.Revocation))
				continue
			}
			if shard := e.Serial.Shard(issuer.Shards); e.Shard != shard {
				c.report.addf(StatusOrder, entrySubject(&e.Revocation), "%s is in shard %d, and its serial number belongs to shard %d", entryName(&e.Revocation), e.Shard, shard)
			}
			leaf := audit.OfRevocation(&e.Revocation)
			seen := act{log: c.logNumber(issuer.Tenant), leaf: hasher.Hash(&audit.Leaf{Revocation: &leaf}), by: seenEntry, row: e.Row}
			if err := c.acts.add(seen.encode()); err != nil {
				return err
			}
			if err := c.entries.add(statusEntry{issuer.number, e.Serial, int64(e.N), e.Reason}.encode()); err != nil {
				return err
			}
		}
		c.tell("status entries", c.report.StatusEntries)
	}
	return nil
}

// entrySubject names the certificate of an entry in findings.
func entrySubject(r *pki.Revocation) string {
	return fmt.Sprintf("certificate %s/%s", r.Issuer, r.Serial)
}

// entryName names an entry about a certificate's status.
func entryName(r *pki.Revocation) string {
	return fmt.Sprintf("entry %d about its status (%s, %s)", r.N, r.Reason, r.At.UTC().Format(time.RFC3339))
}

// readEvents reads every event.
func (c *checker) readEvents(ctx context.Context) error {
	var hasher audit.Hasher
	for events, err := range pages(ctx, c.store.ScanEvents, func(e *EventRow) int64 { return e.Row }) {
		if err != nil {
			return fmt.Errorf("reading events: %w", err)
		}
		for i := range events {
			e := &events[i]
			c.report.Events++
			if err := c.checkActed(ctx, &e.Event); err != nil {
				return err
			}
			leaf := audit.OfEvent(&e.Event)
			seen := act{log: c.logNumber(e.Tenant), leaf: hasher.Hash(&audit.Leaf{Event: &leaf}), by: seenEvent, row: e.Row}
			if err := c.acts.add(seen.encode()); err != nil {
				return err
			}
		}
		c.tell("events", c.report.Events)
	}
	return nil
}

// waitingGroups is how many groups of leaves are read at a time, each of which may have some
// thousands.
const waitingGroups = 50

// scanWaiting is the store's, in pages of its own.
func (c *checker) scanWaiting(ctx context.Context, from int64, _ int) ([]WaitingLeaves, error) {
	return c.store.ScanWaiting(ctx, from, waitingGroups)
}

// readWaiting reads the leaves of events and entries that wait for their places, and
// returns of each log of how many the rows are gone, or not what the leaves say.
func (c *checker) readWaiting(ctx context.Context) (lost map[uint32]int, err error) {
	lost = make(map[uint32]int)
	for groups, err := range pages(ctx, c.scanWaiting, func(g *WaitingLeaves) int64 { return g.ID }) {
		if err != nil {
			return nil, fmt.Errorf("reading what is not in the logs yet: %w", err)
		}
		for _, g := range groups {
			log := c.logNumber(g.Tenant)
			for n, h := range g.Hashes {
				if g.Rows[n] != h || h == (tlog.Hash{}) {
					lost[log]++
				}
				if err := c.acts.add(act{log: log, leaf: h, by: seenLeaf}.encode()); err != nil {
					return nil, err
				}
			}
		}
	}
	return lost, nil
}

// checkActs looks for rows that no leaf is of, and for leaves that wait and are not of
// their rows. It comes after the logs were read.
func (c *checker) checkActs(ctx context.Context) error {
	if err := c.readEntries(ctx); err != nil {
		return err
	}
	if err := c.readEvents(ctx); err != nil {
		return err
	}
	lost, err := c.readWaiting(ctx)
	if err != nil {
		return err
	}
	var last act
	leaves, n := 0, 0 // leaves are those of one hash, less the rows that were seen
	for record, err := range c.acts.sorted() {
		if err != nil {
			return err
		}
		a := decodeAct(record)
		if a.log != last.log || a.leaf != last.leaf {
			last, leaves = a, 0
		}
		switch {
		case a.by == seenLeaf:
			leaves++
		case leaves > 0:
			leaves--
		default:
			lost[a.log]-- // which it may be, edited
			if err := c.unloggedAct(ctx, a); err != nil {
				return err
			}
		}
		if n++; n%page == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for tenant, number := range c.logs {
		if n := lost[number]; n > 0 {
			c.report.addf(Logged, logSubject(tenant), "of what waits for a place in it, %d are gone from the store, or are not what was to be logged", n)
		}
	}
	return c.checkStatusOrder(ctx)
}

// unloggedAct reports a row that no leaf is of, with what it says.
func (c *checker) unloggedAct(ctx context.Context, a act) error {
	if c.report.full() {
		c.report.add(Finding{}) // is counted alone
		return nil
	}
	if a.by == seenEvent {
		events, err := c.store.ScanEvents(ctx, a.row, 1)
		if err != nil {
			return fmt.Errorf("reading an event: %w", err)
		}
		for _, e := range events {
			c.report.addf(LogComplete, fmt.Sprintf("event %s of %s", e.ID, e.Tenant), "that %s did %s to %s is neither in its log nor waits for a place in it: it was put there, or edited, past the log", e.Actor, e.Action, e.Target)
		}
		return nil
	}
	entries, err := c.store.ScanEntries(ctx, a.row, 1)
	if err != nil {
		return fmt.Errorf("reading an entry about status: %w", err)
	}
	for i := range entries {
		r := &entries[i].Revocation
		c.report.addf(LogComplete, entrySubject(r), "%s is neither in its log nor waits for a place in it: it was put there, or edited, past the log", entryName(r))
	}
	return nil
}

// A statusEntry is what the order of the entries about a certificate's status is told by.
type statusEntry struct {
	issuer uint32
	serial pki.Serial
	n      int64
	reason pki.Reason
}

const statusEntrySize = 4 + len(pki.Serial{}) + 8 + 8

// encode returns the record, which sorts by issuer, serial number and number.
func (e statusEntry) encode() []byte {
	b := make([]byte, 0, statusEntrySize)
	b = binary.BigEndian.AppendUint32(b, e.issuer)
	b = append(b, e.serial[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.n)^1<<63) // so that those below 0 are first
	return binary.BigEndian.AppendUint64(b, uint64(e.reason))
}

// decodeStatusEntry reads what encode wrote.
func decodeStatusEntry(b []byte) (e statusEntry) {
	e.issuer = binary.BigEndian.Uint32(b)
	b = b[4+copy(e.serial[:], b[4:]):]
	e.n = int64(binary.BigEndian.Uint64(b) ^ 1<<63)
	e.reason = pki.Reason(binary.BigEndian.Uint64(b[8:]))
	return e
}

// checkStatusOrder looks at the entries of each certificate in their order. Their times
// say nothing: a clock may be set back, and what a database lost is taken over with the
// time that its CRL has.
func (c *checker) checkStatusOrder(ctx context.Context) error {
	var before, first []byte // of the entry before; and issuer and serial number of the last that was reported
	var last statusEntry
	n := 0
	for record, err := range c.entries.sorted() {
		if err != nil {
			return err
		}
		name := record[:4+len(pki.Serial{})]
		if !bytes.HasPrefix(before, name) {
			last = statusEntry{}
		}
		e := decodeStatusEntry(record)
		if wrong := e.after(last); wrong != "" && !bytes.Equal(first, name) {
			c.report.addf(StatusOrder, fmt.Sprintf("certificate %s/%s", c.order[e.issuer].ID, e.serial), "%s", wrong)
			first = append(first[:0], name...)
		}
		last, before = e, append(before[:0], record...)
		if n++; n%page == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// after returns what is wrong with an entry that follows another of its certificate,
// whose number is 0 where there is none; or "".
func (e statusEntry) after(last statusEntry) string {
	switch {
	case e.n != last.n+1:
		return fmt.Sprintf("of the entries about its status number %d follows number %d", e.n, last.n)
	case last.n > 0 && last.reason != pki.CertificateHold && last.reason != pki.RemoveFromCRL:
		return fmt.Sprintf("it is revoked for good by entry %d (%s), and entry %d (%s) follows: what the store says now is not to be believed", last.n, last.reason, e.n, e.reason)
	case e.reason == pki.RemoveFromCRL && (last.n == 0 || last.reason != pki.CertificateHold):
		return fmt.Sprintf("entry %d about its status releases it, and it was not on hold", e.n)
	}
	return ""
}
