package check

import (
	"bytes"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A crlEntry is one revocation as a CRL says it: 32 bytes, since a CRL may have
// millions.
type crlEntry struct {
	serial pki.Serial
	reason int8
	at     int64 // Unix seconds
}

// A crl is a parsed CRL. It is not read with crypto/x509, which needs some 300 bytes
// for an entry.
type crl struct {
	*tbs.ParsedCRL
	entries []crlEntry // in order of serial number
}

// parseCRL reads a CRL.
func parseCRL(b []byte) (*crl, error) {
	parsed, err := tbs.ParseCRL(b)
	if err != nil {
		return nil, err
	}
	c := &crl{ParsedCRL: parsed}
	for e, err := range parsed.Entries() {
		if err != nil {
			return nil, err
		}
		c.entries = append(c.entries, crlEntry{e.Serial, int8(e.Reason), e.At.Unix()})
	}
	slices.SortFunc(c.entries, func(a, b crlEntry) int { return bytes.Compare(a.serial[:], b.serial[:]) })
	return c, nil
}
