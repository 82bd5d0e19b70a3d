package pki

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Kind says what went wrong in a way that every protocol can put into its own
// code. The zero Kind is Internal: an error nobody gave a kind shows nothing.
type Kind int

// The kinds. docs/glossary.md says which wire code each becomes.
const (
	Internal Kind = iota // a fault of ours; its text is only logged
	Malformed
	BadProof
	BadKey
	PolicyRefused
	Forbidden
	QuotaExceeded
	Unauthenticated
	NotFound
	AlreadyRevoked
	DuplicateKey
	Conflict
	NotReady
	RateLimited
	Unavailable
	Pending // not refused: others must approve first
)

var kindNames = [...]string{
	Internal: "internal", Malformed: "malformed", BadProof: "bad-proof", BadKey: "bad-key",
	PolicyRefused: "policy-refused", Forbidden: "forbidden", QuotaExceeded: "quota-exceeded", Unauthenticated: "unauthenticated",
	NotFound: "not-found", AlreadyRevoked: "already-revoked", DuplicateKey: "duplicate-key",
	Conflict: "conflict", NotReady: "not-ready", RateLimited: "rate-limited", Unavailable: "unavailable",
	Pending: "pending",
}

// Kinds lists every kind, for tests that each has a code.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindNames))
	for i := range kindNames {
		kinds[i] = Kind(i)
	}
	return kinds
}

// Refusals lists the names of the kinds that something is refused for: all but Pending.
func Refusals() []string {
	var names []string
	for _, k := range Kinds() {
		if k != Pending {
			names = append(names, k.String())
		}
	}
	return names
}

// String returns the kind's name in lower case with hyphens, as in "bad-key".
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return kindNames[Internal]
	}
	return kindNames[k]
}

// ParseKind returns the kind that String names s, and Internal for any other.
func ParseKind(s string) Kind {
	for k, name := range kindNames {
		if name == s {
			return Kind(k)
		}
	}
	return Internal
}

// An Error has a kind, a detail that is safe to show to whoever asked, and a
// cause that is only ever logged.
type Error struct {
	Kind       Kind
	Detail     string
	Cause      error         // may be nil; never shown outside
	Why        Why           // for programs, where the kind says too little; "" elsewhere
	RetryAfter time.Duration // with RateLimited, Unavailable and Pending: when to come again; 0 is unsaid
}

// A Why says which of several things an error of a kind is about, for programs.
type Why string

// Why something is Forbidden that is no question of a permission.
const (
	TenantSuspended    Why = "tenant-suspended"    // by its parent
	LoanEnded          Why = "loan-ended"          // its lender took it back
	PermissionsChanged Why = "permissions-changed" // while the request was answered
	LenderHolds        Why = "lender-holds"        // the certificate is on hold by its lender
)

// Forbid returns a Forbidden *Error that says why.
func Forbid(why Why, format string, args ...any) error {
	return &Error{Kind: Forbidden, Why: why, Detail: fmt.Sprintf(format, args...)}
}

// WhyOf returns why, as the first *Error in err's chain that says it.
func WhyOf(err error) Why {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			break
		}
		if e.Why != "" {
			return e.Why
		}
		err = e.Cause
	}
	return ""
}

// Errorf returns an *Error with a detail made as fmt.Sprintf does. The detail is
// shown to whoever asked: it must not hold internals or secrets.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Because returns an *Error with a detail to show and a cause to log.
func Because(kind Kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Cause: cause}
}

// Error returns detail and cause, for logs. A cause that the detail has is not said
// twice.
func (e *Error) Error() string {
	cause := e.Cause
	for inner, ok := cause.(*Error); ok && strings.Contains(e.Detail, inner.Detail); inner, ok = cause.(*Error) {
		cause = inner.Cause
	}
	if cause == nil || strings.Contains(e.Detail, cause.Error()) {
		return e.Detail
	}
	return e.Detail + ": " + cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the outermost *Error in err's chain, and Internal
// where there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// DetailOf returns what may be shown of err: the detail of the outermost *Error
// in its chain, or a plain sentence where err has no kind.
func DetailOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != Internal {
		return e.Detail
	}
	return "an internal error; the operator's log has the cause"
}
