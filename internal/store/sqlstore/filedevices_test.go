package sqlstore

import (
	"crypto/sha256"
	"strconv"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// Devices that the rows of a file claimed are known when memory has moved them, and
// most others are known not to be claimed without a look into the table.
func TestFileDevices(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	s.recent.limit = 100
	intent, keys := int64(0), 0
	file := func(tx *tx, name string) batchFile {
		num, err := tx.intern(batchRef(pki.BatchID(name)))
		if err != nil {
			t.Fatal(err)
		}
		return batchFile{owner: num, first: pki.BatchID(name), batch: pki.BatchID(name)}
	}
	// claim claims the devices from one number to another in chunks of 10 and returns how
	// many were refused and how many the table was to be asked for.
	claim := func(name string, from, to int) (refused, asked int) {
		for ; from < to; from += 10 {
			items := make([]*issuance.Item, 10)
			for i := range items {
				keys++
				items[i] = &issuance.Item{Owner: "acme", Device: pki.DeviceID("meter-" + strconv.Itoa(from+i)), Row: int64(keys), KeyHash: sha256.Sum256([]byte(strconv.Itoa(keys)))}
			}
			err := s.update(t.Context(), func(tx *tx) error {
				f := file(tx, name)
				intent++
				r, err := tx.recentClaims()
				if err != nil {
					return err
				}
				c := claiming{tx: tx, recent: r, file: f}
				devices, err := c.devicesOf()
				if err != nil {
					return err
				}
				for _, it := range items {
					if id, _ := f.device(it); devices.mayBeMoved(id.hash) {
						asked++
					}
				}
				if err := tx.claims(intent, issuerInfo{owner: "acme"}, f, items, time.Now()); err != nil {
					return err
				}
				return tx.moveSome()
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range items {
				if it.Refused != nil {
					refused++
				}
			}
		}
		return refused, asked
	}
	const many = 1000
	if refused, asked := claim("large", 0, many); refused != 0 || asked > many/10 {
		t.Errorf("new devices: %d refused, the table asked for %d", refused, asked)
	}
	if refused, asked := claim("large", 0, many); refused != many || asked < many/2 {
		t.Errorf("the same again: %d of %d refused, the table asked for %d", refused, many, asked)
	}
	if refused, _ := claim("other", 0, many); refused != 0 {
		t.Errorf("in another file: %d refused", refused)
	}
	if n := len(s.recent.files); n != 1 {
		t.Errorf("memory has %d files, while one is at work", n)
	}
	// What memory knew is asked for where it had to forget.
	s.recent.forget()
	if refused, _ := claim("large", 0, many); refused != many {
		t.Errorf("after memory forgot: %d of %d refused", refused, many)
	}
}
