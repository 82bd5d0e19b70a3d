package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A writer owns the one connection that writes, and the statements prepared on
// it. It begins and ends transactions by statement, not with sql.Tx, which would
// prepare every statement anew for each transaction.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	turn  chan struct{} // holds one value: whoever took it has the connection; closed with the store
	stmts map[string]*sql.Stmt
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	if err := migrate(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, err
	}
	w := &writer{db: db, conn: conn, turn: make(chan struct{}, 1), stmts: map[string]*sql.Stmt{}}
	w.turn <- struct{}{}
	return w, nil
}

// close waits for the transaction in progress; no other can begin after it.
func (w *writer) close() error {
	if _, open := <-w.turn; !open {
		return nil
	}
	close(w.turn)
	return errors.Join(w.conn.Close(), w.db.Close())
}

// prepare returns the statement for text. The texts are constants of this
// package, so there is an end to them.
func (w *writer) prepare(text string) (*sql.Stmt, error) {
	if st, ok := w.stmts[text]; ok {
		return st, nil
	}
	st, err := w.conn.PrepareContext(context.Background(), native(text))
	if err != nil {
		return nil, err
	}
	w.stmts[text] = st
	return st, nil
}

// A tx is one transaction that may write. It belongs to one goroutine.
//
// Its statements run under context.Background(): a context that can end would
// cost a goroutine for each, and a transaction half done helps nobody.
type tx struct {
	s *Store
	w *writer

	// What the transaction added to tables that the store caches, to be
	// published when it is committed.
	refs map[ref]int64
	ders []*reference

	lastNames itemNames // those that were looked up last, which mostly come again
	lastRefs  itemRefs  // their numbers

	ticked int64 // what the store's clock was moved to

	claiming bool // it may have changed what the store remembers of recent claims
	claimed  int  // how many claims it made

	touched      map[*quotaRow]bool // quotas that it changed what is used of
	forgetQuotas bool               // it changed which quotas there are

	closed map[ref]bool // lots that intents of this transaction are for: whether they are closed
}

// update runs fn in a transaction and commits it durably unless fn returns an
// error. ctx bounds the wait for the connection, not the transaction. An error
// of the commit itself leaves the outcome unknown. A disk that is full or fails
// is Unavailable, for a while as we hope: nothing is acknowledged until it is well.
func (s *Store) update(ctx context.Context, fn func(*tx) error) error {
	err := s.try(ctx, fn)
	s.tell(err)
	if cannotWrite(err) && pki.KindOf(err) == pki.Internal {
		return &pki.Error{Kind: pki.Unavailable, Detail: "the store cannot write at this moment; send the request again later, the same one under the same idempotency key",
			Cause: err, RetryAfter: 5 * time.Second}
	}
	return err
}

// try is update, with the database's own errors.
func (s *Store) try(ctx context.Context, fn func(*tx) error) error {
	w := s.write
	select {
	case <-ctx.Done():
		return ctx.Err()
	case _, open := <-w.turn:
		if !open {
			return errors.New("the store is closed")
		}
	}
	defer func() { w.turn <- struct{}{} }()
	begun := time.Now()

	t := &tx{s: s, w: w, refs: map[ref]int64{}}
	if _, err := t.exec(begin); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	done := false
	defer func() {
		if !done { // also after a panic in fn
			// It may have been rolled back already: then this fails, rightly.
			_, _ = t.exec("ROLLBACK")
			s.clock.Store(0) // as are these, where its outcome is unknown
			if t.claiming {
				s.recent.forget()
			}
		}
		if t.forgetQuotas || !done && len(t.touched) > 0 {
			s.quotas.forget()
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	if err := t.storeQuotas(); err != nil {
		return err
	}
	if err := s.checkLock(); err != nil {
		return err
	}
	if _, err := t.exec("COMMIT"); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	done = true
	s.times.Observe(time.Since(begun).Seconds())
	s.publishClock(t.ticked)
	s.refs.publish(t.refs)
	s.ders.publish(t.ders)
	return nil
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(text string, args ...any) (int64, error) {
	st, err := t.w.prepare(text)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t *tx) query(_ context.Context, text string, args ...any) (*sql.Rows, error) {
	st, err := t.w.prepare(text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(context.Background(), args...)
}
