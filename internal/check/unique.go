package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

// A serialUse is one sighting of a serial number.
type serialUse struct {
	issuer uint32
	serial pki.Serial
	by     byte
	hash   [32]byte // SHA-256 of the certificate; zero where there is none, or none that can be read
}

// By what a serial number is used. Within a serial number, records sort so.
const (
	usedByCertificate byte = iota
	usedByVoid             // an item of an intent that became void
	usedByClient           // a client was told that it got it
)

const serialSize = 4 + len(pki.Serial{}) + 1 + 32

// encode returns the record, which sorts by issuer and serial number.
func (s serialUse) encode() []byte {
	b := make([]byte, 0, serialSize)
	b = binary.BigEndian.AppendUint32(b, s.issuer)
	b = append(b, s.serial[:]...)
	b = append(b, s.by)
	return append(b, s.hash[:]...)
}

// decodeSerialUse reads what encode wrote.
func decodeSerialUse(b []byte) serialUse {
	s := serialUse{issuer: binary.BigEndian.Uint32(b), by: b[4+len(pki.Serial{})]}
	copy(s.serial[:], b[4:])
	copy(s.hash[:], b[4+len(s.serial)+1:])
	return s
}

// checkSerials looks for serial numbers that were used more than once, and for
// what clients have and the store has not.
func (c *checker) checkSerials(ctx context.Context) error {
	var uses []serialUse // of one serial number
	n := 0
	for record, err := range c.serials.sorted() {
		if err != nil {
			return err
		}
		use := decodeSerialUse(record)
		if len(uses) > 0 && (uses[0].issuer != use.issuer || uses[0].serial != use.serial) {
			c.judgeSerial(uses)
			uses = uses[:0]
		}
		uses = append(uses, use)
		if n++; n%page == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(uses) > 0 {
		c.judgeSerial(uses)
	}
	return nil
}

// judgeSerial reports what the uses of one serial number show.
func (c *checker) judgeSerial(uses []serialUse) {
	var count [usedByClient + 1]int
	for _, use := range uses {
		count[use.by]++
	}
	certificates, voids := uses[:count[usedByCertificate]], count[usedByVoid]
	subject := fmt.Sprintf("certificate %s/%s", c.order[uses[0].issuer].ID, uses[0].serial)
	if len(certificates) > 1 || voids > 1 {
		c.report.addf(SerialUnique, subject, "%d certificates and %d voids have its serial number", len(certificates), voids)
	}
	if len(certificates) > 0 && voids > 0 {
		c.report.addf(VoidSerial, subject, "its serial number was given up as void")
	}
	for _, use := range uses[len(certificates)+voids:] {
		same := func(cert serialUse) bool { return cert.hash == use.hash || cert.hash == [32]byte{} }
		switch {
		case len(certificates) == 0:
			c.report.addf(Acknowledged, subject, "a client has it; the store has not")
		case !slices.ContainsFunc(certificates, same): // one without a hash has been reported
			c.report.addf(Acknowledged, subject, "a client has other bytes than the store")
		}
	}
}

// A row is a row of a batch that has a certificate.
type row struct {
	batch uint32
	row   int64
}

const rowSize = 4 + 8

// encode returns the record, which sorts by batch and row.
func (r row) encode() []byte {
	b := make([]byte, 0, rowSize)
	b = binary.BigEndian.AppendUint32(b, r.batch)
	return binary.BigEndian.AppendUint64(b, uint64(r.row))
}

// checkRows looks for rows of batches that have more than one certificate.
func (c *checker) checkRows(ctx context.Context) error {
	var before []byte
	n := 0
	for record, err := range c.rows.sorted() {
		if err != nil {
			return err
		}
		if bytes.Equal(record, before) {
			batch := c.batchNames[binary.BigEndian.Uint32(record)]
			c.report.addf(RowUnique, "batch "+string(batch), "row %d has more than one certificate", int64(binary.BigEndian.Uint64(record[4:])))
		}
		before = append(before[:0], record...)
		if n++; n%page == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
