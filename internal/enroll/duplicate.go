package enroll

import (
	"context"
	"encoding/binary"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// Seen holds the keys of the rows that a dry run has looked at. Its zero value
// is empty.
type Seen struct {
	rows map[uint64]int64 // first row by 64 bits of the key's hash
}

// MaxSeen bounds the rows of one batch whose keys a dry run compares with each
// other; beyond it only the store tells duplicates, at issue.
const MaxSeen = 2_000_000

// add notes the item's key; DuplicateKey where an earlier row has it.
func (s *Seen) add(item *issuance.Item) error {
	if item.SharedKey {
		return nil
	}
	if s.rows == nil {
		s.rows = make(map[uint64]int64)
	}
	key := binary.BigEndian.Uint64(item.KeyHash[:8])
	if row, there := s.rows[key]; there {
		return pki.Errorf(pki.DuplicateKey, "row %d has the same key", row)
	}
	if len(s.rows) < MaxSeen {
		s.rows[key] = item.Row
	}
	return nil
}

// keyFree reports as DuplicateKey what issuance would refuse of the item's key.
func (s *Service) keyFree(ctx context.Context, item *issuance.Item) error {
	if item.SharedKey {
		return nil
	}
	device, used, err := s.cfg.Store.KeyUse(ctx, item.Owner, item.KeyHash)
	switch {
	case err != nil:
		return err
	case used && device != item.Device:
		return pki.Errorf(pki.DuplicateKey, "the key belongs to another device")
	case used && !item.RenewSameKey:
		return pki.Errorf(pki.DuplicateKey, "the device has a certificate for this key already, and the profile does not renew with the same key")
	}
	return nil
}
