package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pando-pki/pando/client"
)

// TestProgressLines shows a batch where there is no terminal: a line for each
// state, and none for what changes in between so soon.
func TestProgressLines(t *testing.T) {
	var errs strings.Builder
	p := newProgress(&console{err: &errs})
	for _, b := range []client.Batch{
		{State: client.Checking, Rows: 100, Checked: 10},
		{State: client.Checking, Rows: 100, Checked: 90},
		{State: client.Checked, Rows: 100, Checked: 100, Refused: 1},
		{State: client.Running, Rows: 100, Issued: 40, Refused: 1, Rate: 10},
		{State: client.Done, Rows: 100, Issued: 98, Refused: 1, Cancelled: 1},
	} {
		p.show(stepOf(&b))
	}
	p.end()
	want := `pando: checking: 10 of 100 rows
pando: checked: 100 of 100 rows, 1 refused
pando: running: 41 of 100 rows, 1 refused, 10 rows/s, 6s to go
pando: done: 100 of 100 rows, 1 refused
`
	if diff := cmp.Diff(want, errs.String()); diff != "" {
		t.Error(diff)
	}
}
