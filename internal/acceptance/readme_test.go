//go:build system

package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readmePrelude is what README's blocks need around them when nobody sits in
// front: the background process, and a wait for it.
const readmePrelude = `set -euo pipefail
BG=
stop_background() { [ -z "$BG" ] || { kill -INT -- "-$BG"; wait "$BG" || true; BG=; }; }
trap stop_background EXIT
await() {
  for _ in $(seq 600); do
    if curl -sf http://127.0.0.1:9090/readyz >/dev/null && { [ ! -d pando-quickstart ] || [ -f pando-quickstart/quickstart.json ]; }; then
      return
    fi
    sleep .2
  done
  echo "the server did not become ready" >&2
  exit 1
}
`

// TestReadme runs every command of README.md, word for word, in a copy of the
// tree: only the ports are free ones, and what it says to do by hand is left out.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	copyTree(t, tree)
	script := readmePrelude + readmeScript(t, string(text))
	flags := listenFlags(t) // --https A --devices B --http C --ops D
	for i, port := range []string{"8443", "8444", "8080", "9090"} {
		script = strings.ReplaceAll(script, "127.0.0.1:"+port, flags[2*i+1])
	}
	for _, command := range []string{"pando quickstart", "pando serve --data data"} {
		script = strings.ReplaceAll(script, command, command+" "+strings.Join(flags, " "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = tree
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // its trap stops the server
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"meter.pem: OK", `"repeated": true`, " refused: one key, one device", "meter.pem: good", "meter.pem: revoked",
		"refused: it is revoked", "\n5000\n", "everything holds",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("README's commands do not print %q", want)
		}
	}
	if !regexp.MustCompile(`(?m)^issued and verified\s+500$`).MatchString(out.String()) {
		t.Error("README's plant does not verify 500 certificates")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// readmeScript returns README's shell blocks as one script.
func readmeScript(t *testing.T, text string) string {
	t.Helper()
	var script strings.Builder
	blocks := regexp.MustCompile("(?ms)^```sh(.*?)\n(.*?)^```$").FindAllStringSubmatch(text, -1)
	for i, b := range blocks {
		switch how, body := strings.TrimSpace(b[1]), b[2]; how {
		case "":
			script.WriteString(body)
		case "background":
			fmt.Fprintf(&script, "stop_background; set -m; ( %s ) >background-%d.log 2>&1 & BG=$!; set +m; await\n", strings.TrimSpace(body), i)
		case "stopped":
			script.WriteString("stop_background\n" + body)
		case "by-hand":
		default:
			t.Fatalf("README has a block of kind %q", how)
		}
	}
	if len(blocks) < 10 {
		t.Fatalf("README has %d shell blocks", len(blocks))
	}
	return script.String()
}

// copyTree copies what git keeps of the project to dir.
func copyTree(t *testing.T, dir string) {
	t.Helper()
	files := expect(t, "../..", nil, "git", "ls-files")
	for name := range strings.Lines(files) {
		name = strings.TrimSpace(name)
		content, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
