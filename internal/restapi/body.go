package restapi

import (
	"errors"
	"io"

	"github.com/pando-pki/pando/internal/pki"
)

// A sentBody is a request's body, which tells what fails in reading it from all else
// that fails: it is whoever sends it, or the network.
type sentBody struct {
	io.ReadCloser
	broken *brokenBody // nil while all is well
}

// A brokenBody is why a body ended early: it broke off, or is not well-formed HTTP.
type brokenBody struct{ cause error }

// Error says what net/http found.
func (b *brokenBody) Error() string { return "the body: " + b.cause.Error() }

// Unwrap returns what net/http found.
func (b *brokenBody) Unwrap() error { return b.cause }

// Read reads a part.
func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	b.broken = &brokenBody{err}
	return n, b.broken
}

// blame says of an error without a kind that comes of a broken body that the request is
// at fault.
func blame(err error) error {
	if _, broken := errors.AsType[*brokenBody](err); broken && pki.KindOf(err) == pki.Internal {
		return pki.Because(pki.Malformed, err, "the body broke off, or is not well-formed HTTP: send it again, whole")
	}
	return err
}
