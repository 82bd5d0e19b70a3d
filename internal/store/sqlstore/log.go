package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/pki"
)

// Deployment implements auditlog.Store.
func (s *Store) Deployment(ctx context.Context) (string, error) {
	scan := func(row row) (v string, err error) {
		err = row.Scan(&v)
		return v, err
	}
	const selectDeployment = `SELECT value FROM setting WHERE name = 'deployment'`
	id, err := one(ctx, s.read, scan, selectDeployment)
	if errors.Is(err, sql.ErrNoRows) {
		err = s.update(ctx, func(t *tx) error {
			_, err := t.exec(`INSERT INTO setting (name, value) VALUES ('deployment', $1) ON CONFLICT DO NOTHING`, pki.NewOpaqueID())
			if err == nil {
				id, err = one(ctx, t, scan, selectDeployment)
			}
			return err
		})
	}
	if err != nil {
		return "", fmt.Errorf("reading the deployment's id: %w", err)
	}
	return id, nil
}

// TakeSequencer implements auditlog.Store.
func (s *Store) TakeSequencer(ctx context.Context, node string, now, until time.Time) (int64, error) {
	var epoch int64
	err := s.update(ctx, func(t *tx) (err error) {
		epoch, err = one(ctx, t, scanInt, `INSERT INTO lease (name, node, epoch, until_at) VALUES ('sequencer', $1, 1, $2)
			ON CONFLICT (name) DO UPDATE SET node = excluded.node, epoch = lease.epoch + 1, until_at = excluded.until_at
				WHERE lease.node = excluded.node OR lease.until_at < $3
			RETURNING epoch`, node, micros(until), micros(now))
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, auditlog.ErrFenced
	case err != nil:
		return 0, fmt.Errorf("taking the sequencer's lease: %w", err)
	}
	return epoch, nil
}

// KeepSequencer implements auditlog.Store.
func (s *Store) KeepSequencer(ctx context.Context, h auditlog.Hold) error {
	return s.update(ctx, func(t *tx) error { return t.hold(h) })
}

// hold prolongs the sequencer's lease, or returns ErrFenced: whoever lost it
// changes nothing any more.
func (t *tx) hold(h auditlog.Hold) error {
	rows, err := t.exec(`UPDATE lease SET until_at = $1 WHERE name = 'sequencer' AND node = $2 AND epoch = $3`, micros(h.Until), h.Node, h.Epoch)
	switch {
	case err != nil:
		return fmt.Errorf("prolonging the sequencer's lease: %w", err)
	case rows == 0:
		return auditlog.ErrFenced
	}
	return nil
}

// Unlogged implements auditlog.Store.
func (s *Store) Unlogged(ctx context.Context) ([]pki.TenantID, error) {
	tenants, err := list(ctx, s.read, func(row row) (id pki.TenantID, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT DISTINCT r.text FROM leaf_group g JOIN ref r ON r.num = g.tenant
		WHERE g.first_index < 0 AND NOT EXISTS (SELECT 1 FROM log l WHERE l.tenant = g.tenant) ORDER BY r.text`)
	if err != nil {
		return nil, fmt.Errorf("looking for tenants without a log: %w", err)
	}
	return tenants, nil
}

// PutLog implements auditlog.Store. The event is stored whatever the log's gate
// says: without it nothing opens the gate again.
func (s *Store) PutLog(ctx context.Context, h auditlog.Hold, l *auditlog.Log, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		if err := t.hold(h); err != nil {
			return err
		}
		tenant, err := t.intern(tenantRef(l.Tenant))
		if err != nil {
			return err
		}
		empty, err := audit.NewTree(0, nil)
		if err != nil {
			return err
		}
		root := empty.Root()
		rows, err := t.exec(`INSERT INTO log (tenant, key_uri, verifier, size, root, signed_size, checkpoint, anchored_size, unanchored_since)
			VALUES ($1, $2, $3, 0, $4, 0, '', 0, 0) ON CONFLICT DO NOTHING`, tenant, l.KeyURI, l.Key, root[:])
		switch {
		case err != nil:
			return fmt.Errorf("storing a log: %w", err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "the tenant has a log already")
		}
		return t.storeEvents([]pki.Event{e})
	})
}

// PutCheckpoint implements auditlog.Store.
func (s *Store) PutCheckpoint(ctx context.Context, h auditlog.Hold, tenant pki.TenantID, size int64, note string) error {
	return s.changeLog(ctx, h, tenant, func(t *tx, num int64) error {
		_, err := t.exec(`UPDATE log SET signed_size = $1, checkpoint = $2 WHERE tenant = $3 AND signed_size <= $1`, size, note, num)
		return err
	})
}

// KeepCheckpoint implements auditlog.Store.
func (s *Store) KeepCheckpoint(ctx context.Context, h auditlog.Hold, tenant pki.TenantID, k auditlog.Kept) error {
	return s.changeLog(ctx, h, tenant, func(t *tx, num int64) error {
		_, err := t.exec(`INSERT INTO log_checkpoint (tenant, size, at, note) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			num, k.Size, micros(k.At), k.Note)
		return err
	})
}

// Anchored implements auditlog.Store.
func (s *Store) Anchored(ctx context.Context, h auditlog.Hold, tenant pki.TenantID, size int64, now time.Time) error {
	return s.changeLog(ctx, h, tenant, func(t *tx, num int64) error {
		_, err := t.exec(`UPDATE log SET anchored_size = $1, unanchored_since = CASE WHEN size > $1 THEN $2 ELSE 0 END
			WHERE tenant = $3 AND anchored_size < $1`, size, micros(now), num)
		return err
	})
}

// changeLog runs fn on the log of a tenant, under the sequencer's lease.
func (s *Store) changeLog(ctx context.Context, h auditlog.Hold, tenant pki.TenantID, fn func(t *tx, num int64) error) error {
	num, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return err
	}
	err = s.update(ctx, func(t *tx) error {
		if err := t.hold(h); err != nil {
			return err
		}
		return fn(t, num)
	})
	if err != nil {
		return fmt.Errorf("changing the log of tenant %q: %w", tenant, err)
	}
	return nil
}

const selectLog = `SELECT r.text, l.key_uri, l.verifier, l.size, l.root, l.signed_size, l.checkpoint, l.anchored_size, l.unanchored_since
	FROM log l JOIN ref r ON r.num = l.tenant `

func scanLog(row row) (*auditlog.Log, error) {
	l := new(auditlog.Log)
	return l, row.Scan(&l.Tenant, &l.KeyURI, &l.Key, &l.Size, intoArray(l.Root[:]), &l.SignedSize, &l.Checkpoint, &l.AnchoredSize, intoTime{&l.UnanchoredSince})
}

// Logs implements auditlog.Store.
func (s *Store) Logs(ctx context.Context) ([]*auditlog.Log, error) {
	logs, err := list(ctx, s.read, scanLog, selectLog+`ORDER BY r.text`)
	if err != nil {
		return nil, fmt.Errorf("reading the logs: %w", err)
	}
	return logs, nil
}

// Log implements auditlog.Store.
func (s *Store) Log(ctx context.Context, tenant pki.TenantID) (*auditlog.Log, error) {
	num, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, err
	}
	l, err := one(ctx, s.read, scanLog, selectLog+`WHERE l.tenant = $1`, num)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, pki.Errorf(pki.NotFound, "the log has no entry yet")
	}
	return found(l, err, "log")
}

// Backlog implements auditlog.Store.
func (s *Store) Backlog(ctx context.Context) ([]auditlog.Backlog, error) {
	waiting, err := list(ctx, s.read, func(row row) (b auditlog.Backlog, err error) {
		return b, row.Scan(&b.Tenant, &b.Leaves, &b.Certificates, intoTime{&b.Oldest})
	}, `SELECT r.text, w.leaves, w.certificates, w.oldest FROM ref r JOIN (
			SELECT tenant, CAST(sum(count) AS BIGINT) AS leaves, CAST(sum(CASE WHEN kind = 'certificates' THEN count ELSE 0 END) AS BIGINT) AS certificates, min(created) AS oldest
			FROM leaf_group WHERE first_index < 0 GROUP BY tenant) w ON w.tenant = r.num ORDER BY r.text`)
	if err != nil {
		return nil, fmt.Errorf("reading the log's backlog: %w", err)
	}
	type state struct {
		auditlog.Backlog
		signed, anchored, damaged int64
	}
	logs, err := list(ctx, s.read, func(row row) (l state, err error) {
		return l, row.Scan(&l.Tenant, intoTime{&l.UnanchoredSince}, &l.signed, &l.anchored, &l.damaged)
	}, `SELECT r.text, l.unanchored_since, l.signed_size, l.anchored_size, l.damaged FROM log l JOIN ref r ON r.num = l.tenant ORDER BY r.text`)
	if err != nil {
		return nil, fmt.Errorf("reading the logs' states: %w", err)
	}
	all := make(map[pki.TenantID]*auditlog.Backlog)
	for i := range waiting {
		waiting[i].NoLog = true
		all[waiting[i].Tenant] = &waiting[i]
	}
	for i := range logs {
		l := &logs[i]
		b := all[l.Tenant]
		if b == nil && l.UnanchoredSince.IsZero() {
			continue
		}
		if b == nil {
			b = &auditlog.Backlog{Tenant: l.Tenant}
			all[l.Tenant] = b
		}
		b.NoLog, b.Damaged, b.UnanchoredSince = false, l.damaged != 0, l.UnanchoredSince
		b.Unsigned = !l.UnanchoredSince.IsZero() && l.signed <= l.anchored
	}
	backlog := make([]auditlog.Backlog, 0, len(all))
	for _, tenant := range slices.Sorted(maps.Keys(all)) {
		backlog = append(backlog, *all[tenant])
	}
	return backlog, nil
}

// Tiles implements auditlog.Store.
func (s *Store) Tiles(ctx context.Context, tenant pki.TenantID, tiles []tlog.Tile) ([][]byte, error) {
	num, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, err
	}
	return readTiles(ctx, s.read, num, tiles)
}

func readTiles(ctx context.Context, from source, tenant int64, tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, err := one(ctx, from, scanBytes, `SELECT data FROM log_tile WHERE tenant = $1 AND level = $2 AND n = $3`, tenant, tile.L, tile.N)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("reading a tile: %w", err)
		}
		width := tile.W * tlog.HashSize
		if len(data) < width {
			return nil, pki.Errorf(pki.NotFound, "tile %d of level %d of the log has %d hashes, and %d are wanted", tile.N, tile.L, len(data)/tlog.HashSize, tile.W)
		}
		all[i] = data[:width]
	}
	return all, nil
}

func scanBytes(row row) (b []byte, err error) {
	err = row.Scan(&b)
	return b, err
}

func scanKept(row row) (k auditlog.Kept, err error) {
	err = row.Scan(&k.Size, intoTime{&k.At}, &k.Note)
	return k, err
}

// Kept implements auditlog.Store.
func (s *Store) Kept(ctx context.Context, tenant pki.TenantID, after int64, limit int) ([]auditlog.Kept, error) {
	num, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, err
	}
	kept, err := list(ctx, s.read, scanKept,
		`SELECT size, at, note FROM log_checkpoint WHERE tenant = $1 AND size > $2 ORDER BY size LIMIT $3`, num, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	return kept, nil
}

// KeptAt implements auditlog.Store. Times grow with sizes as far as the clock does.
func (s *Store) KeptAt(ctx context.Context, tenant pki.TenantID, at time.Time) (before, after auditlog.Kept, err error) {
	num, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return before, after, err
	}
	for _, side := range []struct {
		into *auditlog.Kept
		text string
	}{
		{&before, `SELECT size, at, note FROM log_checkpoint WHERE tenant = $1 AND at <= $2 ORDER BY size DESC LIMIT 1`},
		{&after, `SELECT size, at, note FROM log_checkpoint WHERE tenant = $1 AND at >= $2 ORDER BY size LIMIT 1`},
	} {
		*side.into, err = one(ctx, s.read, scanKept, side.text, num, micros(at))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return before, after, fmt.Errorf("reading checkpoints: %w", err)
		}
	}
	return before, after, nil
}
