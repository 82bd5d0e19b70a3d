package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/pki"
)

// A leafGroup is a row of table leaf_group.
type leafGroup struct {
	id, tenant, ref, count int64
	kind                   string
	created                time.Time
	hashes                 []byte
	firstIndex, firstRow   int64
}

const leafGroupColumns = `g.id, g.tenant, g.kind, g.ref, g.count, g.created, g.hashes, g.first_index, g.first_row`

func scanLeafGroup(row row) (*leafGroup, error) {
	g := new(leafGroup)
	return g, row.Scan(&g.id, &g.tenant, &g.kind, &g.ref, &g.count, intoTime{&g.created}, &g.hashes, &g.firstIndex, &g.firstRow)
}

// A growing is a log within the transaction that sequences.
type growing struct {
	tree  *audit.Tree
	since time.Time // of the first group that is added
	size  int64     // before
}

// A damage is why one log cannot be sequenced, and others can.
type damage struct{ cause error }

func (d *damage) Error() string { return "it is damaged: " + d.cause.Error() }
func (d *damage) Unwrap() error { return d.cause }

// Sequence implements auditlog.Store. A log whose open tiles do not give its root is
// damaged, and so is one with a group whose rows are gone: of a damaged log the first
// group alone is tried, which shows whether it was mended.
func (s *Store) Sequence(ctx context.Context, h auditlog.Hold, limit int) (int, error) {
	done := 0
	damaged := make(map[int64]error)
	err := s.update(ctx, func(t *tx) error {
		done = 0
		clear(damaged)
		if err := t.hold(h); err != nil {
			return err
		}
		probes, err := list(ctx, t, scanLeafGroup, `SELECT `+leafGroupColumns+` FROM leaf_group g WHERE g.id IN (
			SELECT min(w.id) FROM leaf_group w JOIN log l ON l.tenant = w.tenant WHERE w.first_index < 0 AND l.damaged <> 0 GROUP BY w.tenant)`)
		if err != nil {
			return err
		}
		groups, err := list(ctx, t, scanLeafGroup, `SELECT `+leafGroupColumns+` FROM leaf_group g JOIN log l ON l.tenant = g.tenant
			WHERE g.first_index < 0 AND l.damaged = 0 ORDER BY g.id LIMIT $1`, limit)
		if err != nil {
			return err
		}
		logs := make(map[int64]*growing)
		for _, g := range slices.Concat(probes, groups) {
			if damaged[g.tenant] != nil {
				continue
			}
			err := t.sequence(g, logs)
			var is *damage
			if errors.As(err, &is) {
				damaged[g.tenant] = is
				continue
			}
			if err != nil {
				return err
			}
			done++
		}
		for tenant, l := range logs {
			if err := t.grown(tenant, l); err != nil {
				return err
			}
		}
		for _, g := range probes {
			if damaged[g.tenant] == nil {
				if err := t.mark(g.tenant, false); err != nil {
					return err
				}
			}
		}
		for tenant := range damaged {
			if err := t.mark(tenant, true); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("sequencing the log: %w", err)
	}
	var errs []error
	for num, cause := range damaged {
		name, err := s.refOf(ctx, s.read, num)
		if err != nil {
			name.text = fmt.Sprint("number ", num)
		}
		errs = append(errs, fmt.Errorf("the log of tenant %q: %w", name.text, cause))
	}
	return done, errors.Join(errs...)
}

// mark notes whether a log is damaged.
func (t *tx) mark(tenant int64, damaged bool) error {
	_, err := t.exec(`UPDATE log SET damaged = $1 WHERE tenant = $2`, number(damaged), tenant)
	return err
}

// sequence gives the leaves of a group their places, in a log that it takes up where
// it is not among those that are.
func (t *tx) sequence(g *leafGroup, logs map[int64]*growing) error {
	l := logs[g.tenant]
	if l == nil {
		var err error
		if l, err = t.growing(g); err != nil {
			return err
		}
	}
	if err := t.append(g, l); err != nil {
		return err
	}
	logs[g.tenant] = l
	return nil
}

// growing takes up the tree of the log to which a group belongs.
func (t *tx) growing(g *leafGroup) (*growing, error) {
	var root tlog.Hash
	size, err := one(context.Background(), t, func(row row) (n int64, err error) {
		err = row.Scan(&n, intoArray(root[:]))
		return n, err
	}, `SELECT size, root FROM log WHERE tenant = $1`, g.tenant)
	if err != nil {
		return nil, err
	}
	data, err := readTiles(context.Background(), t, g.tenant, audit.OpenTiles(size))
	if pki.KindOf(err) == pki.NotFound {
		return nil, &damage{err}
	}
	if err != nil {
		return nil, err
	}
	tree, err := audit.NewTree(size, data)
	if err != nil {
		return nil, &damage{err}
	}
	if tree.Root() != root {
		return nil, &damage{errors.New("its open tiles do not give its root")}
	}
	return &growing{tree: tree, since: g.created, size: size}, nil
}

// append appends a group's leaves and notes where they are.
func (t *tx) append(g *leafGroup, l *growing) error {
	if len(g.hashes) != int(g.count)*tlog.HashSize { // from before hashes were stored
		if err := t.s.rehash(g); err != nil {
			return &damage{err}
		}
	}
	first := l.tree.Size()
	for h := g.hashes; len(h) > 0; h = h[tlog.HashSize:] {
		l.tree.Append(tlog.Hash(h[:tlog.HashSize]))
	}
	_, err := t.exec(`UPDATE leaf_group SET first_index = $1, hashes = $2 WHERE id = $3`, first, []byte{}, g.id)
	return err
}

// grown stores a log's new tiles and its root.
func (t *tx) grown(tenant int64, l *growing) error {
	for _, tile := range l.tree.Tiles() {
		_, err := t.exec(`INSERT INTO log_tile (tenant, level, n, data) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant, level, n) DO UPDATE SET data = excluded.data`, tenant, tile.Level, tile.N, tile.Data)
		if err != nil {
			return err
		}
	}
	root := l.tree.Root()
	_, err := t.exec(`UPDATE log SET size = $1, root = $2, unanchored_since = CASE WHEN unanchored_since = 0 THEN $3 ELSE unanchored_since END
		WHERE tenant = $4 AND size = $5`, l.tree.Size(), root[:], micros(l.since), tenant, l.size)
	return err
}

// rehash makes a group's hashes from its rows.
func (s *Store) rehash(g *leafGroup) error {
	leaves, err := s.leavesOf(context.Background(), g)
	if err != nil {
		return err
	}
	var hasher audit.Hasher
	g.hashes = nil
	for i, l := range leaves {
		if l == nil {
			return fmt.Errorf("leaf %d of group %d is not in the log yet and its row is gone", i, g.id)
		}
		h := hasher.Hash(l)
		g.hashes = append(g.hashes, h[:]...)
	}
	return nil
}
