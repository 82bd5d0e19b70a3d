package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestUpload: what is read is counted, and a file can be sent again.
func TestUpload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(path, []byte("a row\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, test := range map[string]struct {
		rows  io.Reader
		again bool
		want  string
	}{
		"file":           {file, true, "pando: uploading: 0 of 6 bytes\n"},
		"standard input": {strings.NewReader("a row\n"), false, "pando: uploading: 0 bytes\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var errs strings.Builder
			p := newProgress(&console{err: &errs})
			rows := newUpload(test.rows, p)
			if text, err := io.ReadAll(rows); err != nil || string(text) != "a row\n" {
				t.Errorf("%q, %v", text, err)
			}
			if diff := cmp.Diff(test.want, errs.String()); diff != "" {
				t.Error(diff)
			}
			file, again := rows.(io.Seeker)
			if again != test.again {
				t.Fatalf("it can be sent again: %t", again)
			}
			if !again {
				return
			}
			if at, err := file.Seek(0, io.SeekStart); at != 0 || err != nil {
				t.Errorf("at %d, %v", at, err)
			}
			p.shown = time.Time{} // long ago
			if text, err := io.ReadAll(rows); err != nil || string(text) != "a row\n" {
				t.Errorf("again: %q, %v", text, err)
			}
			if got, want := errs.String(), test.want+"pando: uploading: 6 of 6 bytes\n"; got != want {
				t.Errorf("again: %s", got)
			}
		})
	}
}

func TestStepWithUnits(t *testing.T) {
	for want, s := range map[string]step{
		"running: 5 of 10 rows, 1 refused, 5 rows/s, 1s to go": {stage: "running", done: 5, total: 10, refused: 1, rate: 5},
		"uploading: 500 of 1000 bytes, 100 bytes/s, 5s to go":  {stage: "uploading", unit: "byte", done: 500, total: 1000, rate: 100},
		"uploading: 500 bytes, 100 bytes/s":                    {stage: "uploading", unit: "byte", done: 500, rate: 100},
	} {
		if got := s.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
