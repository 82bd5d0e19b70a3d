package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// A source answers queries: the readers, a snapshot of theirs, or a transaction
// that writes and sees its own changes.
type source interface {
	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// readers is the pool of connections that only read.
type readers struct {
	db    *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt // guarded by mu
}

func (r *readers) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	st, err := r.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (r *readers) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if st := r.prepared(text); st != nil {
		return st, nil
	}
	st, err := r.db.PrepareContext(ctx, native(text))
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, ok := r.stmts[text]; ok {
		st.Close()
		return other, nil
	}
	r.stmts[text] = st
	return st, nil
}

// prepared returns the statement for text, nil where there is none yet.
func (r *readers) prepared(text string) *sql.Stmt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stmts[text]
}

// A snapshot is a read transaction: its queries see one state of the database.
type snapshot struct {
	tx  *sql.Tx
	of  *readers
	new []string // texts that no statement is prepared for
}

func (s *snapshot) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if st := s.of.prepared(text); st != nil {
		return s.tx.StmtContext(ctx, st).QueryContext(ctx, args...)
	}
	s.new = append(s.new, text)
	return s.tx.QueryContext(ctx, native(text), args...)
}

// snapshot runs fn on one state of the database.
func (r *readers) snapshot(ctx context.Context, fn func(source) error) error {
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	s := &snapshot{tx: tx, of: r}
	defer func() {
		tx.Rollback()
		// For the next one, and not before: whoever holds a connection must not wait
		// for another.
		for _, text := range s.new {
			_, _ = r.prepare(ctx, text)
		}
	}()
	return fn(s)
}

// A row is what can be scanned: *sql.Rows at its current row.
type row interface{ Scan(dest ...any) error }

// list returns what scan makes of each row. It has read all rows when it
// returns, so that no connection is held while more is looked up.
func list[T any](ctx context.Context, from source, scan func(row) (T, error), text string, args ...any) ([]T, error) {
	rows, err := from.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// one returns what scan makes of the first row, or sql.ErrNoRows. It is for what an
// index finds in some microseconds, and is not cut short by the end of ctx: for that
// database/sql would start a goroutine each time.
func one[T any](ctx context.Context, from source, scan func(row) (T, error), text string, args ...any) (T, error) {
	var none T
	all, err := list(context.WithoutCancel(ctx), from, scan, text, args...)
	if err != nil {
		return none, err
	}
	if len(all) == 0 {
		return none, sql.ErrNoRows
	}
	return all[0], nil
}

// scanText scans a row of one text.
func scanText(r row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

// scanInt scans a row of one number.
func scanInt(r row) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}
