package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// PutKey implements keystore.Store; Conflict where the id is taken.
func (s *Store) PutKey(ctx context.Context, k *keystore.SealedKey) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`INSERT INTO sealed_key (id, tenant, kind, purpose, kek, created, spki, sealed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			k.ID, k.Tenant, k.Kind, k.Use, k.KEK, micros(k.Created), bytesOf(k.SPKI), bytesOf(k.Sealed))
		switch {
		case err != nil:
			return fmt.Errorf("storing a sealed key: %w", err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is a key %q already", k.ID)
		}
		return nil
	})
}

// Key implements keystore.Store.
func (s *Store) Key(ctx context.Context, id string) (*keystore.SealedKey, error) {
	k, err := one(ctx, s.read, func(row row) (*keystore.SealedKey, error) {
		k := new(keystore.SealedKey)
		return k, row.Scan(&k.ID, &k.Tenant, &k.Kind, &k.Use, &k.KEK, intoTime{&k.Created}, &k.SPKI, &k.Sealed)
	}, `SELECT id, tenant, kind, purpose, kek, created, spki, sealed FROM sealed_key WHERE id = $1`, id)
	return found(k, err, "key %q", id)
}

// Sealings implements keystore.Store.
func (s *Store) Sealings(ctx context.Context) ([]keystore.Sealing, error) {
	all, err := list(ctx, s.read, func(row row) (sealing keystore.Sealing, err error) {
		err = row.Scan(&sealing.Tenant, &sealing.KEK)
		return sealing, err
	}, `SELECT DISTINCT tenant, kek FROM sealed_key ORDER BY tenant, kek`)
	if err != nil {
		return nil, fmt.Errorf("reading how keys are sealed: %w", err)
	}
	return all, nil
}

// BlockKeys implements enroll.Store.
func (s *Store) BlockKeys(ctx context.Context, hashes [][32]byte, e pki.Event) (int, error) {
	s.blocked.Store(someBlocked) // before any is: a request that finds none now was first
	fresh := 0
	err := s.update(ctx, func(t *tx) error {
		fresh = 0
		for _, h := range hashes {
			rows, err := t.exec(`INSERT INTO blocked_key (hash) VALUES ($1) ON CONFLICT DO NOTHING`, h[:])
			if err != nil {
				return fmt.Errorf("blocking keys: %w", err)
			}
			fresh += int(rows)
		}
		return t.event(e)
	})
	return fresh, err
}

// What is known of the block list. No other process writes to the database (see
// takeLock), so that what is known stays true.
const (
	blockedUnknown = iota
	noneBlocked
	someBlocked
)

// KeyBlocked implements enroll.Store. It is asked for each certificate, and most
// deployments have an empty list.
func (s *Store) KeyBlocked(ctx context.Context, hash [32]byte) (bool, error) {
	if s.blocked.Load() == blockedUnknown {
		known := int32(someBlocked)
		_, err := one(ctx, s.read, scanInt, `SELECT 1 FROM blocked_key LIMIT 1`)
		if errors.Is(err, sql.ErrNoRows) {
			known, err = noneBlocked, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading the block list: %w", err)
		}
		s.blocked.CompareAndSwap(blockedUnknown, known)
	}
	if s.blocked.Load() == noneBlocked {
		return false, nil
	}
	return s.listed(ctx, hash)
}

// listed looks for a hash on the block list. It is apart, since here the hash escapes
// to the heap.
func (s *Store) listed(ctx context.Context, hash [32]byte) (bool, error) {
	_, err := one(ctx, s.read, scanInt, `SELECT 1 FROM blocked_key WHERE hash = $1`, hash[:])
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading the block list: %w", err)
	}
	return true, nil
}
