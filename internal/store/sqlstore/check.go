package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
)

// ScanCertificates implements check.Store.
func (s *Store) ScanCertificates(ctx context.Context, after int64, limit int) ([]*pki.Certificate, int64, error) {
	rows, err := list(ctx, s.read, scanCertificate, selectCertificate+`WHERE c.id > $1 ORDER BY c.id LIMIT $2`, after, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("reading certificates: %w", err)
	}
	certs := make([]*pki.Certificate, len(rows))
	for i, c := range rows {
		if certs[i], err = s.certificate(ctx, c); err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, errNoName) {
			return nil, 0, err
		}
		after = c.id
	}
	return certs, after, nil
}

// ScanIntents implements check.Store.
func (s *Store) ScanIntents(ctx context.Context, after pki.IntentID, limit int) ([]check.IntentRecord, error) {
	intents, err := list(ctx, s.read, func(row row) (i check.IntentRecord, err error) {
		var voided []byte
		if err := row.Scan(&i.ID, &i.Issuer, &i.State, &i.Count, intoArray(i.Digest[:]), &voided); err != nil {
			return i, err
		}
		if i.Voided, err = decodeVoided(voided); err != nil {
			return i, fmt.Errorf("void items of intent %s: %w", i.ID, err)
		}
		return i, nil
	}, `SELECT i.id, coalesce(r.text, ''), i.state, i.count, i.digest, i.voided FROM intent i LEFT JOIN ref r ON r.num = i.issuer
		WHERE i.id > $1 ORDER BY i.id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading intents: %w", err)
	}
	return intents, nil
}

// ScanEntries implements check.Store.
func (s *Store) ScanEntries(ctx context.Context, from int64, limit int) ([]check.EntryRow, error) {
	entries, err := list(ctx, s.read, func(row row) (e check.EntryRow, err error) {
		return e, row.Scan(&e.Row, &e.Issuer, intoArray(e.Serial[:]), &e.N, &e.Reason, intoTime{&e.At}, &e.Shard, intoTime{&e.NotAfter})
	}, `SELECT v.seq, coalesce(r.text, ''), v.serial, v.n, v.reason, v.at, v.shard, v.not_after FROM revocation v LEFT JOIN ref r ON r.num = v.issuer
		WHERE v.seq >= $1 ORDER BY v.seq LIMIT $2`, from, limit)
	if err != nil {
		return nil, fmt.Errorf("reading entries about status: %w", err)
	}
	return entries, nil
}

// ScanEvents implements check.Store.
func (s *Store) ScanEvents(ctx context.Context, from int64, limit int) ([]check.EventRow, error) {
	events, err := list(ctx, s.read, func(row row) (e check.EventRow, err error) {
		return e, row.Scan(&e.Row, &e.ID, &e.Tenant, intoTime{&e.At}, &e.Actor, &e.Action, &e.Target, &e.Detail)
	}, `SELECT num, id, tenant, at, actor, action, target, detail FROM event WHERE num >= $1 ORDER BY num LIMIT $2`, from, limit)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	return events, nil
}

// ScanWaiting implements check.Store.
func (s *Store) ScanWaiting(ctx context.Context, from int64, limit int) ([]check.WaitingLeaves, error) {
	groups, err := list(ctx, s.read, scanLeafGroup, `SELECT `+leafGroupColumns+` FROM leaf_group g
		WHERE g.first_index < 0 AND g.id >= $1 AND g.kind <> 'certificates' ORDER BY g.id LIMIT $2`, from, limit)
	if err != nil {
		return nil, fmt.Errorf("reading leaves that wait: %w", err)
	}
	waiting := make([]check.WaitingLeaves, len(groups))
	for i, g := range groups {
		tenant, err := s.refOf(ctx, s.read, g.tenant)
		if err != nil && !errors.Is(err, errNoName) {
			return nil, err
		}
		leaves, err := s.leavesOf(ctx, g)
		if err != nil {
			return nil, err
		}
		w := check.WaitingLeaves{ID: g.id, Tenant: pki.TenantID(tenant.text), Rows: make([]tlog.Hash, len(leaves))}
		for n, l := range leaves {
			if l != nil {
				w.Rows[n] = l.Hash()
			}
		}
		if w.Hashes = w.Rows; len(g.hashes) == len(leaves)*tlog.HashSize {
			w.Hashes = make([]tlog.Hash, len(leaves))
			for n := range w.Hashes {
				copy(w.Hashes[n][:], g.hashes[n*tlog.HashSize:])
			}
		}
		waiting[i] = w
	}
	return waiting, nil
}
