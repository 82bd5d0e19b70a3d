package cli

import (
	"context"
	"os"
	"os/signal"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary serve as "pando" too, for the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pando": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			status := Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
			stop()
			os.Exit(status)
		},
	})
}

// TestScripts runs what a person would type: for each sub-command a script with
// what it does and what it refuses.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script") }

func runScripts(t *testing.T, dir string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":    awaitFile,
			"edit":     editFile,
			"grow":     growPack,
			"json":     checkJSON,
			"keepport": keepPort,
			"pack":     packRequests,
			"pausejob": pauseJob,
			"server":   startServer,
			"unpack":   unpackZip,
			"setenv":   setFromOutput,
			"verify":   verifyChain,
		},
	})
}
