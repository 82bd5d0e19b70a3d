package ceremony

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/pki"
)

// What a root signed is public, and stands whole in its journal: it can be had
// again without the passphrase, as after a file was lost or a disk was full.

// Certificate returns the DER of the certificate of the root whose sealed file is
// at sealed, as its journal has it.
func Certificate(sealed string) ([]byte, error) {
	c, err := again(sealed, "")
	if err != nil {
		return nil, err
	}
	if c.made == nil {
		return nil, pki.Errorf(pki.NotFound, "%s has no certificate: the root's making was cut short, and its key was not kept. Make another", journalOf(sealed))
	}
	return c.made, nil
}

// Answer returns what Sign answered to the request, the last time where there are
// several, as the journal has it.
func Answer(sealed string, r *Request) (*Response, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.Kind == KindRoot {
		return nil, pki.Errorf(pki.PolicyRefused, "the answer to this request is of two roots: 'pando ceremony rollover' with the same files writes it once more, and signs nothing twice")
	}
	c, err := again(sealed, r.hash())
	if err != nil {
		return nil, err
	}
	if c.found == nil {
		return nil, pki.Errorf(pki.NotFound, "%s has no answer to this request: it was not signed with this root, or that was cut short", journalOf(sealed))
	}
	return r.answer(c.found), nil
}

// again reads a journal, and seeks what was signed for a request.
func again(sealed, request string) (*chain, error) {
	f, err := os.Open(journalOf(sealed))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, pki.Errorf(pki.NotFound, "%s is missing: it has what the root signed", journalOf(sealed))
	case err != nil:
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	c := &chain{seek: request}
	if err := c.read(f); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return c, nil
}

// hash returns the SHA-256 of a request, hex. It is of the request's meaning: how
// its file is indented does not matter.
func (r *Request) hash() string {
	b, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		panic("a ceremony request cannot be encoded: " + err.Error()) // by no input: it has been decoded
	}
	return sha256Hex(b)
}

// answer returns the response that carries what was signed for the request.
func (r *Request) answer(signed []byte) *Response {
	if r.Kind == KindCRL {
		return &Response{Kind: KindCRL, RootIssuer: r.RootIssuer, CRL: signed}
	}
	return &Response{Kind: KindCertificate, Issuer: r.Issuer, Certificate: signed, ProfileVersion: r.ProfileVersion}
}
