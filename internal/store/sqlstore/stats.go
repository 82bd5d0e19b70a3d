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

// Transactions returns how many seconds the transactions that wrote took, from
// when they had the writer's turn until they were durable.
func (s *Store) Transactions() *stat.Histogram { return s.times }
