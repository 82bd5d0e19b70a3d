package sqlstore

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNative(t *testing.T) {
	for text, want := range map[string]string{
		`SELECT 1`:                           `SELECT 1`,
		`a = $1 AND b = $2`:                  `a = ? AND b = ?`,
		`VALUES ($1, $2), ($3, $4)`:          `VALUES (?, ?), (?, ?)`,
		`a = $1 OR b = $1`:                   `a = ? OR b = ?1`,
		`VALUES ($1, $2, $3), ($1, $4, $5)`:  `VALUES (?, ?, ?), (?1, ?, ?)`,
		`a = $2 AND b = $1`:                  `a = $2 AND b = $1`,
		`a = $2`:                             `a = $2`,
		`$1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11`: `? ? ? ? ? ? ? ? ? ? ?`,
		`$1 $2 $30`:                          `$1 $2 $30`,
		`$10`:                                `$10`,
		`a > $1 ORDER BY a LIMIT $2`:         `a > ? ORDER BY a LIMIT 0+?`,
		`a > $1 OR b > $1 LIMIT $2`:          `a > ? OR b > ?1 LIMIT 0+?`,
	} {
		if got := native(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Rows are taken in order, each once, whatever their number.
func TestRowsText(t *testing.T) {
	r := newRowsText("t (a, b)", 2, "ON CONFLICT DO NOTHING")
	if got, want := r.single(), insertRows+"t (a, b) VALUES ($1, $2) ON CONFLICT DO NOTHING"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, rows := range []int{0, 1, 7, 8, 9, 31, 32, 33, 100} {
		var args []any
		for i := range rows * 2 {
			args = append(args, i)
		}
		next := 0
		for text, part := range r.calls(args) {
			if n := strings.Count(text, "$"); n != len(part) {
				t.Errorf("%d rows: %d parameters for %d arguments", rows, n, len(part))
			}
			for _, a := range part {
				if a != next {
					t.Fatalf("%d rows: argument %v, want %d", rows, a, next)
				}
				next++
			}
		}
		if next != len(args) {
			t.Errorf("%d rows: %d of %d arguments", rows, next, len(args))
		}
	}
}

// What rows share comes first in each, and is an argument once.
func TestSharedText(t *testing.T) {
	r := newSharedText("t (a, b, c)", 2, 1, "")
	if got, want := r.texts[len(r.texts)-2], insertRows+"t (a, b, c) VALUES ($1, $2, $3), ($1, $2, $4) "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var got [][]any
	for _, args := range r.calls([]any{1, 2, 3}, "a", "b") {
		if r.rows(len(args)) != len(args)-2 {
			t.Errorf("%v is %d rows", args, r.rows(len(args)))
		}
		got = append(got, slices.Clone(args))
	}
	if diff := cmp.Diff([][]any{{"a", "b", 1, 2}, {"a", "b", 3}}, got); diff != "" {
		t.Error(diff)
	}
}

// Values are taken in order, each at least once, in few calls.
func TestListText(t *testing.T) {
	l := newListText("SELECT a FROM t WHERE b = $1 AND c IN")
	if got, want := l.texts[len(l.texts)-2], "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for values, calls := range map[int]int{0: 0, 1: 1, 7: 1, 20: 1, 32: 1, 33: 2, 100: 4} {
		var all []any
		for i := range values {
			all = append(all, i)
		}
		next := 0
		for text, args := range l.calls("first", all) {
			calls--
			if n := strings.Count(text, "$"); n != len(args) || args[0] != "first" {
				t.Errorf("%d values: %d parameters for %v", values, n, args)
			}
			for _, v := range args[1:] {
				if v != next && v != next-1 {
					t.Errorf("%d values: %v at the place of %d", values, v, next)
				}
				next = max(next, v.(int)+1)
			}
		}
		if next != values || calls != 0 {
			t.Errorf("%d values: %d taken, %d calls too few", values, next, calls)
		}
	}
}

// TestFailedStatement: a statement of several rows keeps nothing to undo itself with;
// the rows before the one that fails go with their transaction.
func TestFailedStatement(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	if _, err := s.write.conn.ExecContext(t.Context(), "CREATE TABLE scratch (a INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	err := s.update(t.Context(), func(tx *tx) error {
		for text, args := range newRowsText("scratch (a)", 1, "").calls([]any{1, 2, 3, 1}) {
			if _, err := tx.exec(text, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.Error("a row that is there twice was taken")
	}
	if n, err := one(t.Context(), s.read, scanInt, "SELECT count(*) FROM scratch"); n != 0 || err != nil {
		t.Errorf("%d rows of a statement that failed are left, %v", n, err)
	}
}
