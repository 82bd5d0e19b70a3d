package cli

import (
	"os"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/rogpeppe/go-internal/testscript"
)

// runPlan is the scripts' command "plan FILE": it runs the steps that "pando authority
// template --json" wrote to FILE. Ceremonies get what nobody is there to type: the
// file passphrase, and a yes.
func runPlan(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: plan FILE")
	}
	var plan hierarchyPlan
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &plan))
	for _, s := range plan.Steps {
		command := s.Command[1:]
		if command[0] == "ceremony" {
			command = append(command, "--passphrase-file", "passphrase", "--yes")
		}
		ts.Check(ts.Exec(s.Command[0], command...))
		if s.Output != "" {
			ts.Check(os.WriteFile(ts.MkAbs(s.Output), []byte(ts.ReadFile("stdout")), 0o600))
		}
	}
}

func TestQuoted(t *testing.T) {
	for word, want := range map[string]string{
		"meter.yaml": "meter.yaml", "*.example.com": "'*.example.com'", "": "''", "O'Neill": `'O'\''Neill'`, "$(id)": "'$(id)'", "vid=FFF1": "vid=FFF1",
	} {
		if got := quoted(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
