package visits

import "errors"

// noted marks an error that a visit tells of.
type noted struct{ error }

func (n noted) Unwrap() error { return n.error }

// Noted returns err with the mark that a visit tells of it, so that nobody who passes it
// on notes it a second time.
func Noted(err error) error {
	if err == nil || IsNoted(err) {
		return err
	}
	return noted{err}
}

// IsNoted reports whether a visit tells of err, or of what caused it.
func IsNoted(err error) bool {
	_, is := errors.AsType[noted](err)
	return is
}
