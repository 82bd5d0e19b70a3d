package auditlog

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// A view is a log as its newest checkpoint has it.
type view struct {
	tenant     pki.TenantID
	checkpoint string
	key        audit.Key
	audit.Checkpoint
	hashes tlog.HashReader
}

// look returns the log of a tenant; NotReady where it has no checkpoint yet.
func (s *Service) look(ctx context.Context, tenant pki.TenantID) (*view, error) {
	l, err := s.cfg.Store.Log(ctx, tenant)
	if err != nil && pki.KindOf(err) == pki.NotFound || err == nil && l.Checkpoint == "" {
		return nil, pki.Errorf(pki.NotReady, "the log has no checkpoint yet: ask again in a second")
	}
	if err != nil {
		return nil, err
	}
	key, err := audit.ParseKey(l.Key)
	if err != nil {
		return nil, err
	}
	v := &view{tenant: tenant, checkpoint: l.Checkpoint, key: key}
	if v.Checkpoint, err = key.Open(l.Checkpoint); err != nil {
		return nil, fmt.Errorf("reading the newest checkpoint of tenant %q: %v", tenant, err)
	}
	v.hashes = s.reader(ctx, tenant, v.Size, v.Root)
	return v, nil
}

// read returns the log of a permit's tenant, which must be one to read events.
func (s *Service) read(ctx context.Context, g access.Permit) (*view, error) {
	if err := g.Check(access.ReadEvents); err != nil {
		return nil, err
	}
	return s.look(ctx, g.Tenant())
}

// Checkpoint returns a log's newest checkpoint and the key that verifies it.
func (s *Service) Checkpoint(ctx context.Context, g access.Permit) (note, key string, err error) {
	v, err := s.read(ctx, g)
	if err != nil {
		return "", "", err
	}
	return v.checkpoint, v.key.String(), nil
}

// ProveCertificate proves that a certificate, of the permit's tenant as issuer or as
// owner, is in the log of its issuer's tenant.
func (s *Service) ProveCertificate(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial) (*audit.Inclusion, error) {
	if err := g.CheckSome(access.ReadCertificates); err != nil {
		return nil, err
	}
	c, err := s.cfg.Store.Certificate(ctx, g.Tenant(), issuer, serial)
	if err != nil {
		return nil, err
	}
	if err := g.CheckCertificate(ctx, s.cfg.Store, access.ReadCertificates, c); err != nil {
		return nil, err
	}
	tenant, index, err := s.cfg.Store.CertificateIndex(ctx, issuer, serial)
	if err != nil {
		return nil, err
	}
	return s.prove(ctx, tenant, index)
}

// ProveEvent proves that an event is in the log of its tenant.
func (s *Service) ProveEvent(ctx context.Context, g access.Permit, id string) (*audit.Inclusion, error) {
	if err := g.Check(access.ReadEvents); err != nil {
		return nil, err
	}
	index, err := s.cfg.Store.EventIndex(ctx, g.Tenant(), id)
	if err != nil {
		return nil, err
	}
	return s.prove(ctx, g.Tenant(), index)
}

func (s *Service) prove(ctx context.Context, tenant pki.TenantID, index int64) (*audit.Inclusion, error) {
	v, err := s.look(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if index >= v.Size {
		return nil, pki.Errorf(pki.NotReady, "no checkpoint covers it yet: ask again in a second")
	}
	leaves, _, err := s.leaves(ctx, tenant, index, 1)
	if err != nil {
		return nil, err
	}
	if leaves[0] == nil {
		return nil, pki.Errorf(pki.Unavailable, "what stands at index %d of the log is gone from the store: 'pando check' says more", index)
	}
	hashes, err := tlog.ProveRecord(v.Size, index, v.hashes)
	if err != nil {
		return nil, fmt.Errorf("proving index %d: %w", index, err)
	}
	return &audit.Inclusion{Index: index, Leaf: *leaves[0], Hashes: hashes, Checkpoint: v.checkpoint, Key: v.key.String()}, nil
}

// ProveConsistency proves that the log with to leaves begins with that of from
// leaves; a to of 0 is its size.
func (s *Service) ProveConsistency(ctx context.Context, g access.Permit, from, to int64) (*audit.Consistency, error) {
	v, err := s.read(ctx, g)
	if err != nil {
		return nil, err
	}
	if to == 0 {
		to = v.Size
	}
	if from < 1 || from > to || to > v.Size {
		return nil, pki.Errorf(pki.Malformed, "the sizes %d and %d: they are 1 to %d, the smaller one first", from, to, v.Size)
	}
	p := &audit.Consistency{From: from, To: to}
	if from < to {
		if p.Hashes, err = tlog.ProveTree(to, from, v.hashes); err != nil {
			return nil, fmt.Errorf("proving that %d leaves begin with %d: %w", to, from, err)
		}
	}
	return p, nil
}

// Entries returns up to limit entries of a log from an index on, and the index at
// which to go on; 0 at the end.
func (s *Service) Entries(ctx context.Context, g access.Permit, from int64, limit int) ([]audit.Entry, int64, error) {
	v, err := s.read(ctx, g)
	if err != nil {
		return nil, 0, err
	}
	if from < 0 || from > v.Size {
		return nil, 0, pki.Errorf(pki.Malformed, "from %d: the log has the indexes 0 to %d", from, v.Size-1)
	}
	n := min(int64(limit), v.Size-from)
	entries, err := s.entries(ctx, v, from, int(n))
	if err != nil || from+n == v.Size {
		return entries, 0, err
	}
	return entries, from + n, nil
}

// entries returns n entries, each held against the hash under which it was logged.
func (s *Service) entries(ctx context.Context, v *view, from int64, n int) ([]audit.Entry, error) {
	if n == 0 {
		return nil, nil
	}
	leaves, archived, err := s.leaves(ctx, v.tenant, from, n)
	if err != nil {
		return nil, err
	}
	logged, err := v.logged(from, n)
	if err != nil {
		return nil, err
	}
	entries := make([]audit.Entry, n)
	var hasher audit.Hasher
	for i := range entries {
		e := audit.Entry{Index: from + int64(i), Archive: archived[from+int64(i)].Archive}
		if leaves[i] != nil {
			e.Leaf = *leaves[i]
		}
		if hasher.Hash(&e.Leaf) != logged[i] {
			e.Logged = &logged[i]
		}
		entries[i] = e
	}
	return entries, nil
}

// leaves returns n leaves of a tenant's log from an index on, from the store or, where
// their rows are archived, from the archives; nil stands for one that is gone. The
// second result says which are archived.
func (s *Service) leaves(ctx context.Context, tenant pki.TenantID, from int64, n int) ([]*audit.Leaf, map[int64]audit.Archived, error) {
	leaves, err := s.cfg.Store.Leaves(ctx, tenant, from, n)
	if err != nil {
		return nil, nil, err
	}
	leaves = append(leaves, make([]*audit.Leaf, n-len(leaves))...)
	if s.cfg.Archives == nil || !slices.Contains(leaves, nil) {
		return leaves, nil, nil
	}
	archived, err := s.cfg.Archives.Leaves(ctx, tenant, from, n)
	if err != nil {
		return nil, nil, err
	}
	for index, a := range archived {
		if a.Certificate != nil && leaves[index-from] == nil {
			leaves[index-from] = &audit.Leaf{Certificate: a.Certificate}
		}
	}
	return leaves, archived, nil
}

// logged returns the hashes under which n leaves from an index on were logged.
func (v *view) logged(from int64, n int) ([]tlog.Hash, error) {
	indexes := make([]int64, n)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, from+int64(i))
	}
	logged, err := v.hashes.ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("reading the hashes of the log: %w", err)
	}
	return logged, nil
}

// Hashes returns the hashes under which n leaves of a tenant's log from an index on
// were logged, as the newest checkpoint has them; NotReady where it does not cover
// them.
func (s *Service) Hashes(ctx context.Context, tenant pki.TenantID, from int64, n int) ([]tlog.Hash, error) {
	v, err := s.look(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if from+int64(n) > v.Size {
		return nil, pki.Errorf(pki.NotReady, "no checkpoint covers index %d yet", from+int64(n)-1)
	}
	return v.logged(from, n)
}
