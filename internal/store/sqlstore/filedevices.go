package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// The devices that the rows of a file claimed (see batchFile) leave memory as keys do. Of
// an intent that is closed by then they are not moved to key_use: a device that has a
// certificate of the file is one that is claimed. When that certificate goes into an archive
// the device is put into key_use, as long as the file has rows.

// fileDevices is what memory knows of the devices of one file, so that the tables are not
// asked for each row of a large one.
type fileDevices struct {
	// begun says that memory had all of them once: those that it has no more are in
	// gone.
	begun bool
	gone  deviceFilter
	used  bool // rows of it claimed since a generation left memory
}

// mayBeGone reports whether a device that memory does not have may be claimed.
func (f *fileDevices) mayBeGone(hash [keyHashSize]byte) bool {
	return !f.begun || f.gone != nil && f.gone.has(hash)
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
		f.used = true
		return f, nil
	}
	_, err := one(context.Background(), c.tx, scanInt, anyDeviceOf, c.file.owner)
	none := errors.Is(err, sql.ErrNoRows)
	if err != nil && !none {
		return nil, fmt.Errorf("reading whether a file has devices: %w", err)
	}
	f = &fileDevices{begun: none && c.file.batch == c.file.first, used: true} // a retry's others may have some
	c.recent.files[c.file.owner] = f
	return f, nil
}

const anyDeviceOf = `SELECT 1 FROM key_use WHERE owner = $1 UNION ALL SELECT 1 FROM certificate WHERE batch = $1 LIMIT 1`

var selectIssued = newListText(`SELECT device, batch, row_no, intent FROM certificate
	WHERE owner = $1 AND batch IS NOT NULL AND device <> '' AND device IN`)

// lookUpIssued reads which devices, given by their owners, have certificates of the file.
func (c *claiming) lookUpIssued(devices map[int64][]any) error {
	type certificate struct {
		device             string
		batch, row, intent int64
	}
	var found []certificate
	for owner, names := range devices {
		err := c.queryList(selectIssued, owner, names, func(row row) error {
			var f certificate
			err := row.Scan(&f.device, &f.batch, &f.row, &f.intent)
			found = append(found, f)
			return err
		})
		if err != nil {
			return fmt.Errorf("reading the certificates of a file's devices: %w", err)
		}
	}
	// The first of a pair is the one that claimed the device.
	slices.SortFunc(found, func(a, b certificate) int { return cmp.Compare(b.row, a.row) })
	files := map[int64]batchFile{c.file.owner: {c.file.owner, c.file.first, c.file.first}}
	for _, f := range found {
		of, known := files[f.batch]
		if !known {
			var err error
			if of, err = c.fileOf(sql.NullInt64{Int64: f.batch, Valid: true}); err != nil {
				return err
			}
			files[f.batch] = of
		}
		if of.owner == c.file.owner {
			c.keys[of.keyOf(f.device)] = keyClaim{of.row(f.row), f.intent}
		}
	}
	return nil
}

// rowsOfFile says whether a batch has rows that are kept, or a retry of its rows has.
const rowsOfFile = `WITH RECURSIVE s (num, id) AS (SELECT num, id FROM batch WHERE num = $1
		UNION ALL SELECT b.num, b.id FROM s JOIN batch b ON b.retry_of = s.id AND b.retry_of <> '')
	SELECT EXISTS (SELECT 1 FROM s CROSS JOIN batch_rows r ON r.batch = s.num)`

// claimArchived has the devices of certificates that go into an archive stay claimed, by
// key_use, of files of which rows are kept still: one of these may be tried again, or has
// not come to its turn, and what said that the device is claimed was the certificate.
func (t *tx) claimArchived(tenant pki.TenantID, entries []retention.Entry) error {
	type open struct {
		batchFile
		rows bool
	}
	files := make(map[pki.BatchID]open)
	for i := range entries {
		l := &entries[i].Leaf
		if l.Batch == "" || l.Device == "" {
			continue
		}
		f, known := files[l.Batch]
		if !known {
			num, err := one(context.Background(), t, scanInt, `SELECT num FROM batch WHERE tenant = $1 AND id = $2`, tenant, l.Batch)
			if err == nil {
				f.batchFile, err = t.fileOf(sql.NullInt64{Int64: num, Valid: true})
			}
			if err == nil {
				num, err = one(context.Background(), t, scanInt, rowsOfFile, f.owner)
				f.rows = num == 1
			}
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("reading the file of batch %s: %w", l.Batch, err)
			}
			files[l.Batch] = f
		}
		if !f.rows {
			continue
		}
		id := f.keyOf(string(l.Device))
		if _, err := t.exec(`INSERT INTO key_use (owner, hash, device, intent) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING`, id.owner, id.hash[:], f.row(l.Row)); err != nil {
			return fmt.Errorf("keeping the claim of device %q: %w", l.Device, err)
		}
	}
	return nil
}

// issuedDevices returns what tells whether a claim that has gathered is of a device of a
// file, and of an intent that is closed.
func (t *tx) issuedDevices(g *generation) (func(keyID, heldKey) bool, error) {
	nums, err := list(context.Background(), t, scanInt, `SELECT num FROM intent WHERE state = 'open'`)
	if err != nil {
		return nil, fmt.Errorf("reading which intents are open: %w", err)
	}
	open := make(map[int64]bool, len(nums))
	for _, num := range nums {
		open[num] = true
	}
	files := make(map[int64]bool)
	for id := range g.keys {
		if _, known := files[id.owner]; !known {
			owner, err := t.refOf(id.owner)
			if err != nil {
				return nil, err
			}
			files[id.owner] = owner.isBatch()
		}
	}
	return func(id keyID, k heldKey) bool { return files[id.owner] && !open[k.intent] }, nil
}

// maxFilters is how many files have a filter at most.
const maxFilters = 16

// noteGone notes the devices of files that leave memory with the old generation. It
// forgets the files that are not at work any more, and those with the fewest devices where
// there are too many for a filter each.
func (r *recent) noteGone() {
	gone := make(map[int64]int, len(r.files)) // by file, how many of its devices
	for id := range r.old.keys {
		if _, file := r.files[id.owner]; file {
			gone[id.owner]++
		}
	}
	filters := 0
	var fresh []int64 // files that need a filter and have none
	for owner, f := range r.files {
		switch used := f.used; {
		case !used:
			delete(r.files, owner)
		case f.gone != nil:
			filters++
		case gone[owner] > 0:
			fresh = append(fresh, owner)
		}
		f.used = false
	}
	slices.SortFunc(fresh, func(a, b int64) int { return cmp.Compare(gone[b], gone[a]) })
	for i, owner := range fresh {
		if filters+i < maxFilters {
			r.files[owner].gone = make(deviceFilter, filterBits/64)
		} else {
			delete(r.files, owner)
		}
	}
	for id := range r.old.keys {
		if f, file := r.files[id.owner]; file {
			f.gone.add(id.hash)
		}
	}
}
