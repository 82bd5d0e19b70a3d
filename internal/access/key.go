package access

import (
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
)

// KeyTaken returns the Conflict of an idempotency key that belongs to another act of the
// tenant. What that is, a kind of thing and more about this one, is told to those who may
// read it: seen is what a check of that came to. Of another error than a refusal it
// returns that.
func KeyTaken(seen error, kind, format string, args ...any) error {
	switch {
	case seen == nil:
		return pki.Errorf(pki.Conflict, "the idempotency key belongs to %s %s", kind, fmt.Sprintf(format, args...))
	case pki.KindOf(seen) != pki.Forbidden:
		return seen
	}
	return pki.Because(pki.Conflict, seen, "the idempotency key is in use for another %s, which you may not read; take another key", kind)
}
