package check

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/pki"
)

// maxAcknowledgement is how long a line of the list may be, in bytes.
const maxAcknowledgement = 1024

// An acknowledgement is what a client was told it got.
type acknowledgement struct {
	issuer pki.IssuerID
	serial pki.Serial
	hash   [32]byte // SHA-256 of the certificate
}

// parseAcknowledgement reads one line.
func parseAcknowledgement(line []byte) (a acknowledgement, err error) {
	var wire struct {
		Issuer string `json:"issuer"`
		Serial string `json:"serial"`
		SHA256 string `json:"sha256"`
	}
	if err := json.Unmarshal(line, &wire, json.RejectUnknownMembers(true)); err != nil {
		return a, pki.Because(pki.Malformed, err, `it is not {"issuer": "", "serial": "", "sha256": ""}`)
	}
	a.issuer = pki.IssuerID(wire.Issuer)
	if a.serial, err = pki.ParseSerial(wire.Serial); err != nil {
		return a, err
	}
	hash, err := hex.DecodeString(wire.SHA256)
	if err != nil || len(hash) != len(a.hash) {
		return a, pki.Errorf(pki.Malformed, "a SHA-256 has 64 hexadecimal digits")
	}
	a.hash = [32]byte(hash)
	return a, nil
}

// readAcknowledged notes everything that clients were told they got. What follows
// the last newline counts only if it can be read: a client that was killed may
// have torn its last line.
func (c *checker) readAcknowledged(ctx context.Context, list io.Reader) error {
	lines := bufio.NewReaderSize(list, maxAcknowledgement)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		last := err == io.EOF
		switch {
		case last && len(line) == 0:
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return pki.Errorf(pki.Malformed, "line %d of what clients acknowledged is longer than %d bytes", n, maxAcknowledgement)
		case err != nil && !last:
			return fmt.Errorf("reading what clients acknowledged: %w", err)
		}
		a, err := parseAcknowledgement(line)
		switch {
		case err != nil && last:
			return nil
		case err != nil:
			return pki.Errorf(pki.Malformed, "line %d of what clients acknowledged: %s", n, pki.DetailOf(err))
		}
		if err := c.noteAcknowledged(a); err != nil {
			return err
		}
		if n%page == 0 {
			c.tell("acknowledged", c.report.Acknowledged)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
}

// noteAcknowledged counts an acknowledgement and notes it for checkSerials.
func (c *checker) noteAcknowledged(a acknowledgement) error {
	c.report.Acknowledged++
	known := c.issuers[a.issuer]
	if known == nil {
		c.report.addf(Acknowledged, fmt.Sprintf("certificate %s/%s", a.issuer, a.serial), "a client has it; its issuer is not in the store")
		return nil
	}
	return c.serials.add(serialUse{known.number, a.serial, usedByClient, a.hash}.encode())
}
