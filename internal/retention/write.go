package retention

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// contentType is that of the objects.
const contentType = "application/gzip"

// write writes a planned archive's object, reads it back, and records it.
func (s *Service) write(ctx context.Context, a *Archive, entries []Entry) error {
	if err := s.hold(ctx, a.Tenant, entries); err != nil {
		return err
	}
	o := &Object{Header: Header{Format: Format, Archive: a.ID, Tenant: a.Tenant, Created: a.Created, Before: a.Before, Certificates: len(entries)}, Entries: entries}
	content, err := o.encode()
	if err != nil {
		return err
	}
	m := manifest(a, content, entries)
	if err := s.cfg.Objects.Create(ctx, m.Object, content, contentType); err != nil {
		return err
	}
	a.Manifest = m
	if _, err := s.read(ctx, a); err != nil {
		return err
	}
	who, err := access.System(a.Tenant, "retention").Authorize(access.ManageRetention, a.Tenant)
	if err != nil {
		return err
	}
	e := pki.Event{Tenant: a.Tenant, At: s.cfg.Now().UTC(), Actor: who.Actor(), Action: EventAction, Target: Target(a.ID), Detail: m.String()}
	if err := s.cfg.Store.ArchiveWritten(ctx, a, e); err != nil {
		return err
	}
	a.State = Written
	return nil
}

// manifest says what an archive's object is. The hash in its name keeps apart what
// two attempts wrote, should they ever differ.
func manifest(a *Archive, content []byte, entries []Entry) Manifest {
	m := Manifest{SHA256: sha256.Sum256(content), Size: int64(len(content)), Certificates: int64(len(entries)),
		FirstIndex: entries[0].Index, LastIndex: entries[0].Index, FirstSerial: entries[0].Leaf.Serial, LastSerial: entries[0].Leaf.Serial}
	for _, e := range entries {
		m.FirstIndex, m.LastIndex = min(m.FirstIndex, e.Index), max(m.LastIndex, e.Index)
		if bytes.Compare(e.Leaf.Serial[:], m.FirstSerial[:]) < 0 {
			m.FirstSerial = e.Leaf.Serial
		}
		if bytes.Compare(e.Leaf.Serial[:], m.LastSerial[:]) > 0 {
			m.LastSerial = e.Leaf.Serial
		}
	}
	m.Object = fmt.Sprintf("%s/%s-%s.ndjson.gz", a.Tenant, a.ID, hex.EncodeToString(m.SHA256[:8]))
	return m
}

// hold holds what is to be archived against the log: a row that was changed since it
// was logged must be found, and not be put away as it is.
func (s *Service) hold(ctx context.Context, tenant pki.TenantID, entries []Entry) error {
	for at := 0; at < len(entries); {
		n := 1 // of places that follow each other
		for at+n < len(entries) && n < audit.TileWidth && entries[at+n].Index == entries[at].Index+int64(n) {
			n++
		}
		logged, err := s.cfg.Hashes(ctx, tenant, entries[at].Index, n)
		if err != nil {
			return fmt.Errorf("reading the log's hashes: %w", err)
		}
		for i := range n {
			if e := &entries[at+i]; e.Hash() != logged[i] {
				return pki.Errorf(pki.Conflict, "certificate %s of issuer %s, index %d of the log, is not what was logged: run 'pando check'", pki.Serial(e.Leaf.Serial), e.Leaf.Issuer, e.Index)
			}
		}
		at += n
	}
	return nil
}

// read reads an archive's object and holds it against the manifest.
func (s *Service) read(ctx context.Context, a *Archive) (*Object, error) {
	return Read(ctx, s.cfg.Objects, a)
}

// Read reads an archive's object from its place and holds it against its manifest:
// what is not, to the byte, what was recorded is Conflict.
func Read(ctx context.Context, from Objects, a *Archive) (*Object, error) {
	content, _, err := from.Read(ctx, a.Manifest.Object, maxObject)
	if err != nil {
		return nil, pki.Because(kindOf(err), err, "archive %s in %s: %s", a.ID, from, pki.DetailOf(err))
	}
	if sha256.Sum256(content) != a.Manifest.SHA256 {
		return nil, pki.Errorf(pki.Conflict, "archive %s: the object %s in %s is not the one that was recorded: its SHA-256 is another", a.ID, a.Manifest.Object, from)
	}
	o, err := Decode(content)
	if err != nil {
		return nil, err
	}
	if o.Archive != a.ID || o.Tenant != a.Tenant || int64(len(o.Entries)) != a.Manifest.Certificates {
		return nil, pki.Errorf(pki.Conflict, "archive %s: the object %s is that of archive %s", a.ID, a.Manifest.Object, o.Archive)
	}
	return o, nil
}

// kindOf is the kind of a failure of the archives' place: one without is a fault of
// the place, not of this program.
func kindOf(err error) pki.Kind {
	if k := pki.KindOf(err); k != pki.Internal {
		return k
	}
	return pki.Unavailable
}

// isAuthority reports whether a certificate is a CA's: these stay.
func isAuthority(der []byte) (bool, error) {
	c, err := tbs.ParseCertificate(der)
	if err != nil {
		return false, fmt.Errorf("reading an expired certificate: %w", err)
	}
	ca, _ := c.IsCA()
	return ca, nil
}

// recentObjects is how many objects are kept at hand: an export goes through the log,
// and so through few archives at once.
const recentObjects = 4

// objects are those read last.
type objects struct {
	mu  sync.Mutex
	all []indexed // the newest last; guarded by mu
}

type indexed struct {
	id      ID
	byIndex map[int64]*audit.CertificateLeaf
}

// Leaves returns the leaves of those certificates that are archived, of n places of a
// tenant's log from one on. Where an archive cannot be read its leaves are without
// certificate.
func (s *Service) Leaves(ctx context.Context, tenant pki.TenantID, from int64, n int) (map[int64]audit.Archived, error) {
	where, err := s.cfg.Store.ArchivedAt(ctx, tenant, from, n)
	if err != nil || len(where) == 0 {
		return nil, err
	}
	leaves := make(map[int64]audit.Archived, len(where))
	failed := make(map[ID]bool)
	for index, id := range where {
		leaf := audit.Archived{Archive: string(id)}
		if !failed[id] {
			byIndex, err := s.indexed(ctx, tenant, id)
			if err != nil {
				s.cfg.Log.Warn("reading an archive", "archive", id, "error", err)
				failed[id] = true
			}
			leaf.Certificate = byIndex[index]
		}
		leaves[index] = leaf
	}
	return leaves, nil
}

// indexed returns an archive's leaves by their places.
func (s *Service) indexed(ctx context.Context, tenant pki.TenantID, id ID) (map[int64]*audit.CertificateLeaf, error) {
	s.recent.mu.Lock()
	defer s.recent.mu.Unlock() // also while one is read: of many who want it, one reads
	for _, o := range s.recent.all {
		if o.id == id {
			return o.byIndex, nil
		}
	}
	a, err := s.cfg.Store.Archive(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	o, err := s.read(ctx, a)
	if err != nil {
		return nil, err
	}
	byIndex := make(map[int64]*audit.CertificateLeaf, len(o.Entries))
	for i := range o.Entries {
		leaf := o.Entries[i].Leaf // a copy, so that the certificates are let go of
		byIndex[o.Entries[i].Index] = &leaf
	}
	if s.recent.all = append(s.recent.all, indexed{id, byIndex}); len(s.recent.all) > recentObjects {
		s.recent.all = s.recent.all[1:]
	}
	return byIndex, nil
}
