package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// A batchFile is the uploaded file that a batch's rows are of: its own, or that of
// the batch that it retries. A device gets one certificate of one file, however
// many rows name it: the first that is not refused claims it as a key is claimed,
// with the batch of the file as the owner and a hash of the device as the key.
// References are of one table, so that no batch has the number of a tenant.
type batchFile struct {
	owner int64       // reference of the batch that the file was uploaded to; 0 is no batch
	first pki.BatchID // the same batch
	batch pki.BatchID // whose rows are being issued
}

// fileOf returns the file of a batch, by its number.
func (t *tx) fileOf(num sql.NullInt64) (batchFile, error) {
	var f batchFile
	for next := num.Int64; num.Valid; {
		var id, of pki.BatchID
		_, err := one(context.Background(), t, func(row row) (bool, error) {
			return true, row.Scan(&id, &of, &next)
		}, `SELECT b.id, b.retry_of, coalesce(p.num, 0) FROM batch b
			LEFT JOIN batch p ON p.tenant = b.tenant AND p.id = b.retry_of AND b.retry_of <> '' WHERE b.num = $1`, next)
		if err != nil {
			return f, fmt.Errorf("reading whose rows a batch has: %w", err)
		}
		if f.batch == "" {
			f.batch, f.owner = id, num.Int64
		}
		f.first = id
		if of == "" {
			break
		}
		if next == 0 {
			return f, errors.New("the batch that a batch retries is not there")
		}
		f.owner = next
	}
	return f, nil
}

// device returns what the item claims of the file; nothing where it names no device.
func (f batchFile) device(it *issuance.Item) (keyID, bool) {
	if f.owner == 0 || it.Device == "" {
		return keyID{}, false
	}
	return f.keyOf(string(it.Device)), true
}

// keyOf returns the claim of a device of the file.
func (f batchFile) keyOf(device string) keyID {
	sum := sha256.Sum256([]byte(device))
	return keyID{f.owner, [keyHashSize]byte(sum[:])}
}

const ofBatch = " of batch "

// row says which row of its batch has a device, as the claim keeps it.
func (f batchFile) row(number int64) string {
	no := strconv.FormatInt(number, 10)
	if f.batch != f.first {
		no += ofBatch + string(f.batch)
	}
	return no
}

// refuse returns why an item gets nothing whose device an earlier row has.
func (f batchFile) refuse(first keyClaim, it *issuance.Item) error {
	row := first.device
	if f.batch != f.first {
		if !strings.Contains(row, ofBatch) {
			row += ofBatch + string(f.first)
		}
		row = strings.TrimSuffix(row, ofBatch+string(f.batch))
	}
	return issuance.SameDevice(it, row)
}
