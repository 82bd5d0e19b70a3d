package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/term"

	"github.com/pando-pki/pando/client"
)

// A console is where a command reads and writes.
type console struct {
	in   io.Reader
	out  io.Writer // results, and nothing else, so that they can be piped
	err  io.Writer // errors, hints, notes, progress
	json bool      // results as JSON, in the shapes of the REST API
}

// note tells something beside the result.
func (c *console) note(format string, args ...any) {
	fmt.Fprintf(c.err, "pando: "+format+"\n", args...)
}

// list writes a listing as JSON, or for people as a table. It tells them with which flag it
// goes on after next, where there is more, and that nothing is in it, which a heading alone
// does not say.
func (c *console) list(v any, t *table, flag, next string) error {
	switch {
	case c.json:
	case next != "":
		c.note("there are more: %s %s", flag, next)
	case len(t.rows) == 0:
		c.note("nothing was found")
	}
	return c.result(v, t.write)
}

// firstFound returns the first page of a search, from a cursor on, that has something, or
// the last: the server ends a page after so many that it looked at, whether any fit.
func firstFound[T any](cursor string, page func(cursor string) (*client.List[T], error)) (*client.List[T], error) {
	for {
		found, err := page(cursor)
		if err != nil || len(found.Items) > 0 || found.Next == "" {
			return found, err
		}
		cursor = found.Next
	}
}

// result writes v as JSON where that is asked for, and otherwise calls human.
func (c *console) result(v any, human func(w io.Writer) error) error {
	if c.json {
		if err := json.MarshalWrite(c.out, v, jsontext.WithIndent("  ")); err != nil {
			return err
		}
		_, err := io.WriteString(c.out, "\n")
		return err
	}
	return human(c.out)
}

// A table is rows of cells under a heading.
type table struct {
	heading []string
	rows    [][]string
}

// add appends a row; each cell is printed as fmt.Sprint does, and in quotes where it has
// what is not printable: others' text makes no rows and steers no terminal.
func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = fmt.Sprint(cell)
		if strings.ContainsFunc(row[i], func(r rune) bool { return !unicode.IsPrint(r) }) {
			row[i] = strconv.Quote(row[i])
		}
	}
	t.rows = append(t.rows, row)
}

// write prints the table in columns; an empty cell is a hyphen.
func (t *table) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells []string) {
		for i, cell := range cells {
			if cell == "" {
				cell = "-"
			}
			if i > 0 {
				io.WriteString(tw, "\t")
			}
			io.WriteString(tw, cell)
		}
		io.WriteString(tw, "\n")
	}
	if t.heading != nil {
		line(t.heading)
	}
	for _, row := range t.rows {
		line(row)
	}
	return tw.Flush()
}

// lines prints text of several lines for people: as it is, but for what is neither
// printable nor a line's end or a tab, which stands as its escape.
func lines(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// when prints a time for people, in UTC to the second; a zero time is "".
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// terminal returns w as a terminal, or nil where it is none.
func terminal(w any) *os.File {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}
