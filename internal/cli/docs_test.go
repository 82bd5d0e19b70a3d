package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestCommandDocs keeps docs/operator/cli.md equal to what --help says.
func TestCommandDocs(t *testing.T) {
	parser, err := newParser(new(commands), &console{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(docsIntroduction)
	exceptions := withoutJSON()
	for _, path := range slices.Sorted(maps.Keys(exceptions)) {
		fmt.Fprintf(&b, "| `pando %s` | %s |\n", path, exceptions[path])
	}
	b.WriteString("\n## Flags of every command\n\n")
	writeFlagTable(&b, parser.Model.Flags)
	for _, node := range parser.Model.Children {
		writeCommandDocs(&b, node)
	}
	golden(t, "../../docs/operator/cli.md", []byte(b.String()))
}

const docsIntroduction = `# The command line

<!-- Generated from the command model: go test ./internal/cli -run Docs -update -->

Results go to standard output; errors, hints, notes and progress to standard
error.

The exit status is 0, or 1 where a command failed or was refused, or 2 where the
command line itself is wrong, or 3 where others must approve what was asked for
before it is done (see approvals.md).

Commands that manage a deployment talk to its server. They take its address from
--server, an API token from the environment or a file, and trust the CA that
--tls-ca names; --quickstart stands for all three. A token is never an argument:
everyone on a machine can read the arguments of its processes.

## JSON

With --json a result is one JSON value, in the shapes of the REST API where it is
the API's. A failure is one line of JSON, the last on standard error:

    {"error": "no authority \"x\"", "kind": "not-found"}

"hint" says what to do, where there is advice. "kind" is one of the API's (see
api.md), or "usage" where the command line is wrong; it is absent for what has no
kind, as a file that is not there. A command that exits with 1 and prints no such
line has said why in its result. What 'pando simulate csrs' writes to standard
output stays as --format says. These commands' output is what it is:

| command | standard output |
| --- | --- |
`

// writeCommandDocs writes a command, and those below it.
func writeCommandDocs(b *strings.Builder, node *kong.Node) {
	if node.Hidden {
		return
	}
	level := "##"
	if node.Depth() > 0 {
		level = "###"
	}
	fmt.Fprintf(b, "\n%s pando %s\n\n%s\n", level, node.Path(), node.Help)
	if node.Leaf() {
		fmt.Fprintf(b, "\n    pando %s\n", usage(node))
	}
	if node.Detail != "" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(node.Detail))
	}
	for i, p := range node.Positional {
		if i == 0 {
			b.WriteString("\n| argument | |\n| --- | --- |\n")
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", p.Name, cell(p.Help))
	}
	if len(node.Flags) > 0 {
		b.WriteString("\n")
		writeFlagTable(b, node.Flags)
	}
	for _, child := range node.Children {
		writeCommandDocs(b, child)
	}
}

// usage returns a command with its arguments and the flags that it must have.
func usage(node *kong.Node) string {
	words := []string{node.Path()}
	for _, f := range node.Flags {
		if f.Required {
			words = append(words, f.Summary())
		}
	}
	for _, p := range node.Positional {
		words = append(words, p.Summary())
	}
	if len(node.Flags) > 0 {
		words = append(words, "[flags]")
	}
	return strings.Join(words, " ")
}

func writeFlagTable(b *strings.Builder, flags []*kong.Flag) {
	b.WriteString("| flag | |\n| --- | --- |\n")
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		help := kong.DefaultHelpValueFormatter(f.Value)
		if f.Required {
			help += " Required."
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", f, cell(help))
	}
}

// cell escapes text for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// TestHelpOfEveryCommand shows that each command says what it is for, and that
// its help can be had without its arguments.
func TestHelpOfEveryCommand(t *testing.T) {
	parser, err := newParser(new(commands), &console{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Leaves(true) {
		t.Run(node.Path(), func(t *testing.T) {
			var out, errs strings.Builder
			status := Run(t.Context(), append(strings.Fields(node.Path()), "--help"), strings.NewReader(""), &out, &errs)
			said := strings.Join(strings.Fields(out.String()), " ") // lines are wrapped
			if status != exitDone || errs.Len() > 0 || !strings.Contains(said, node.Help) {
				t.Errorf("status %d\n%s%s", status, &out, &errs)
			}
		})
	}
}
