// Package pando_test holds the house to its plan: which package may import which,
// and that documents name what is there.
package pando_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pando-pki/pando/"

// ranks gives each package its rank. A package imports only lower ranks; a child
// folder may import its parent. docs/adr/0001-layout.md says why.
var ranks = map[string]int{
	"client":                             0,
	"internal/pki":                       0,
	"internal/der":                       0,
	"internal/parallel":                  0,
	"internal/stat":                      0,
	"internal/p256":                      0,
	"internal/strictjson":                0,
	"internal/tbs":                       1,
	"internal/cms":                       1,
	"internal/access":                    1,
	"internal/audit":                     1,
	"internal/alarm":                     1,
	"internal/egress":                    1,
	"internal/archive":                   1,
	"internal/limit":                     1,
	"internal/turns":                     1,
	"internal/visits":                    1,
	"internal/keystore":                  1,
	"internal/keystore/soft":             1,
	"internal/signer":                    2,
	"internal/certdump":                  2,
	"internal/packs":                     1,
	"internal/approval":                  2,
	"internal/policy":                    2,
	"internal/keypool":                   2,
	"internal/registry":                  2,
	"internal/specimen":                  3,
	"internal/issuance":                  3,
	"internal/auditlog":                  3,
	"internal/revocation":                3,
	"internal/ceremony":                  3,
	"internal/lotreport":                 3,
	"internal/quota":                     3,
	"internal/retention":                 3,
	"internal/hierarchy":                 4,
	"internal/publish":                   4,
	"internal/enroll":                    4,
	"internal/expiry":                    4,
	"internal/trust":                     4,
	"internal/batch":                     5,
	"internal/trace":                     5,
	"internal/enrolauth":                 5,
	"internal/store/sqlstore":            6,
	"internal/store/storetest":           6,
	"internal/proto/status":              6,
	"internal/proto/scep":                6,
	"internal/intake":                    6,
	"internal/proto/est":                 6,
	"internal/restapi":                   6,
	"internal/metrics":                   6,
	"internal/revocation/revocationtest": 6,
	"internal/pandotest":                 6,
	"internal/pandotest/scepclient":      6,
	"internal/pandotest/stack":           7,
	"internal/anchor":                    6,
	"internal/blob":                      6,
	"internal/pandotest/fakes3":          6,
	"internal/pandotest/s3server":        6,
	"internal/check":                     6,
	"internal/statuscheck":               6,
	"internal/validator":                 6,
	"internal/pandotest/fakeintune":      6,
	"internal/pandotest/fakeanchor":      6,
	"internal/simulate":                  6,
	"internal/server":                    7,
	"internal/quickstart":                8,
	"internal/bench":                     8,
	"internal/cli":                       9,
	"cmd/pando":                          10,
}

// peers are the imports within one rank that the plan allows.
var peers = map[string][]string{
	"internal/der":             {"internal/pki"},
	"internal/trace":           {"internal/batch"},                         // names its rows
	"internal/policy":          {"internal/approval", "internal/certdump"}, // whose steps a profile names; in whose words versions are compared
	"internal/parallel":        {},
	"internal/stat":            {"internal/pki"},
	"internal/cms":             {"internal/tbs"},
	"internal/keystore":        {"internal/tbs"},                          // likewise
	"internal/keystore/soft":   {"internal/tbs"},                          // the public keys of all kinds
	"internal/store/sqlstore":  {"internal/check", "internal/proto/scep"}, // implements what the checker reads, and what a protocol keeps
	"internal/store/storetest": {"internal/check", "internal/statuscheck", "internal/proto/scep"},
	"internal/bench":           {"internal/quickstart"}, // measures what the story makes
	"internal/restapi":         {"internal/intake"},
	"internal/proto/est":       {"internal/intake"},
}

// protocols may import of pando only these: no key, no profile, no store.
var protocols = []string{"internal/pki", "internal/der", "internal/tbs", "internal/cms", "internal/access", "internal/enroll", "internal/enrolauth", "internal/revocation", "internal/limit", "internal/intake"}

// core is the signing core: what it imports from outside is the audit surface.
var core = map[string][]string{
	"internal/pki":           {},
	"internal/der":           {"golang.org/x/crypto/cryptobyte"},
	"internal/p256":          {"golang.org/x/crypto/cryptobyte", "filippo.io/nistec"},
	"internal/tbs":           {"golang.org/x/crypto/cryptobyte", "filippo.io/mldsa", "github.com/cloudflare/circl/sign/slhdsa"},
	"internal/cms":           {"golang.org/x/crypto/cryptobyte"},
	"internal/keystore":      {"golang.org/x/crypto/cryptobyte", "filippo.io/mldsa", "github.com/cloudflare/circl/sign/slhdsa"},
	"internal/keystore/soft": {},
	"internal/signer":        {"golang.org/x/crypto/cryptobyte"},
	"internal/issuance":      {"golang.org/x/sync"},
	"internal/revocation":    {"golang.org/x/sync", "golang.org/x/crypto/cryptobyte"},
	"internal/ceremony":      {"filippo.io/age", "golang.org/x/sys/unix", "golang.org/x/crypto/cryptobyte", "github.com/go-json-experiment/json"},
}

func TestImportsPointDown(t *testing.T) {
	seen := make(map[string]bool)
	for pkg, imports := range goImports(t) {
		rank, ok := ranks[pkg]
		if !ok {
			t.Errorf("%s has no rank: give it one here", pkg)
			continue
		}
		seen[pkg] = true
		for _, path := range imports {
			if problem := judge(pkg, rank, path); problem != "" {
				t.Errorf("%s imports %s: %s", pkg, path, problem)
			}
		}
	}
	for pkg := range ranks {
		if !seen[pkg] {
			t.Errorf("%s has a rank and no code", pkg)
		}
	}
}

// judge returns what is wrong with an import, or "".
func judge(pkg string, rank int, path string) string {
	own, ours := strings.CutPrefix(path, module)
	switch {
	case ours:
		return judgeOwn(pkg, rank, own)
	case within(path, "net/http") && rank <= 5 && pkg != "client":
		return "net/http stays out of ranks 0 to 5"
	case within(path, "database/sql") && pkg != "internal/store/sqlstore":
		return "database/sql belongs to sqlstore alone"
	case path == "encoding/asn1" && pkg == "internal/tbs":
		return "the encoders do without reflection"
	}
	allowed, isCore := core[pkg]
	outside := strings.Contains(strings.Split(path, "/")[0], ".")
	if isCore && outside && !slices.ContainsFunc(allowed, func(a string) bool { return within(path, a) }) {
		return "the signing core stays close to the standard library"
	}
	return ""
}

// within reports whether path is a package or one below it.
func within(path, pkg string) bool { return path == pkg || strings.HasPrefix(path, pkg+"/") }

func judgeOwn(pkg string, rank int, own string) string {
	other, ok := ranks[own]
	switch {
	case !ok:
		return "it has no rank"
	case strings.HasPrefix(pkg, "internal/proto/") && !slices.Contains(protocols, own):
		return "a device protocol reaches no key, no profile and no store"
	case pkg == "internal/restapi" && other > 5 && !slices.Contains(peers[pkg], own):
		return "restapi imports services only"
	case pkg == "internal/restapi" && (own == "internal/signer" || strings.HasPrefix(own, "internal/keystore")):
		return "restapi reaches no key"
	case other > rank:
		return "it points up"
	case other == rank && !strings.HasPrefix(pkg, own+"/") && !slices.Contains(peers[pkg], own):
		return "it points sideways"
	}
	return ""
}

// goImports returns the imports of each package's non-test files.
func goImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := make(map[string][]string)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports[pkg] = append(imports[pkg], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

// TestJudge sees that the rules refuse what they are for.
func TestJudge(t *testing.T) {
	for _, c := range []struct{ pkg, path string }{
		{"internal/tbs", module + "internal/policy"},
		{"internal/batch", "net/http"},
		{"internal/batch", "net/http/httputil"},
		{"internal/restapi", "database/sql/driver"},
		{"internal/restapi", module + "internal/store/sqlstore"},
		{"internal/restapi", module + "internal/signer"},
		{"internal/proto/status", module + "internal/policy"},
		{"internal/enroll", module + "internal/hierarchy"},
		{"internal/hierarchy", "database/sql"},
		{"internal/issuance", "github.com/google/go-cmp/cmp"},
	} {
		if judge(c.pkg, ranks[c.pkg], c.path) == "" {
			t.Errorf("%s may import %s", c.pkg, c.path)
		}
	}
}
