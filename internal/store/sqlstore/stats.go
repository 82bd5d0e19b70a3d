package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pando-pki/pando/internal/stat"
)

// Size looks at the files and asks for the newest entry; it reads no table whole.
func (s *Store) Size(ctx context.Context) (stat.StoreSize, error) {
	var size stat.StoreSize
	for path, bytes := range map[string]*int64{s.path: &size.Database, s.path + "-wal": &size.Log} {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the log goes with the last connection
		}
		if err != nil {
			return stat.StoreSize{}, fmt.Errorf("size of the database: %w", err)
		}
		*bytes = info.Size()
	}
	var err error
	if size.Revocations, err = one(ctx, s.read, scanInt, `SELECT coalesce(max(seq), 0) FROM revocation`); err != nil {
		return stat.StoreSize{}, fmt.Errorf("counting revocation entries: %w", err)
	}
	return size, nil
}

const openChanges = `SELECT state, count(*) FROM change WHERE state IN ('pending', 'approved') GROUP BY state`

// OpenWork returns how many batches, revocation jobs and changes have not come to their end.
func (s *Store) OpenWork(ctx context.Context) (stat.OpenWork, error) {
	w := stat.OpenWork{Batches: make(map[string]int64), Jobs: make(map[string]int64), Changes: make(map[string]int64)}
	for _, of := range []struct {
		to   map[string]int64
		text string // reads an index of what is open, and nothing of what has ended
	}{
		{w.Batches, `SELECT state, count(*) FROM batch WHERE state IN ('uploading', 'checking', 'checked', 'waiting', 'running', 'paused') GROUP BY state`},
		{w.Changes, openChanges},
		{w.Jobs, `SELECT state, count(*) FROM revocation_job WHERE state IN ('counting', 'counted', 'running', 'paused') GROUP BY state`},
	} {
		_, err := list(ctx, s.read, func(row row) (struct{}, error) {
			var state string
			var n int64
			err := row.Scan(&state, &n)
			of.to[state] = n
			return struct{}{}, err
		}, of.text)
		if err != nil {
			return stat.OpenWork{}, fmt.Errorf("counting open work: %w", err)
		}
	}
	jobs, err := s.ActiveJobs(ctx)
	if err != nil {
		return stat.OpenWork{}, err
	}
	for _, j := range jobs {
		w.Seen += j.Good + j.Held + j.Revoked
	}
	return w, nil
}

// Transactions returns how many seconds the transactions that wrote took, from
// when they had the writer's turn until they were durable.
func (s *Store) Transactions() *stat.Histogram { return s.times }
