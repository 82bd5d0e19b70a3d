package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// The first byte of packed DER says how the rest is to be read.
const (
	packedRaw   = 0 // check, DER
	packedDelta = 1 // check, uvarint number of the reference, delta
)

// checkSize is how many bytes of the DER's SHA-256 are kept with it: enough that
// neither a fault nor an attacker without the hash's preimage gets other bytes
// past it.
const checkSize = 16

// errDamaged says that stored bytes are not those that were stored.
var errDamaged = errors.New("the stored bytes do not match their hash")

// appendPacked appends der, whose SHA-256 is sum, as it is stored: as a delta against r,
// or raw where r is nil or the delta saves nothing.
func appendPacked(dst []byte, r *reference, der []byte, sum [32]byte) []byte {
	start := len(dst)
	if r != nil && len(der) <= maxDelta {
		dst = append(dst, packedDelta)
		dst = append(dst, sum[:checkSize]...)
		dst = binary.AppendUvarint(dst, uint64(r.num))
		dst = r.appendDelta(dst, der)
		if len(dst)-start < 1+checkSize+len(der) {
			return dst
		}
	}
	dst = append(dst[:start], packedRaw)
	dst = append(dst, sum[:checkSize]...)
	return append(dst, der...)
}

// unpack is the reverse of appendPacked. It returns errDamaged rather than other bytes
// than were packed.
func unpack(packed []byte, referenceOf func(num int64) (*reference, error)) ([]byte, error) {
	if len(packed) < 1+checkSize {
		return nil, errDamaged
	}
	check, rest := packed[1:1+checkSize], packed[1+checkSize:]
	var der []byte
	switch packed[0] {
	case packedRaw:
		der = rest
	case packedDelta:
		num, n := binary.Uvarint(rest)
		if n <= 0 {
			return nil, errDamaged
		}
		r, err := referenceOf(int64(num))
		if err != nil {
			return nil, err
		}
		if der, err = r.apply(rest[n:]); err != nil {
			return nil, errDamaged
		}
	default:
		return nil, errDamaged
	}
	if sum := sha256.Sum256(der); string(sum[:checkSize]) != string(check) {
		return nil, errDamaged
	}
	return der, nil
}

// maxReferences bounds the cache: at about 3 kB each, 12 MB.
const maxReferences = 1 << 12

// references caches committed rows of table der_reference. A row never changes.
// The zero value is empty.
type references struct {
	mu        sync.RWMutex
	byNum     map[int64]*reference    // guarded by mu
	byProfile map[[2]int64]*reference // by issuer and profile; guarded by mu
}

func (c *references) publish(rows []*reference) {
	if len(rows) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byNum == nil || len(c.byNum)+len(rows) > maxReferences {
		c.byNum, c.byProfile = map[int64]*reference{}, map[[2]int64]*reference{}
	}
	for _, r := range rows {
		c.byNum[r.num] = r
		c.byProfile[[2]int64{r.issuer, r.profile}] = r
	}
}

func scanReference(row row) (*reference, error) {
	var num, issuer, profile int64
	var der []byte
	if err := row.Scan(&num, &issuer, &profile, &der); err != nil {
		return nil, err
	}
	return newReference(num, issuer, profile, der), nil
}

// referenceByNum returns the reference that packed DER names; errDamaged where
// there is none of that number.
func (s *Store) referenceByNum(ctx context.Context, from source, num int64) (*reference, error) {
	s.ders.mu.RLock()
	r := s.ders.byNum[num]
	s.ders.mu.RUnlock()
	if r != nil {
		return r, nil
	}
	r, err := one(ctx, from, scanReference, `SELECT num, issuer, profile, der FROM der_reference WHERE num = $1`, num)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errDamaged
	case err != nil:
		return nil, fmt.Errorf("reading DER reference %d: %w", num, err)
	}
	if from == s.read { // what a transaction sees may yet be rolled back
		s.ders.publish([]*reference{r})
	}
	return r, nil
}

// referenceFor returns the reference for certificates of an issuer and a profile,
// nil where there is none yet.
func (t *tx) referenceFor(issuer, profile int64) (*reference, error) {
	for _, r := range t.ders {
		if r.issuer == issuer && r.profile == profile {
			return r, nil
		}
	}
	t.s.ders.mu.RLock()
	r := t.s.ders.byProfile[[2]int64{issuer, profile}]
	t.s.ders.mu.RUnlock()
	if r != nil {
		return r, nil
	}
	r, err := one(context.Background(), t, scanReference,
		`SELECT num, issuer, profile, der FROM der_reference WHERE issuer = $1 AND profile = $2`, issuer, profile)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading a DER reference: %w", err)
	}
	t.ders = append(t.ders, r)
	return r, nil
}

// packCertificate appends a certificate, whose SHA-256 is sum, as it is stored, and
// makes it the reference of its issuer and profile where there is none yet.
func (t *tx) packCertificate(dst []byte, issuer, profile int64, der []byte, sum [32]byte) ([]byte, error) {
	r, err := t.referenceFor(issuer, profile)
	if err != nil {
		return nil, err
	}
	if r == nil && len(der) <= maxDelta {
		num, err := one(context.Background(), t, scanInt,
			`INSERT INTO der_reference (issuer, profile, der) VALUES ($1, $2, $3) RETURNING num`, issuer, profile, der)
		if err != nil {
			return nil, fmt.Errorf("storing a DER reference: %w", err)
		}
		r = newReference(num, issuer, profile, append([]byte(nil), der...))
		t.ders = append(t.ders, r)
	}
	return appendPacked(dst, r, der, sum), nil
}
