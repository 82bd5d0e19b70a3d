package ceremony

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// The longest files that are read.
const (
	maxCertificateFile = 1 << 20
	maxFile            = 64 << 20 // a CRL's
)

// ReadRequest reads a request file: one JSON object, in which unknown and
// repeated names and whatever follows are Malformed, of at most 1 MiB for a
// certificate and 64 MiB for a CRL. What it returns has every field that its
// kind needs and none of the other kind's.
func ReadRequest(r io.Reader) (*Request, error) {
	req := new(Request)
	size, err := readJSON(r, "ceremony request", req)
	if err != nil {
		return nil, err
	}
	if err := req.check(); err != nil {
		return nil, err
	}
	if req.Kind != KindCRL && size > maxCertificateFile {
		return nil, malformed("one for a certificate is at most %d MiB", maxCertificateFile>>20)
	}
	return req, nil
}

// WriteRequest writes what ReadRequest reads. It refuses a request that
// ReadRequest would.
func WriteRequest(w io.Writer, r *Request) error {
	if err := r.check(); err != nil {
		return err
	}
	return writeJSON(w, r)
}

// ReadResponse reads a response file as strictly as ReadRequest, of at most
// 64 MiB. It does not check what the response's certificate or CRL says: whoever
// asked checks it against what was asked for.
func ReadResponse(r io.Reader) (*Response, error) {
	resp := new(Response)
	if _, err := readJSON(r, "ceremony response", resp); err != nil {
		return nil, err
	}
	if err := resp.check(); err != nil {
		return nil, err
	}
	return resp, nil
}

// WriteResponse writes what ReadResponse reads. It refuses a response that
// ReadResponse would.
func WriteResponse(w io.Writer, r *Response) error {
	if err := r.check(); err != nil {
		return err
	}
	return writeJSON(w, r)
}

// readJSON reads one JSON object strictly and returns its size.
func readJSON(r io.Reader, what string, into any) (int, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", what, err)
	}
	if len(b) > maxFile {
		return 0, pki.Errorf(pki.Malformed, "%s: it is longer than %d MiB", what, maxFile>>20)
	}
	if err := strictjson.Unmarshal(b, into); err != nil {
		return 0, pki.Errorf(pki.Malformed, "%s: %v", what, err)
	}
	return len(b), nil
}

func writeJSON(w io.Writer, v any) error {
	if err := json.MarshalWrite(w, v, jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
