package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// checkArchives reads every archive from its place. A certificate that is archived is
// checked as those in the store are.
func (c *checker) checkArchives(ctx context.Context) error {
	logs, err := c.store.Logs(ctx)
	if err != nil {
		return fmt.Errorf("reading the logs: %w", err)
	}
	for i, l := range logs {
		c.logs[l.Tenant] = uint32(i)
	}
	var last retention.ID
	for {
		archives, err := c.store.AllArchives(ctx, last, page)
		if err != nil {
			return fmt.Errorf("reading the archives: %w", err)
		}
		if len(archives) == 0 {
			c.tellUnread()
			return c.checkStray(ctx)
		}
		for _, a := range archives {
			last = a.ID
			if a.State == retention.Planned { // it is not said to be there
				continue
			}
			if err := c.checkArchive(ctx, a); err != nil {
				return err
			}
			c.tell("archives", c.report.Archives)
		}
	}
}

// checkStray looks for stubs that no archive answers for. OCSP would say of their
// serials that they were issued.
func (c *checker) checkStray(ctx context.Context) error {
	for after := int64(math.MinInt64); ; {
		stubs, err := c.store.ScanStray(ctx, after, page)
		if err != nil {
			return fmt.Errorf("reading what is archived: %w", err)
		}
		if len(stubs) == 0 {
			return nil
		}
		for _, s := range stubs {
			after = s.ID
			c.report.addf(Archived, s.subject(), "it is said to be archived, and no archive that was written has its row %d", s.ID)
		}
	}
}

// subject names the stub's certificate in findings.
func (s *Stub) subject() string { return fmt.Sprintf("certificate %s/%s", s.Issuer, s.Serial) }

// checkArchive holds an archive's object against its manifest and against what the
// store says is in it.
func (c *checker) checkArchive(ctx context.Context, a *retention.Archive) error {
	c.report.Archives++
	c.manifests[a.ID] = a.Manifest
	subject := "archive " + string(a.ID)
	stubs, err := c.store.ScanArchived(ctx, a.ID, 0, retention.MaxCertificates+1)
	if err != nil {
		return fmt.Errorf("reading what is archived: %w", err)
	}
	if n := int64(len(stubs)); n > a.Manifest.Certificates || n < a.Manifest.Certificates && a.State == retention.Done {
		c.report.addf(Archived, subject, "%d certificates are said to be in it, and it has %d", n, a.Manifest.Certificates)
	}
	if c.archives == nil {
		c.unreachable(a, "nobody said where archives are")
		return c.passOver(a, stubs)
	}
	o, err := retention.Read(ctx, c.archives, a)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && placeAtFault(err):
		c.unreachable(a, pki.DetailOf(err))
		return c.passOver(a, stubs)
	case err != nil:
		c.report.addf(Archived, subject, "%s", pki.DetailOf(err))
		return c.passOver(a, stubs)
	}
	gone := make(map[int64]*Stub, len(stubs))
	for i := range stubs {
		gone[stubs[i].ID] = &stubs[i]
	}
	entries := slices.DeleteFunc(o.Entries, func(e retention.Entry) bool { return gone[e.Row] == nil })
	if len(entries) < len(stubs) {
		c.report.addf(Archived, subject, "%d certificates are said to be in it that are not", len(stubs)-len(entries))
	}
	for i := range entries {
		if s := gone[entries[i].Row]; !s.of(&entries[i]) {
			c.report.addf(Archived, s.subject(), "what the store keeps of it is not what archive %s has for its row %d, certificate %s/%s",
				a.ID, s.ID, entries[i].Leaf.Issuer, pki.Serial(entries[i].Leaf.Serial))
		}
	}
	return c.checkArchived(ctx, a, entries)
}

// of reports whether a stub is what stays of an entry.
func (s *Stub) of(e *retention.Entry) bool {
	l := &e.Leaf
	return s.ID == e.Row && s.Issuer == l.Issuer && s.Serial == pki.Serial(l.Serial) && s.NotAfter.Equal(l.NotAfter) && s.Batch == l.Batch && s.Row == l.Row
}

// checkArchived checks the certificates that are out of the store for an archive.
func (c *checker) checkArchived(ctx context.Context, a *retention.Archive, entries []retention.Entry) error {
	for part := range slices.Chunk(entries, page) {
		if err := ctx.Err(); err != nil {
			return err
		}
		certificates := make([]*pki.Certificate, len(part))
		for i := range part {
			certificates[i] = certificateOf(a.Tenant, &part[i])
		}
		for i, v := range c.verifyAll(ctx, certificates) {
			if err := c.note(certificates[i], v); err != nil {
				return err
			}
			c.report.Archived++
			if err := c.leaves.add(archivedLeaf{c.logs[a.Tenant], part[i].Index, part[i].Hash()}.encode()); err != nil {
				return err
			}
		}
	}
	return nil
}

// certificateOf is the reverse of audit.OfCertificate.
func certificateOf(tenant pki.TenantID, e *retention.Entry) *pki.Certificate {
	l := &e.Leaf
	return &pki.Certificate{
		Issuer: l.Issuer, Serial: pki.Serial(l.Serial), Tenant: tenant, Owner: l.Owner, Device: l.Device,
		Placement: pki.Placement{ProductLine: l.ProductLine, Lot: l.Lot, Site: l.Site}, Profile: pki.ProfileRef(l.Profile),
		Intent: l.Intent, Place: l.Place, Batch: l.Batch, Row: l.Row, NotBefore: l.NotBefore, NotAfter: l.NotAfter, Issued: l.Issued, DER: e.DER,
	}
}

// An archivedLeaf is a leaf whose certificate is archived.
type archivedLeaf struct {
	log   uint32
	index int64
	hash  tlog.Hash
}

const archivedLeafSize = 4 + 8 + tlog.HashSize

// encode returns the record, which sorts by log and index.
func (l archivedLeaf) encode() []byte {
	b := make([]byte, 0, archivedLeafSize)
	b = binary.BigEndian.AppendUint32(b, l.log)
	b = binary.BigEndian.AppendUint64(b, uint64(l.index))
	return append(b, l.hash[:]...)
}

// A leafWalk reads archived leaves in order.
type leafWalk struct {
	next    func() ([]byte, error, bool)
	current []byte // nil before the first and at the end
	begun   bool
}

// hash returns the hash of the archived leaf at an index of a log, if there is one.
// Calls go up.
func (w *leafWalk) hash(log uint32, index int64) (h tlog.Hash, found bool, err error) {
	want := archivedLeaf{log: log, index: index}.encode()[:archivedLeafSize-tlog.HashSize]
	for !w.begun || w.current != nil && bytes.Compare(w.current[:len(want)], want) < 0 {
		record, err, ok := w.next()
		if err != nil {
			return h, false, err
		}
		w.begun, w.current = true, nil
		if ok {
			w.current = record
		}
	}
	if w.current == nil || !bytes.Equal(w.current[:len(want)], want) {
		return h, false, nil
	}
	return tlog.Hash(w.current[len(want):]), true, nil
}

// checkManifest compares what a log says of an archive with what the store says.
func (c *checker) checkManifest(e *audit.EventLeaf) {
	id := retention.ID(strings.TrimPrefix(e.Target, retention.Target("")))
	m, known := c.manifests[id]
	delete(c.manifests, id)
	switch {
	case !known:
		c.report.addf(Archived, "archive "+string(id), "the log says that it was written, and the store does not know it")
	case e.Detail != m.String():
		c.report.addf(Archived, "archive "+string(id), "the store says another object than the log")
	}
}
