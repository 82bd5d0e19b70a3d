package packs_test

import (
	"crypto/fips140"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/cryptotest"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/certdump"
	"github.com/pando-pki/pando/internal/packs"
)

var update = flag.Bool("update", false, "write the golden dumps anew")

// TestGolden compares readable dumps of each pack's authorities, and of a
// certificate of each end-entity profile, with testdata/golden. Parameters have
// their examples as values. In FIPS mode keys are other ones each time, and what depends on
// them is left out.
func TestGolden(t *testing.T) {
	for _, name := range packs.Names() {
		t.Run(name, func(t *testing.T) {
			if !fips140.Enabled() { // its module makes no keys of a seed
				cryptotest.SetGlobalRandom(t, 1)
			}
			p := get(t, name)
			tr := grow(t, p)
			for _, a := range p.Authorities {
				compare(t, filepath.Join(name, "authority-"+a.Name), tr.authorities[a.Name].der)
			}
			for _, leaf := range leaves(t, p) {
				compare(t, filepath.Join(name, leaf), tr.leaf(t, leaf, "").der)
			}
		})
	}
}

// random is what of a dump depends on random numbers: identifiers of keys, and the size,
// which that of a signature is part of.
var random = regexp.MustCompile(`(?m)^(key: \S+|subjectKeyIdentifier:|authorityKeyIdentifier:|size:) .*$`)

func compare(t *testing.T, name string, certificate []byte) {
	t.Helper()
	got, err := certdump.Text(certificate)
	if err != nil {
		t.Fatal(err)
	}
	got += fmt.Sprintf("size: %d bytes\n", len(certificate))
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	masked := string(want)
	if fips140.Enabled() {
		masked, got = random.ReplaceAllString(masked, "$1 ..."), random.ReplaceAllString(got, "$1 ...")
	}
	if diff := cmp.Diff(masked, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
