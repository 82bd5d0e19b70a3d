package sqlstore

import (
	"context"
	"iter"
	"strconv"
	"strings"
)

// A rowsText is a statement that takes several rows of values at once: what each
// call of the database costs, whatever it does, is paid once for all of them.
type rowsText struct {
	head    string
	columns int
	texts   [len(rowCounts)]string // for so many rows each
}

// rowCounts are the numbers of rows that there are statements for, the largest
// first.
var rowCounts = [...]int{32, 16, 8, 4, 2, 1}

// newRowsText returns the statement that has rows of so many columns, each
// ($1, $2, ...), between head and tail.
func newRowsText(head string, columns int, tail string) *rowsText {
	r := &rowsText{head: head, columns: columns}
	for i, rows := range rowCounts {
		var b strings.Builder
		b.WriteString(head)
		for n := range rows * columns {
			switch {
			case n == 0:
				b.WriteString(" (")
			case n%columns == 0:
				b.WriteString("), (")
			default:
				b.WriteString(", ")
			}
			b.WriteString("$" + strconv.Itoa(n+1))
		}
		b.WriteString(") " + tail)
		r.texts[i] = b.String()
	}
	return r
}

// single returns the statement for one row.
func (r *rowsText) single() string { return r.texts[len(r.texts)-1] }

// calls yields the statements that take all rows of args, in order, each with its
// part of them.
func (r *rowsText) calls(args []any) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		for i, rows := range rowCounts {
			for n := rows * r.columns; len(args) >= n; args = args[n:] {
				if !yield(r.texts[i], args[:n]) {
					return
				}
			}
		}
	}
}

// execRows runs a statement over all rows of args.
func (t *tx) execRows(r *rowsText, args []any) error {
	for text, part := range r.calls(args) {
		if _, err := t.exec(text, part...); err != nil {
			return err
		}
	}
	return nil
}

// queryRows is execRows for a statement that returns rows: scan sees each.
func (t *tx) queryRows(r *rowsText, args []any, scan func(row) error) error {
	for text, part := range r.calls(args) {
		_, err := list(context.Background(), t, func(row row) (struct{}, error) { return struct{}{}, scan(row) }, text, part...)
		if err != nil {
			return err
		}
	}
	return nil
}
