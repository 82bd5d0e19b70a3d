package packs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/packs"
)

// TestDocs holds docs/operator/packs.md to the packs: a row for each end-entity
// profile, with the size in its golden dump.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/operator/packs.md")
	if err != nil {
		t.Fatal(err)
	}
	size := regexp.MustCompile(`size: (\d+) bytes`)
	for _, name := range packs.Names() {
		for _, leaf := range leaves(t, get(t, name)) {
			dump, err := os.ReadFile(filepath.Join("testdata", "golden", name, leaf+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			if row := fmt.Sprintf("| %s | `%s` | %s |", name, leaf, size.FindSubmatch(dump)[1]); !strings.Contains(string(page), row) {
				t.Errorf("no row %q", row)
			}
		}
	}
}
