package sqlstore

import (
	"context"
	"database/sql"
)

// A Witness reads a database over a connection of its own.
type Witness struct{ s *Store }

// NewWitness opens the database file that another Store has open.
func NewWitness(path string) (*Witness, error) {
	db, err := readerDB(path, Options{Readers: 1, ReaderCacheMiB: 1, synchronous: "FULL"})
	if err != nil {
		return nil, err
	}
	return &Witness{&Store{read: &readers{db: db, stmts: map[string]*sql.Stmt{}}}}, nil
}

// Close closes the connection.
func (w *Witness) Close() error { return w.s.read.db.Close() }

// OpenTBS returns the to-be-signed bytes of every intent that is open.
func (w *Witness) OpenTBS(ctx context.Context) ([][]byte, error) {
	payloads, err := list(ctx, w.s.read, func(row row) (b []byte, err error) {
		err = row.Scan(&b)
		return b, err
	}, `SELECT payload FROM intent WHERE state = 'open'`)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, p := range payloads {
		items, err := decodePayload(p, w)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			out = append(out, it.TBS)
		}
	}
	return out, nil
}

func (w *Witness) refOf(num int64) (ref, error) {
	return w.s.refOf(context.Background(), w.s.read, num)
}

func (w *Witness) reference(num int64) (*reference, error) {
	return w.s.referenceByNum(context.Background(), w.s.read, num)
}
