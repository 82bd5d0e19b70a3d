package batch

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"io"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// pemReader reads concatenated PEM blocks. A block of which one boundary is lost
// or damaged is a row with a Problem: a request that somebody handed in never
// vanishes among the text between the blocks.
type pemReader struct {
	lines *lineReader
	block []byte
	rest  []byte // of the line that was read last, another line: the file lacks a line end
}

// byteOrderMark begins a file that some editors wrote, and each part of one that
// was put together of several.
var byteOrderMark = []byte("\xef\xbb\xbf")

// line returns the next line, without white space around it; see lineReader.next.
func (p *pemReader) line() (line []byte, whole bool, err error) {
	if line, whole = p.rest, true; line == nil {
		if line, whole, err = p.lines.next(); err != nil {
			return nil, false, err
		}
		line = bytes.TrimSpace(bytes.TrimPrefix(line, byteOrderMark))
	}
	p.rest = nil
	if at := missingLineEnd(line); whole && at > 0 {
		line, p.rest = line[:at], line[at:]
	}
	return line, whole, nil
}

// missingLineEnd returns where a boundary begins in the middle of a line: behind
// the last of the base64, or behind the boundary of the block before. It is 0
// where the line is one.
func missingLineEnd(line []byte) int {
	if bytes.HasPrefix(line, ends) {
		return max(0, bytes.Index(line, begins))
	}
	at := bytes.Index(line, ends)
	if at > 0 && bytes.IndexFunc(line[:at], notBase64) < 0 {
		return at
	}
	return 0
}

func notBase64(r rune) bool {
	return !('A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '+' || r == '/' || r == '=')
}

func (p *pemReader) next() (enroll.Row, error) {
	for {
		line, _, err := p.line()
		if err != nil {
			return enroll.Row{}, err
		}
		if label, ok := boundary(line, begins); ok {
			return p.read(label)
		}
		if _, ok := boundary(line, ends); ok {
			return problem("the PEM block that ends in line %d has no beginning", p.lines.no), nil
		}
	}
}

// read reads the block whose first line was read; label is its type.
func (p *pemReader) read(label []byte) (enroll.Row, error) {
	start := p.lines.no
	p.block = append(append(append(p.block[:0], begins...), label...), "-----\n"...)
	fits := true
	for {
		line, whole, err := p.line()
		switch {
		case err == io.EOF:
			return problem("the PEM block that begins in line %d has no end", start), nil
		case err != nil:
			return enroll.Row{}, err
		}
		if _, begun := boundary(line, begins); begun { // the end of this one was lost, its row is not
			p.rest = line
			return problem("the PEM block that begins in line %d has no end: another begins in line %d", start, p.lines.no), nil
		}
		if fits = fits && whole && len(p.block)+len(line) < maxRow; fits {
			p.block = append(append(p.block, line...), '\n')
		}
		if _, ok := boundary(line, ends); ok {
			break
		}
	}
	if !fits {
		return problem("the PEM block that begins in line %d is larger than a request may be", start), nil
	}
	csr, err := decodePEM(p.block)
	if err != nil {
		return problem("the PEM block that begins in line %d: %s", start, pki.DetailOf(err)), nil
	}
	return enroll.Row{Subject: enroll.Subject{CSR: csr}}, nil
}

// How a boundary begins.
var (
	begins = []byte("-----BEGIN ")
	ends   = []byte("-----END ")
)

// boundary returns the type of a block that a line begins or ends.
func boundary(line, word []byte) (label []byte, ok bool) {
	rest, ok := bytes.CutPrefix(line[:min(len(line), 100)], word)
	if !ok {
		return nil, false
	}
	return bytes.CutSuffix(rest, []byte("-----"))
}

// The lines around the base64 of a request as most write it.
var (
	requestBegins = []byte("-----BEGIN CERTIFICATE REQUEST-----\n")
	requestEnds   = []byte("\n-----END CERTIFICATE REQUEST-----\n")
)

// decodePEM returns the request in a PEM block that is alone in b.
func decodePEM(b []byte) ([]byte, error) {
	// pem.Decode searches the block for headers and for other boundaries, and copies it.
	// Where all between these lines is base64 there are none.
	if text, begun := bytes.CutPrefix(b, requestBegins); begun {
		if text, ended := bytes.CutSuffix(text, requestEnds); ended {
			if csr, err := base64.StdEncoding.AppendDecode(nil, text); err == nil && len(csr) > 0 {
				return csr, nil
			}
		}
	}
	block, rest := pem.Decode(b)
	switch {
	case block == nil || len(bytes.TrimSpace(rest)) > 0:
		return nil, pki.Errorf(pki.Malformed, "it is not one well-formed PEM block")
	case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST":
		return nil, pki.Errorf(pki.Malformed, "it is a %.40q, not a CERTIFICATE REQUEST", block.Type)
	case len(block.Bytes) == 0:
		return nil, pki.Errorf(pki.Malformed, "it is empty")
	}
	return block.Bytes, nil
}
