package tbs

import (
	"crypto/sha256"
	"sync"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// maxShapes bounds what a CSRReader remembers: 32 bytes each.
const maxShapes = 4096

// A CSRReader reads requests as ParseCSR does, with the same outcome, but has
// crypto/x509 read only the first of those that have one shape: that are the same
// but for the point of a key on P-256, plain values of the subject, and the
// signature. That is how the requests of one product differ, and nothing that the
// two parsers could understand differently; our own parser reads each of them. The
// zero CSRReader is ready; its methods are safe for concurrent use.
type CSRReader struct {
	mu    sync.RWMutex
	known map[[sha256.Size]byte]struct{} // shapes that both parsers understand alike
}

// Parse is ParseCSR.
func (r *CSRReader) Parse(request []byte) (*CSR, error) {
	c, err := parseCSR(request)
	if err != nil {
		return nil, err
	}
	shape, ok := c.shape()
	if ok && r.knows(shape) {
		return c, nil
	}
	if err := c.compareWithX509(); err != nil {
		return nil, err
	}
	if ok {
		r.learn(shape)
	}
	return c, nil
}

func (r *CSRReader) knows(shape [sha256.Size]byte) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, known := r.known[shape]
	return known
}

func (r *CSRReader) learn(shape [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxShapes {
		r.known = make(map[[sha256.Size]byte]struct{})
	}
	r.known[shape] = struct{}{}
}

// shape returns the SHA-256 of all that is signed and of the algorithm, with the
// octets in which requests of one shape may differ masked. It is for requests that
// parse accepted; ok is false where the key is none on P-256 or the subject has an
// attribute twice, or an RDN of several: there it would matter what was masked.
func (c *CSR) shape() (sum [sha256.Size]byte, ok bool) {
	const coordinates = 64 // of the point, at the end of the SubjectPublicKeyInfo
	if c.Key.Kind() != pki.P256 {
		return sum, false
	}
	masked := make([]byte, 0, 512)
	masked = append(append(masked, c.TBS...), c.Algorithm...)
	info, _ := der.ReadOnly(c.TBS, asn1.SEQUENCE)
	info.SkipASN1(asn1.INTEGER)
	subjectEnd := len(c.TBS) - len(info) + len(c.SubjectDER)
	keyEnd := subjectEnd + len(c.Key.SPKI())
	mask(masked[keyEnd-coordinates : keyEnd])
	rdns, _ := der.ReadOnly(c.SubjectDER, asn1.SEQUENCE)
	for i, a := range c.Subject {
		if a.Joined || c.Subject[:i].has(a.OID) {
			return sum, false
		}
		rdns.SkipASN1(asn1.SET)
		valueEnd := subjectEnd - len(rdns) // an RDN of one attribute ends with its value
		if a.Type != IA5String && isPlain(a.Value) {
			mask(masked[valueEnd-len(a.Value) : valueEnd])
		}
	}
	return sha256.Sum256(masked), true
}

// mask overwrites what is masked by octets that no accepted value has.
func mask(b []byte) {
	for i := range b {
		b[i] = 0xff
	}
}

// isPlain reports whether a value has only characters that every string type and
// every parser has.
func isPlain(value string) bool {
	for i := range len(value) {
		if !isPrintable(value[i]) {
			return false
		}
	}
	return true
}

func (n Name) has(oid string) bool {
	for _, a := range n {
		if a.OID == oid {
			return true
		}
	}
	return false
}
