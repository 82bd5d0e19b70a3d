//go:build system

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBashCompletion asks a real bash what it would offer.
func TestBashCompletion(t *testing.T) {
	var script, errs strings.Builder
	if Run(t.Context(), []string{"completion", "bash"}, nil, &script, &errs) != exitDone {
		t.Fatal(errs.String())
	}
	path := filepath.Join(t.TempDir(), "pando.bash")
	if err := os.WriteFile(path, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	const ask = `source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _pando; echo "${COMPREPLY[*]}"`

	for line, want := range map[string]string{
		"pando tok":                      "token",
		"pando token ":                   "create list revoke whoami",
		"pando --quickstart dir batch s": "submit show",
		"pando batch submit --res":       "--results",
		"pando batch submit --results x": "", // a file: the shell's own
		"pando cert revoke --reason key": "keyCompromise",
		"pando completion f":             "fish",
	} {
		t.Run(line, func(t *testing.T) {
			args := append([]string{"-c", ask, "bash", path}, strings.Split(line, " ")...)
			out, err := exec.CommandContext(t.Context(), "bash", args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			got := strings.TrimSpace(string(out))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
