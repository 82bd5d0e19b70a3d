package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// Leaves implements auditlog.Store.
func (s *Store) Leaves(ctx context.Context, tenant pki.TenantID, from int64, limit int) ([]*audit.Leaf, error) {
	num, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, err
	}
	groups, err := s.groupsAt(ctx, num, from, limit)
	if err != nil {
		return nil, err
	}
	var all []*audit.Leaf
	for _, g := range groups {
		leaves, err := s.leavesOf(ctx, g)
		if err != nil {
			return nil, err
		}
		for g.firstIndex > from+int64(len(all)) { // a group's row is gone
			all = append(all, nil)
		}
		leaves = leaves[min(max(from-g.firstIndex, 0), int64(len(leaves))):]
		all = append(all, leaves[:min(len(leaves), limit-len(all))]...)
	}
	return all, nil
}

// groupsAt returns the groups that have leaves at limit places of a tenant's log from
// one on.
func (s *Store) groupsAt(ctx context.Context, tenant, from int64, limit int) ([]*leafGroup, error) {
	groups, err := list(ctx, s.read, scanLeafGroup, `SELECT `+leafGroupColumns+` FROM leaf_group g
		WHERE g.tenant = $1 AND g.first_index >= 0 AND g.first_index < $3
			AND g.first_index >= (SELECT coalesce(max(e.first_index), 0) FROM leaf_group e WHERE e.tenant = $1 AND e.first_index >= 0 AND e.first_index <= $2)
		ORDER BY g.first_index`, tenant, from, from+int64(limit))
	if err != nil {
		return nil, fmt.Errorf("reading log leaves: %w", err)
	}
	return groups, nil
}

// leavesOf makes the leaves of a group anew from the rows that they stand for; nil
// for a row that is gone or damaged.
func (s *Store) leavesOf(ctx context.Context, g *leafGroup) ([]*audit.Leaf, error) {
	leaves := make([]*audit.Leaf, g.count)
	var err error
	switch g.kind {
	case leafCertificates:
		err = s.certificateLeaves(ctx, g, leaves)
	case leafRevocation:
		err = s.revocationLeaves(ctx, g, leaves)
	case leafEvent:
		err = s.eventLeaf(ctx, g, leaves)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what log leaves stand for: %w", err)
	}
	return leaves, nil
}

// certificateLeaves finds the certificates of an intent, which follow each other.
func (s *Store) certificateLeaves(ctx context.Context, g *leafGroup, into []*audit.Leaf) error {
	rows, err := list(ctx, s.read, scanCertificate, selectCertificate+`WHERE c.id >= $1 AND c.id < $2 AND c.intent = $3`,
		g.firstRow, g.firstRow+g.count, g.ref)
	if err != nil {
		return err
	}
	for _, row := range rows {
		c, err := s.certificate(ctx, row)
		switch {
		case errors.Is(err, errDamaged) || errors.Is(err, errNoName):
			continue
		case err != nil:
			return err
		}
		leaf := audit.OfCertificate(c, sha256.Sum256(c.DER))
		into[row.id-g.firstRow] = &audit.Leaf{Certificate: &leaf}
	}
	return nil
}

func (s *Store) revocationLeaves(ctx context.Context, g *leafGroup, into []*audit.Leaf) error {
	type entry struct {
		seq, issuer int64
		r           pki.Revocation
	}
	entries, err := list(ctx, s.read, func(row row) (e entry, err error) {
		err = row.Scan(&e.seq, &e.issuer, intoArray(e.r.Serial[:]), &e.r.N, &e.r.Reason, intoTime{&e.r.At}, &e.r.Shard, intoTime{&e.r.NotAfter})
		return e, err
	}, `SELECT seq, issuer, serial, n, reason, at, shard, not_after FROM revocation WHERE seq >= $1 AND seq < $2`, g.ref, g.ref+g.count)
	if err != nil {
		return err
	}
	for _, e := range entries {
		issuer, err := s.refOf(ctx, s.read, e.issuer)
		switch {
		case errors.Is(err, errNoName):
			continue
		case err != nil:
			return err
		}
		e.r.Issuer = pki.IssuerID(issuer.text)
		leaf := audit.OfRevocation(&e.r)
		into[e.seq-g.ref] = &audit.Leaf{Revocation: &leaf}
	}
	return nil
}

func (s *Store) eventLeaf(ctx context.Context, g *leafGroup, into []*audit.Leaf) error {
	e, err := one(ctx, s.read, scanEvent, selectEvent+`WHERE num = $1`, g.ref)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	leaf := audit.OfEvent(&e)
	into[0] = &audit.Leaf{Event: &leaf}
	return nil
}

// CertificateIndex implements auditlog.Store.
func (s *Store) CertificateIndex(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (pki.TenantID, int64, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return "", 0, err
	}
	var tenant pki.TenantID
	index, err := one(ctx, s.read, func(row row) (int64, error) {
		var first, offset int64
		err := row.Scan(&tenant, &first, &offset)
		return placeOf(first, offset), err
	}, `SELECT r.text, g.first_index, c.id - g.first_row FROM certificate c
		JOIN leaf_group g ON g.kind = 'certificates' AND g.ref = c.intent JOIN ref r ON r.num = g.tenant
		WHERE c.serial = $1 AND c.issuer = $2`, serial[:], num)
	if index, err = found(index, err, "certificate with serial %s", serial); err != nil {
		return "", 0, err
	}
	return tenant, index, notYet(index)
}

// EventIndex implements auditlog.Store.
func (s *Store) EventIndex(ctx context.Context, tenant pki.TenantID, id string) (int64, error) {
	index, err := one(ctx, s.read, scanInt, `SELECT g.first_index FROM event e
		JOIN leaf_group g ON g.kind = 'event' AND g.ref = e.num WHERE e.tenant = $1 AND e.id = $2`, tenant, id)
	if index, err = found(index, err, "event %.40q", id); err != nil {
		return 0, err
	}
	return index, notYet(index)
}

// placeOf returns where a leaf is from where its group begins; -1 where nowhere.
func placeOf(first, offset int64) int64 {
	if first < 0 {
		return -1
	}
	return first + offset
}

func notYet(index int64) error {
	if index < 0 {
		return pki.Errorf(pki.NotReady, "it has no place in the log yet: ask again in a second")
	}
	return nil
}
