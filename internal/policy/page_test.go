package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// page is where people read the language of profiles.
const page = "../../docs/operator/profiles.md"

// pageHead comes before what the package comment says.
const pageHead = `# Profiles

A profile says exactly what goes into one type of certificate. A published version never changes; an endpoint goes on with the version that it has until ` + "`pando endpoint update`" + `.

` + "```" + `
pando profile packs smart-meter meter > meter.yaml  # begin with a document that there is (packs.md)
pando profile lint meter.yaml                       # is it well-formed, and would zlint pass what it makes
pando profile test meter.yaml --device SM-000001    # a throw-away certificate: all that is in it, its size, and whose approvals it would wait for
pando profile diff meter@latest meter.yaml          # what differs, whether more may be issued, and the defaults that each relies on
pando profile publish meter.yaml
pando profile versions meter                        # when each version was published, by whom, and its hash
` + "```" + `

To publish what the latest version has already publishes nothing, and says so.

What a request asks for and the profile does not name is dropped, or refused where the profile is strict. A key in the list below that appears twice has two forms; a document has one.

`

// TestPage holds the page to the package comment, which is its source.
func TestPage(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, comment, _ := strings.Cut(string(source), "// # The language\n")
	comment, _, _ = strings.Cut(comment, "package policy")
	want := pageHead + "## The language\n" + markdown(comment)
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the page differs from the package comment; write it anew with -update:\n%s", diff)
	}
}

// markdown turns a comment into Markdown: headings one level down, and what is
// indented into blocks of code.
func markdown(comment string) string {
	var b strings.Builder
	code, blank := false, 0
	for line := range strings.Lines(comment) {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "//"), "\n")
		if line == "" {
			blank++
			continue
		}
		text, indented := strings.CutPrefix(line, "\t")
		if code && !indented {
			b.WriteString("```\n")
		}
		b.WriteString(strings.Repeat("\n", min(blank, 1)))
		if !code && indented {
			b.WriteString("```yaml\n")
		}
		code, blank = indented, 0
		if text = strings.TrimPrefix(text, " "); strings.HasPrefix(text, "# ") && !indented {
			text = "#" + text
		}
		if indented {
			text = strings.TrimPrefix(line, "\t")
		}
		b.WriteString(text + "\n")
	}
	if code {
		b.WriteString("```\n")
	}
	return b.String()
}
