package cli

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"
	"github.com/rogpeppe/go-internal/testscript"
)

// withoutJSON names the commands whose standard output --json leaves as it is,
// and says what it is.
func withoutJSON() map[string]string {
	return map[string]string{
		"authority chain":       "PEM",
		"authority crl-request": "the file for a ceremony, which is JSON",
		"authority request":     "the file for a ceremony, which is JSON",
		"batch results":         "NDJSON or PEM, as --format says",
		"cert chain":            "PEM",
		"audit export":          "lines of JSON",
		"ceremony certificate":  "PEM",
		"cert export":           "NDJSON or CSV, as --format says",
		"completion":            "a script",
		"device export":         "NDJSON or CSV, as --format says",
		"serve":                 "nothing: it logs to standard error",
	}
}

// shownElsewhere are those whose scripts would need an archive, and so a server on
// which certificates have expired.
func shownElsewhere() map[string]string {
	return map[string]string{
		"archive show":   "the API's own shape, internal/restapi TestMatrix",
		"archive verify": "TestArchiveVerify",
	}
}

// TestJSONOfEveryCommand finds for each command a script that runs it with --json
// and looks at the result, where the command is not one that has none.
func TestJSONOfEveryCommand(t *testing.T) {
	parser, err := newParser(new(commands), &console{})
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/script/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		command := ""
		for line := range strings.Lines(string(text)) {
			if command != "" && strings.HasPrefix(line, "json ") {
				shown[command] = true
			}
			command = ""
			if words := strings.Fields(line); len(words) > 1 && words[0] == "exec" && words[1] == "pando" && slices.Contains(words, "--json") {
				command = commandOf(parser.Model.Node, words[2:])
			}
		}
	}
	exceptions := withoutJSON()
	maps.Copy(exceptions, shownElsewhere())
	for _, node := range parser.Model.Leaves(true) {
		_, excepted := exceptions[node.Path()]
		if shown[node.Path()] == excepted {
			t.Errorf("%s: a script shows its JSON: %t; it is excepted: %t", node.Path(), shown[node.Path()], excepted)
		}
		delete(exceptions, node.Path())
	}
	for path := range maps.Keys(exceptions) {
		t.Errorf("%s is excepted, and no command", path)
	}
}

// commandOf returns the path of the command that the words name.
func commandOf(node *kong.Node, words []string) string {
	for _, word := range words {
		for _, child := range node.Children {
			if child.Name == word {
				node = child
				break
			}
		}
	}
	return node.Path()
}

// checkJSON is the scripts' command "json MEMBER...": the standard output of the
// command before is one JSON object with these members.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: json MEMBER...")
	}
	object := map[string]any{}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	for _, name := range args {
		if _, ok := object[name]; !ok {
			ts.Fatalf("the result has no %s", name)
		}
	}
}
