package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/pando-pki/pando/client"
)

// A hinted error comes with advice on what to do next.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error without its hint.
func (h *hinted) Unwrap() error { return h.error }

// hintf adds a hint to an error.
func hintf(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// A usageError is a command line that kong could parse and that is wrong all
// the same.
type usageError struct{ error }

// usagef returns a usageError.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// errSilent ends a command with exitRefused when its output has said why.
var errSilent = errors.New("the output says why")

// fail prints an error with its hint, and returns the exit status.
func (c *console) fail(err error) int {
	if errors.Is(err, errSilent) {
		return exitRefused
	}
	message := strings.TrimSpace(err.Error())
	if errors.Is(err, context.Canceled) {
		message = "interrupted"
	}
	fmt.Fprintf(c.err, "pando: error: %s\n", message)
	if h := hintOf(err); h != "" {
		fmt.Fprintf(c.err, "pando: hint: %s\n", h)
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitRefused
}

// failUsage prints an error of the command line itself, names the help that
// would have told, and returns the exit status.
func (c *console) failUsage(err error) int {
	fmt.Fprintf(c.err, "pando: error: %s\n", err)
	help := "pando --help"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			help = node.FullPath() + " --help"
		}
	}
	fmt.Fprintf(c.err, "pando: hint: run %q\n", help)
	return exitUsage
}

// hintOf returns the advice that belongs to an error, or "".
func hintOf(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	if p, ok := errors.AsType[*client.Problem](err); ok {
		return problemHint(p)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "name the CA of the server's certificate with --tls-ca or PANDO_TLS_CA"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "is the server running, and is this its address?"
	}
	return ""
}

// problemHint says what to do about a refusal by the server.
func problemHint(p *client.Problem) string {
	switch p.Kind {
	case "unauthenticated":
		return "give a token that holds in PANDO_TOKEN or with --token-file"
	case "forbidden":
		return "use a token with a role that includes this; 'pando token create' makes one"
	case "rate-limited", "unavailable":
		if p.RetryAfter > 0 {
			return fmt.Sprintf("try again in %s", p.RetryAfter.Round(time.Second))
		}
		return "try again later"
	case "internal":
		if p.RequestID != "" {
			return fmt.Sprintf("the server's log has the cause, under request %s", p.RequestID)
		}
	}
	return ""
}
