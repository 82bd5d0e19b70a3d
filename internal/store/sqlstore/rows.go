package sqlstore

import (
	"context"
	"iter"
	"strconv"
	"strings"
)

// A rowsText is a statement that inserts several rows at once: what each call of the
// database costs, whatever it does, is paid once for all of them.
type rowsText struct {
	shared  int                    // the first columns, whose values all rows share
	columns int                    // the others
	texts   [len(rowCounts)]string // for so many rows each
}

// rowCounts are the numbers of rows that there are statements for, the largest
// first.
var rowCounts = [...]int{32, 16, 8, 4, 2, 1}

// newRowsText returns the statement that inserts rows of so many columns, each
// ($1, $2, ...), into a table, and ends in tail.
func newRowsText(into string, columns int, tail string) *rowsText {
	return newSharedText(into, 0, columns, tail)
}

// newSharedText is newRowsText where each row begins with so many values that all
// share. They are bound once: each value that is costs as much as one of a row.
func newSharedText(into string, shared, columns int, tail string) *rowsText {
	r := &rowsText{shared: shared, columns: columns}
	for i, rows := range rowCounts {
		var b strings.Builder
		b.WriteString(insertRows + into + " VALUES")
		for row := range rows {
			b.WriteString([]string{" (", "), ("}[min(row, 1)])
			for n := range shared + columns {
				if n > 0 {
					b.WriteString(", ")
				}
				number := n + 1
				if n >= shared {
					number += row * columns
				}
				b.WriteString("$" + strconv.Itoa(number))
			}
		}
		b.WriteString(") " + tail)
		r.texts[i] = b.String()
	}
	return r
}

// single returns the statement for one row.
func (r *rowsText) single() string { return r.texts[len(r.texts)-1] }

// rows returns how many rows a statement with so many arguments has.
func (r *rowsText) rows(args int) int { return (args - r.shared) / r.columns }

// calls yields the statements that take all rows of args, in order, each with what
// they share and its part of them, which the next one overwrites.
func (r *rowsText) calls(args []any, shared ...any) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		call := make([]any, 0, len(shared)+min(len(args), rowCounts[0]*r.columns))
		call = append(call, shared...)
		for i, rows := range rowCounts {
			for n := rows * r.columns; len(args) >= n; args = args[n:] {
				if !yield(r.texts[i], append(call, args[:n]...)) {
					return
				}
			}
		}
	}
}

// A listText is a statement with a list of values behind its first parameter.
type listText struct {
	texts [len(rowCounts)]string // for so many values each
}

// newListText returns the statement that ends in a list: ($2, $3, ...).
func newListText(head string) *listText {
	l := new(listText)
	for i, values := range rowCounts {
		var b strings.Builder
		b.WriteString(head)
		for n := range values {
			b.WriteString([]string{" (", ", "}[min(n, 1)])
			b.WriteString("$" + strconv.Itoa(n+2))
		}
		b.WriteString(")")
		l.texts[i] = b.String()
	}
	return l
}

// calls yields the statements that take all values, each with its arguments. What a
// statement has too many of repeats its last value.
func (l *listText) calls(first any, values []any) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		for len(values) > 0 {
			i := 0
			for i+1 < len(rowCounts) && rowCounts[i+1] >= len(values) {
				i++
			}
			part := values[:min(rowCounts[i], len(values))]
			values = values[len(part):]
			args := append(append(make([]any, 0, 1+rowCounts[i]), first), part...)
			for len(args) < 1+rowCounts[i] {
				args = append(args, part[len(part)-1])
			}
			if !yield(l.texts[i], args) {
				return
			}
		}
	}
}

// queryList runs a statement over all values: scan sees each row.
func (t *tx) queryList(l *listText, first any, values []any, scan func(row) error) error {
	for text, args := range l.calls(first, values) {
		if err := t.queryEach(scan, text, args...); err != nil {
			return err
		}
	}
	return nil
}

// queryEach lets scan see each row.
func (t *tx) queryEach(scan func(row) error, text string, args ...any) error {
	_, err := list(context.Background(), t, func(row row) (struct{}, error) { return struct{}{}, scan(row) }, text, args...)
	return err
}

// execRows runs a statement over all rows of args, with what they share.
func (t *tx) execRows(r *rowsText, args []any, shared ...any) error {
	for text, part := range r.calls(args, shared...) {
		if _, err := t.exec(text, part...); err != nil {
			return err
		}
	}
	return nil
}

// queryRows is execRows for a statement that returns rows: scan sees each.
func (t *tx) queryRows(r *rowsText, args []any, scan func(row) error, shared ...any) error {
	for text, part := range r.calls(args, shared...) {
		if err := t.queryEach(scan, text, part...); err != nil {
			return err
		}
	}
	return nil
}
