package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/rogpeppe/go-internal/testscript"
)

// growPack is the scripts' command "grow TENANT PACK [NAME=VALUE...]": it makes a tenant
// with an administrator, whose token it leaves in the environment, and runs there the
// steps of "pando authority template PACK". Ceremonies get what nobody is there to
// type: the file passphrase, and a yes.
func growPack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: grow TENANT PACK [NAME=VALUE...]")
	}
	ts.Setenv(tokenVariable, ts.Getenv("OPERATOR"))
	ts.Check(ts.Exec("pando", "tenant", "create", args[0], "--organization", "Example Meters", "--approvals", "none"))
	ts.Check(ts.Exec("pando", "token", "create", "--tenant", args[0], "--name", "administrator", "--role", "tenant-administrator"))
	ts.Setenv(tokenVariable, strings.TrimSpace(ts.ReadFile("stdout")))

	template := []string{"authority", "template", args[1], "--organization", "Example Meters", "--status-url", ts.Getenv("STATUS"), "--mode", "test", "--json"}
	for _, set := range args[2:] {
		template = append(template, "--set", set)
	}
	ts.Check(ts.Exec("pando", template...))
	var plan hierarchyPlan
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &plan))
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
