// Package cli is the command line of pando: one file per sub-command, the
// configuration file, and what people read when something is refused.
//
// Commands that manage a deployment go through the REST API with the Go client
// and need no access to the server's data. init, config and check work on the
// data directory; ceremony works on files alone, without any network.
package cli

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/pando-pki/pando/internal/pki"
)

// The exit statuses.
const (
	exitDone    = 0
	exitRefused = 1 // the command was understood, and failed or was refused
	exitUsage   = 2 // the command line was not understood
	exitWaits   = 3 // the command was taken, and others must approve it before it is done
)

// Run parses args, the command line without the program's name, runs the one
// sub-command that it names and returns the exit status: 0, or 1 where the
// command failed or was refused, 2 where the command line is wrong, or 3 where
// others must approve what it asks for. Output is
// written to stdout; errors, hints and progress to stderr.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if args[0] == "help" { // as people try first
		args = append(slices.Clone(args[1:]), "--help")
	}
	// A command line that cannot be read is answered as it asks too.
	c := &console{in: stdin, out: stdout, err: stderr, json: slices.Contains(args, "--json")}
	cmd := new(commands)
	parser, err := newParser(cmd, c)
	if err != nil {
		return c.fail(err)
	}
	parsed, err := parser.Parse(args)
	if errors.Is(err, errHelpShown) {
		return exitDone
	}
	if err != nil {
		return c.failUsage(err)
	}
	c.json = cmd.JSON
	if err := checkGiven(parsed); err != nil {
		return c.fail(err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(c, parser.Model); err != nil {
		return c.fail(cmd.globals.explain(err))
	}
	return exitDone
}

// newParser returns the parser that fills cmd. What it prints goes to c.
func newParser(cmd *commands, c *console) (*kong.Kong, error) {
	return kong.New(cmd,
		kong.Name("pando"),
		kong.Description("A PKI-as-a-Service for IoT: one root of trust, millions of certificates.\n\n"+
			"Run \"pando COMMAND --help\" for a command's own flags and examples. The exit status is 0; 1 where a command failed or was refused; "+
			"2 where the command line is wrong; 3 where others must approve what was asked for before it is done."),
		kong.Writers(c.out, c.err),
		kong.Vars{"kinds": strings.Join(pki.Refusals(), ", ")},
		kong.NoDefaultHelp(),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(readDuration)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "serving", Title: "Running a deployment:"},
			{Key: "offline", Title: "Offline:"},
			{Key: "managing", Title: "Managing a PKI:"},
			{Key: "registry", Title: "Knowing the devices:"},
			{Key: "issuing", Title: "Certificates:"},
			{Key: "status", Title: "Status:"},
			{Key: "other", Title: "Other:"},
			{Key: "server", Title: "Which server to talk to:"},
		}),
		kong.Bind(&cmd.globals),
		kong.BindToProvider(cmd.globals.connect),
	)
}

// readDuration reads a flag that takes a duration, as the configuration file has them.
func readDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := pki.ParseDuration(text)
	if err == nil {
		target.SetInt(int64(d))
	}
	return err
}

// errHelpShown ends the parsing of a command line that asks for help.
var errHelpShown = errors.New("help was asked for and shown")

// A helpFlag prints the help of the command that it follows. Unlike kong's own
// it does not end the process.
type helpFlag bool

// BeforeReset is called by kong before any other flag has an effect.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errHelpShown
}
