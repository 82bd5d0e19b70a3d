package pandotest

import (
	"bytes"
	"context"
	"crypto/fips140"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fipsPage has a table of what is refused, whose rows begin with a name in backticks.
const fipsPage = "docs/operator/fips.md"

// FIPSOnly holds the rows of docs/operator/fips.md whose names begin with a prefix and
// a dot against what happens: it runs each probe as it is, which must pass, and once
// more in a process where nothing but what FIPS 140-3 approves may be computed. Those
// that fail or panic there are the rows of the page. The mode holds for a whole process,
// so that the test that calls it, t, is started a second time. Of a process in the mode
// that only prefers what is approved, the rows are not tried: some are refused there too.
func FIPSOnly(t *testing.T, prefix string, probes map[string]func(t *testing.T)) {
	t.Helper()
	listed := fipsRows(t, prefix)
	for _, name := range slices.Sorted(maps.Keys(probes)) {
		if fips140.Enabled() && !fips140.Enforced() && slices.Contains(listed, prefix+"."+name) {
			continue
		}
		t.Run(prefix+"."+name, func(t *testing.T) {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("panic: %v", v)
				}
			}()
			probes[name](t)
		})
	}
	if fips140.Enforced() || t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, _ := cmd.CombinedOutput() // its status says that something is refused
	var refused []string
	ran := 0
	for _, m := range regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL): `+t.Name()+`/(\S+)`).FindAllSubmatch(out, -1) {
		ran++
		if string(m[1]) == "FAIL" {
			refused = append(refused, string(m[2]))
		}
	}
	if ran != len(probes) {
		t.Fatalf("%d of %d probes ran to their end:\n%s", ran, len(probes), out)
	}
	slices.Sort(refused)
	if !slices.Equal(listed, refused) {
		t.Errorf("%s lists %v, and refused is %v:\n%s", fipsPage, listed, refused, out)
	}
}

// fipsRows returns the names of the page's rows that begin with a prefix, in order.
func fipsRows(t testing.TB, prefix string) (names []string) {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			err = fmt.Errorf("no go.mod above this folder")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, fipsPage))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(page) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(string(line), "| `"), "`"); ok && strings.HasPrefix(name, prefix+".") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
