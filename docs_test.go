package pando_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDocsNameTests: a test that a document names as its proof is there. Names are
// compared without their packages, which documents abbreviate.
func TestDocsNameTests(t *testing.T) {
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z][A-Za-z0-9]*`)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)\(`)
	there := map[string]bool{"TestXxx": true, "FuzzXxx": true} // what stands for any
	walk(t, ".", "_test.go", func(_ string, text []byte) {
		for _, m := range declared.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
	})
	count := 0
	check := func(path string, text []byte) {
		for _, name := range named.FindAll(text, -1) {
			count++
			if !there[string(name)] {
				line := 1 + bytes.Count(text[:bytes.Index(text, name)], []byte("\n"))
				t.Errorf("%s:%d: there is no %s", path, line, name)
			}
		}
	}
	walk(t, "docs", ".md", check)
	for _, path := range []string{"CONTRIBUTING.md", "README.md", "SECURITY.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, text)
	}
	if count == 0 {
		t.Error("the documents name no test")
	}
}

// TestDocsLettersLead: where a document abbreviates packages by letters, each letter that
// stands before tests is in its legend, and the tests are in that package.
func TestDocsLettersLead(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)\(`)
	there := make(map[string][]string) // the folders that have a test of the name
	walk(t, ".", "_test.go", func(file string, text []byte) {
		for _, m := range declared.FindAllSubmatch(text, -1) {
			there[string(m[1])] = append(there[string(m[1])], path.Dir(filepath.ToSlash(file)))
		}
	})
	legend := regexp.MustCompile("`(internal/[a-z/]+)` \\(([A-Z])[:,)]")
	lettered := regexp.MustCompile(`\b([A-Z]) ((?:Test|Fuzz)[A-Z]\w*(?:, (?:Test|Fuzz)[A-Z]\w*)*)`)
	count := 0
	walk(t, "docs", ".md", func(file string, text []byte) {
		packages := make(map[string]string)
		for _, m := range legend.FindAllSubmatch(text, -1) {
			packages[string(m[2])] = string(m[1])
		}
		for _, at := range lettered.FindAllSubmatchIndex(text, -1) {
			line := 1 + bytes.Count(text[:at[0]], []byte("\n"))
			letter := string(text[at[2]:at[3]])
			pkg, said := packages[letter]
			if !said {
				t.Errorf("%s:%d: the legend has no %s", file, line, letter)
				continue
			}
			for name := range strings.SplitSeq(string(text[at[4]:at[5]]), ", ") {
				count++
				if !slices.Contains(there[name], pkg) {
					t.Errorf("%s:%d: %s is in %v, and %s is %s", file, line, name, there[name], letter, pkg)
				}
			}
		}
	})
	if count == 0 {
		t.Error("no document has a test by a letter: this test does not see them")
	}
}

// TestDocsHaveAlarms: each alarm that the code raises has its row in alarms.md.
// Where alarms are raised, a text of the form part.condition is the name of one, or
// an act that an event names.
func TestDocsHaveAlarms(t *testing.T) {
	text, err := os.ReadFile("docs/operator/alarms.md")
	if err != nil {
		t.Fatal(err)
	}
	acts := []string{"crl.recover", "log.create", "clock.accept", "authority.indexed"}
	name := regexp.MustCompile(`"([a-z]+\.[a-z]+)"`)
	kind := regexp.MustCompile(`(?m)^\s+[A-Z]\w+ += "([a-z]+)"`)
	count := 0
	walk(t, "internal", ".go", func(file string, code []byte) {
		if strings.HasSuffix(file, "_test.go") || !bytes.Contains(code, []byte("alarm.Key{")) && !bytes.Contains(code, []byte("alarm.Alarm{")) && !strings.HasPrefix(file, "internal/statuscheck/") && !strings.HasPrefix(file, "internal/expiry/") {
			return
		}
		var names []string
		for _, m := range name.FindAllSubmatch(code, -1) {
			names = append(names, string(m[1]))
		}
		if strings.HasPrefix(file, "internal/expiry/") {
			for _, m := range kind.FindAllSubmatch(code, -1) {
				names = append(names, "expiry."+string(m[1]))
			}
		}
		for _, n := range names {
			if slices.Contains(acts, n) {
				continue
			}
			count++
			if !bytes.Contains(text, []byte("\n| `"+n+"`")) {
				t.Errorf("%s raises %s, which alarms.md does not have", file, n)
			}
		}
	})
	if count < 20 {
		t.Errorf("the code raises %d alarms: this test does not see them", count)
	}
}

// TestContributingRanks: each package stands in the table of ranks for people,
// or its folder does, in the row of its rank.
func TestContributingRanks(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string][]string) // the ranks of the row in which a package stands
	for _, row := range regexp.MustCompile(`(?m)^\| ([0-9, ]+) \| ([^|]+) \|`).FindAllStringSubmatch(string(text), -1) {
		for _, pkg := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			told[pkg[1]] = strings.Split(row[1], ", ")
		}
	}
	for pkg, rank := range ranks {
		name := strings.TrimPrefix(pkg, "internal/")
		for ; name != "." && told[name] == nil && told[name+"/*"] == nil; name = path.Dir(name) {
		}
		if in := slices.Concat(told[name], told[name+"/*"]); !slices.Contains(in, strconv.Itoa(rank)) {
			t.Errorf("%s has rank %d; the table has it at %v", pkg, rank, in)
		}
	}
}

// walk calls f with each file below root whose name ends in suffix.
func walk(t *testing.T, root, suffix string, f func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(path, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
