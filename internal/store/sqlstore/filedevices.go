package sqlstore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
)

// fileDevices is what memory knows of the devices that the rows of one file claimed (see
// batchFile), so that key_use is not asked for each row of a large one.
type fileDevices struct {
	// begun says that memory had all of them once: those that it has no more are in
	// moved.
	begun bool
	moved deviceFilter
}

// mayBeMoved reports whether a device that memory does not have may be in key_use.
func (f *fileDevices) mayBeMoved(hash [keyHashSize]byte) bool {
	return !f.begun || f.moved != nil && f.moved.has(hash)
}

// A deviceFilter is a Bloom filter of hashes, 128 KiB: of 100,000 it takes one in a
// hundred that it does not have for one that it has, of a million nearly all. It is nil
// until there is one.
type deviceFilter []uint64

const filterBits = 1 << 20

func (f deviceFilter) add(hash [keyHashSize]byte) {
	for at := 0; at < keyHashSize; at += 4 {
		bit := binary.NativeEndian.Uint32(hash[at:]) % filterBits
		f[bit/64] |= 1 << (bit % 64)
	}
}

func (f deviceFilter) has(hash [keyHashSize]byte) bool {
	for at := 0; at < keyHashSize; at += 4 {
		bit := binary.NativeEndian.Uint32(hash[at:]) % filterBits
		if f[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}

// devicesOf returns what memory knows of the file of the rows that claim.
func (c *claiming) devicesOf() (*fileDevices, error) {
	f, known := c.recent.files[c.file.owner]
	if known {
		return f, nil
	}
	_, err := one(context.Background(), c.tx, scanInt, anyKeyOf, c.file.owner)
	f = &fileDevices{begun: errors.Is(err, sql.ErrNoRows)}
	if err != nil && !f.begun {
		return nil, fmt.Errorf("reading uses of keys: %w", err)
	}
	c.recent.files[c.file.owner] = f
	return f, nil
}

const anyKeyOf = `SELECT 1 FROM key_use WHERE owner = $1 LIMIT 1`

// maxFilters is how many files have a filter at most: each has at least its part of what
// a generation claimed.
const maxFilters = 16

// noteMoved notes the devices of files that leave memory with the old generation, and
// forgets the files that had none or few of them.
func (r *recent) noteMoved() {
	of := make(map[int64]int, len(r.files))
	for id := range r.old.keys {
		if _, file := r.files[id.owner]; file {
			of[id.owner]++
		}
	}
	for owner, f := range r.files {
		switch n := of[owner]; {
		case n == 0 || n < len(r.old.keys)/maxFilters:
			delete(r.files, owner)
		case f.moved == nil:
			f.moved = make(deviceFilter, filterBits/64)
		}
	}
	for id := range r.old.keys {
		if f, file := r.files[id.owner]; file {
			f.moved.add(id.hash)
		}
	}
}
