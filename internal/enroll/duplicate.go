package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// Seen holds the keys and the devices of the rows that a dry run has looked at. Its
// zero value is empty.
type Seen struct {
	keys, devices map[uint64]int64 // first row by 64 bits of the hash
}

// MaxSeen bounds the rows of one batch that a dry run compares with each other;
// beyond it only the store tells duplicates, at issue.
const MaxSeen = 2_000_000

// add notes the item's key and its device; DuplicateKey or Conflict where an
// earlier row has one of them, as the store would say.
func (s *Seen) add(item *issuance.Item) error {
	if s.keys == nil {
		s.keys, s.devices = make(map[uint64]int64), make(map[uint64]int64)
	}
	key := binary.BigEndian.Uint64(item.KeyHash[:8])
	if row, there := s.keys[key]; there && !item.SharedKey {
		return pki.Errorf(pki.DuplicateKey, "row %d has the same key", row)
	}
	sum := sha256.Sum256([]byte(item.Device))
	device := binary.BigEndian.Uint64(sum[:8])
	if row, there := s.devices[device]; there && item.Device != "" {
		return pki.Errorf(pki.Conflict, "row %d names the same device as row %d: a file gives a device one certificate; another goes into a file of its own", item.Row, row)
	}
	if !item.SharedKey && len(s.keys) < MaxSeen {
		s.keys[key] = item.Row
	}
	if item.Device != "" && len(s.devices) < MaxSeen {
		s.devices[device] = item.Row
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
