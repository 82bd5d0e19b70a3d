package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strconv"

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

// hashes returns 64 bits each of the item's key and of its device.
func hashes(item *issuance.Item) (key, device uint64) {
	sum := sha256.Sum256([]byte(item.Device))
	return binary.BigEndian.Uint64(item.KeyHash[:8]), binary.BigEndian.Uint64(sum[:8])
}

// check is DuplicateKey or Conflict where an earlier row has the item's key or its
// device, as the store would say.
func (s *Seen) check(item *issuance.Item) error {
	key, device := hashes(item)
	if row, there := s.keys[key]; there && !item.SharedKey {
		return pki.Errorf(pki.DuplicateKey, "row %d has the same key", row)
	}
	if row, there := s.devices[device]; there && item.Device != "" {
		return issuance.SameDevice(item, strconv.FormatInt(row, 10))
	}
	return nil
}

// settle adds an item's refusal to refusals, or notes its key and its device: a row that
// is refused takes nothing from those after it.
func (s *Seen) settle(item *issuance.Item, refusals []issuance.Refusal) []issuance.Refusal {
	if item.Refused != nil {
		return append(refusals, issuance.Refusal{Row: item.Row, Device: item.Device, Placement: item.Placement,
			Kind: pki.KindOf(item.Refused), Reason: pki.DetailOf(item.Refused)})
	}
	if s.keys == nil {
		s.keys, s.devices = make(map[uint64]int64), make(map[uint64]int64)
	}
	key, device := hashes(item)
	if !item.SharedKey && len(s.keys) < MaxSeen {
		s.keys[key] = item.Row
	}
	if _, first := s.devices[device]; !first && item.Device != "" && len(s.devices) < MaxSeen {
		s.devices[device] = item.Row
	}
	return refusals
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
