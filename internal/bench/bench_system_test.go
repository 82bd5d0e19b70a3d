//go:build system

package bench

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every row that is built gets its figures, from a server of this tree. What they
// are is no matter: so short a measurement says nothing.
func TestAllRows(t *testing.T) {
	program := filepath.Join(t.TempDir(), "pando")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/pando-pki/pando/cmd/pando").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r, err := Run(t.Context(), Config{Program: program, Dir: filepath.Join(t.TempDir(), "data"), Quick: true, Seconds: 0.05, Tell: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != len(Goals) {
		t.Fatalf("%d rows, want %d", len(r.Rows), len(Goals))
	}
	for i, row := range r.Rows {
		g := Goals[i]
		if row.Row != g.Row || !strings.HasPrefix(row.What, g.What) || g.Absent != (row.Met == notBuilt) || g.Absent != (len(row.Rounds) == 0) {
			t.Errorf("%+v for goal %+v", row, g)
		}
	}
}
