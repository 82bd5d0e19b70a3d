package sqlstore

import (
	"encoding/binary"

	"github.com/pando-pki/pando/internal/pki"
)

// keyHashSize is how much of a key's hash is kept: a second key with the same 16
// bytes costs 2^64 keys to find, and gains nothing but a refusal.
const keyHashSize = 16

// A claimEntry is what one item claims: its key, its idempotency key or both.
type claimEntry struct {
	owner int64

	hasKey bool
	hash   [keyHashSize]byte
	device string
	kept   bool // another intent relies on the key's claim: it stays, whatever becomes of this one

	order   string // the idempotency key; "" is none
	request [32]byte
	issuer  int64
	serial  pki.Serial
}

// The flags of an entry in table claim.
const (
	claimsKey = 1 << iota
	claimKept
	claimsOrder
)

// encodeClaims returns entries as table claim has them.
func encodeClaims(entries []claimEntry) []byte {
	b := make([]byte, 0, 64*len(entries))
	for i := range entries {
		e := &entries[i]
		var flags uint64
		if e.hasKey {
			flags |= claimsKey
		}
		if e.kept {
			flags |= claimKept
		}
		if e.order != "" {
			flags |= claimsOrder
		}
		b = binary.AppendUvarint(b, flags)
		b = binary.AppendUvarint(b, uint64(e.owner))
		if e.hasKey {
			b = append(b, e.hash[:]...)
			b = appendText(b, e.device)
		}
		if e.order != "" {
			b = appendText(b, e.order)
			b = append(b, e.request[:]...)
			b = binary.AppendUvarint(b, uint64(e.issuer))
			b = append(b, e.serial[:]...)
		}
	}
	return b
}

// decodeClaims is the reverse of encodeClaims.
func decodeClaims(packed []byte) ([]claimEntry, error) {
	p := payloadReader{rest: packed}
	var entries []claimEntry
	for len(p.rest) > 0 && p.err == nil {
		var e claimEntry
		flags := p.uvarint()
		e.owner = int64(p.uvarint())
		if e.hasKey = flags&claimsKey != 0; e.hasKey {
			copy(e.hash[:], p.bytes(keyHashSize))
			e.device = string(p.text())
			e.kept = flags&claimKept != 0
		}
		if flags&claimsOrder != 0 {
			e.order = string(p.text())
			copy(e.request[:], p.bytes(len(e.request)))
			e.issuer = int64(p.uvarint())
			copy(e.serial[:], p.bytes(len(e.serial)))
		}
		entries = append(entries, e)
	}
	return entries, p.err
}
