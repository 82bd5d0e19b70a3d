package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"
	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
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

// errWaits ends a command with exitWaits when its output has said for whom.
var errWaits = errors.New("the output says who must approve")

// fail prints an error with its hint, and returns the exit status.
func (c *console) fail(err error) int {
	if errors.Is(err, errSilent) {
		return exitRefused
	}
	if errors.Is(err, errWaits) {
		return exitWaits
	}
	if w, ok := errors.AsType[*client.Waiting](err); ok {
		return c.waits(w)
	}
	f := failure{strings.TrimSpace(err.Error()), hintOf(err), kindOf(err)}
	if errors.Is(err, context.Canceled) {
		f.Error = "interrupted"
	}
	c.complain(f)
	if f.Kind == usageKind {
		return exitUsage
	}
	return exitRefused
}

// A failure is what is said when a command fails.
type failure struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Kind  string `json:"kind,omitempty"` // one of the API's, or usageKind; "" is unsaid
}

// waits says that what was asked for waits for approval, and for whose.
func (c *console) waits(w *client.Waiting) int {
	hint := fmt.Sprintf("'pando change show %s' shows it; another than you approves it, with the role that it waits for", w.Change.ID)
	if c.json {
		// The change is the result: what fails now is standard output.
		_ = c.result(&w.Change, nil)
		c.complain(failure{w.Error(), hint, pki.Pending.String()})
		return exitWaits
	}
	c.note("not done yet: %s", w.Error())
	c.note("hint: %s", hint)
	return exitWaits
}

// usageKind is the kind of a command line that is wrong.
const usageKind = "usage"

// complain prints a failure: with --json as one line of JSON.
func (c *console) complain(f failure) {
	if c.json {
		// What fails now is standard error, and there is no other place to say so.
		_ = json.MarshalWrite(c.err, f)
		fmt.Fprintln(c.err)
		return
	}
	fmt.Fprintf(c.err, "pando: error: %s\n", f.Error)
	if f.Hint != "" {
		fmt.Fprintf(c.err, "pando: hint: %s\n", f.Hint)
	}
}

// kindOf returns the kind of an error for programs, or "" where it has none.
func kindOf(err error) string {
	if _, ok := errors.AsType[*usageError](err); ok {
		return usageKind
	}
	if p, ok := errors.AsType[*client.Problem](err); ok {
		return p.Kind
	}
	if e, ok := errors.AsType[*pki.Error](err); ok {
		return e.Kind.String()
	}
	return ""
}

// failUsage prints an error of the command line itself, names the help that
// would have told, and returns the exit status.
func (c *console) failUsage(err error) int {
	help := "pando --help"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			help = node.FullPath() + " --help"
		}
	}
	c.complain(failure{withoutEmpty(err.Error()), fmt.Sprintf("run %q", help), usageKind})
	return exitUsage
}

// withoutEmpty leaves the empty string out of the values that kong says a flag must be
// one of: it stands for the flag that is not given.
func withoutEmpty(text string) string {
	flag, rest, ok := strings.Cut(text, " must be one of ")
	values, got, ends := strings.Cut(rest, " but got ")
	if !ok || !ends {
		return text
	}
	all := slices.DeleteFunc(strings.Split(values, ","), func(v string) bool { return v == `""` })
	return flag + " must be one of " + strings.Join(all, ",") + " but got " + got
}

// hintOf returns the advice that belongs to an error, or "".
func hintOf(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	if p, ok := errors.AsType[*client.Problem](err); ok {
		return problemHint(p)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "this port speaks plain HTTP: name in --server the https listener of the API, whose port is 8443 unless the configuration says another"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "is the server running, and is this its address?"
	}
	return ""
}

var missing = regexp.MustCompile(`^no (?:own )?(archive|authority|batch|change|device|endpoint|grant|lot|profile|revocation job|role|secret|site|product line|tenant|token|trusted authority) "`)

// noIssuer begins a detail that says that there is no such issuer.
var noIssuer = regexp.MustCompile(`^(?:no|the authority \S+ has no) issuer "`)

// issuerHint says where an issuer's id is shown, which is neither the name nor the id
// of its authority.
const issuerHint = "an issuer's id is shown by 'pando authority show NAME', and the active one's by 'pando authority list'"

// listHint names the command that lists what a detail says there is none of, or "".
func listHint(detail string) string {
	if noIssuer.MatchString(detail) {
		return issuerHint
	}
	parts := missing.FindStringSubmatch(detail)
	if parts == nil {
		return ""
	}
	command := strings.ReplaceAll(parts[1], " ", "-") + " list"
	switch parts[1] {
	case "trusted authority":
		command = "trust list"
	case "revocation job":
		command = "revocation list"
	case "change": // else it lists those that wait
		command = "change list --state all"
	}
	return fmt.Sprintf("'pando %s' lists what there is", command)
}

// problemHint says what to do about a refusal by the server.
func problemHint(p *client.Problem) string {
	if strings.HasSuffix(p.Detail, access.SeesNoTenant) {
		return "use a token of the tenant: 'pando token create --tenant TENANT --role tenant-administrator' makes one for its administrator, who makes the others"
	}
	switch p.Kind {
	case "unauthenticated":
		return "give a token that holds in PANDO_TOKEN or with --token-file, and in --server the listener that takes tokens"
	case "not-found":
		return listHint(p.Detail)
	case "malformed":
		if strings.HasPrefix(p.Detail, `serial "`) {
			return "'pando cert list' shows serial numbers, and the issuers' ids before them"
		}
	case "forbidden":
		if p.Why != "" { // no token of theirs would do; the detail says who may
			return ""
		}
		if access.PlatformOnly(access.Permission(p.Permission)) {
			return "platform operators alone have this, and nobody can be granted it in a tenant: use the token that 'pando init' printed, or another that was made with it"
		}
		return "use a token that has this there; 'pando access explain' says of one what it lacks, 'pando grant add' gives it"
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
