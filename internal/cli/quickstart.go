package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/pando-pki/pando/internal/quickstart"
	"github.com/pando-pki/pando/internal/server"
)

// quickstartCommand is "pando quickstart".
type quickstartCommand struct {
	Data  string `default:"pando-quickstart" placeholder:"DIR" help:"Directory of the story: new, empty, or an earlier run's (default: ${default})."`
	Batch int    `default:"1000" placeholder:"N" help:"How many meters the plant makes (default: ${default})."`
	Exit  bool   `help:"Stop when the story is played, instead of serving."`
	serveFlags
}

func (quickstartCommand) Help() string {
	return `Plays the story of a smart meter maker: an offline root made in a ceremony, four issuing authorities, profiles and endpoints, and a plant whose batch of real CSRs comes back as certificates, which it verifies to the root. Then it goes on serving. A second run on the same directory serves what is there, as server/pando.yaml in it says: set publishing, retention and limits there. Addresses are those of the flags, else of that file, else those of the run before.

Everything is real but for two things that a demonstration cannot have: the root's passphrase lies beside it on one machine, and the hierarchy is in mode test.

Examples:

    pando quickstart
    pando --quickstart pando-quickstart cert list`
}

// Run plays the story and serves.
func (q *quickstartCommand) Run(ctx context.Context, c *console) error {
	if q.Batch < quickstart.MinBatch || q.Batch > quickstart.MaxBatch {
		return usagef("--batch %d: the story takes %d to %d meters", q.Batch, quickstart.MinBatch, quickstart.MaxBatch)
	}
	log, err := server.NewLogger(server.Log{Level: "warn", Format: "text"})
	if err != nil {
		return err
	}
	version, err := readVersion()
	if err != nil {
		return err
	}
	server.TuneMemory()
	p := newProgress(c)
	defer p.end()
	var cfg server.Config
	q.apply(&cfg)
	return quickstart.Run(ctx, quickstart.Config{
		Dir: q.Data, Listen: cfg.Listen, Batch: q.Batch, Exit: q.Exit, Version: version.Version, Log: log,
		Step: func(format string, args ...any) {
			p.end()
			c.note(format, args...)
		},
		Working: func(stage string, done, of int64, rate float64) {
			p.show(step{stage: stage, done: done, total: of, rate: rate})
		},
		Ready: func(f *quickstart.File, fresh bool) error { return q.ready(c, f) },
	})
}

// ready tells where everything is.
func (q *quickstartCommand) ready(c *console, f *quickstart.File) error {
	dir, err := filepath.Abs(q.Data)
	if err != nil {
		return err
	}
	return c.result(f, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, `
REST API      %s/openapi.json
status        %s
health        %s/readyz
tenant        %s
root          %s
everything    %s (mode 0600: it has the administrator's token)

Try, in another terminal (pando is what "go build ./cmd/pando" makes):

  pando --quickstart %s batch list
  openssl verify -x509_strict -CAfile %s -untrusted %s %s
  openssl ocsp -issuer %s -CAfile %s -url %s -cert %s

`, f.API, f.HTTP, f.Ops, f.Tenant, f.Root, filepath.Join(dir, quickstart.FileName), dir,
			f.Root, f.Authorities["manufacturing"].Chain, f.Samples.Good,
			f.Authorities["manufacturing"].Chain, f.Root, f.Authorities["manufacturing"].OCSP, f.Samples.Revoked)
		if err == nil && !q.Exit {
			c.note("serving; stop with Ctrl-C")
		}
		return err
	})
}
