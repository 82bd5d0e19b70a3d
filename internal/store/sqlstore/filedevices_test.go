package sqlstore

import (
	"crypto/sha256"
	"strconv"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// Devices that the rows of a file claimed are known when memory has them no more, and
// most others are known not to be claimed without a look into the tables. Every tenth
// intent stays open: its devices alone are moved to key_use.
func TestFileDevices(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	s.recent.limit = 100
	intent, keys := int64(0), 0
	stays := func() bool { return intent%10 == 0 }
	file := func(tx *tx, name string) batchFile {
		num, err := tx.intern(batchRef(pki.BatchID(name)))
		if err == nil {
			_, err = tx.exec(`INSERT INTO batch (num, id, tenant, endpoint, profile_tenant, profile_name, profile_version, authority, product_line, lot, site, dry_run, idempotency, state, row_count, digest, submitter, created, started, finished)
				VALUES ($1, $2, '', '', '', '', 0, '', '', '', '', 0, $2, 'running', 0, x'', '', 0, 0, 0) ON CONFLICT DO NOTHING`, num, name)
		}
		if err != nil {
			t.Fatal(err)
		}
		return batchFile{owner: num, first: pki.BatchID(name), batch: pki.BatchID(name)}
	}
	// issue stores what an intent leaves behind: itself where it stays open, else its
	// certificates.
	issue := func(tx *tx, intent int64, f batchFile, items []*issuance.Item, open bool) error {
		if open {
			_, err := tx.exec(`INSERT INTO intent (num, id, issuer, tenant, node, epoch, attempt, state, chunk, count, created, closed, digest, voided, payload)
				VALUES ($1, $1, 0, 0, '', 0, 0, 'open', 0, 0, 0, 0, x'', x'', x'')`, intent)
			return err
		}
		owner, err := tx.intern(tenantRef("acme"))
		for _, it := range items {
			if err == nil && it.Refused == nil {
				_, err = tx.exec(`INSERT INTO certificate (serial, issuer, tenant, owner, device, profile, intent, place, batch, row_no, not_before, not_after, issued, der)
					VALUES ($1, 0, $2, $2, $3, 0, $4, 0, $5, $6, 0, 0, 0, x'')`, it.KeyHash[:], owner, string(it.Device), intent, f.owner, it.Row)
			}
		}
		return err
	}
	// claim claims the devices from one number to another in chunks of 10 and returns how
	// many were refused and how many the tables were to be asked for.
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
					if id, _ := f.device(it); devices.mayBeGone(id.hash) {
						asked++
					}
				}
				if err := tx.claims(intent, issuerInfo{owner: "acme"}, f, items, time.Now()); err != nil {
					return err
				}
				if err := issue(tx, intent, f, items, stays()); err != nil {
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
		t.Errorf("new devices: %d refused, the tables asked for %d", refused, asked)
	}
	if refused, asked := claim("large", 0, many); refused != many || asked < many/2 {
		t.Errorf("the same again: %d of %d refused, the tables asked for %d", refused, many, asked)
	}
	if refused, _ := claim("other", 0, many); refused != 0 {
		t.Errorf("in another file: %d refused", refused)
	}
	for _, name := range []string{"second", "third", "fourth"} { // each begins somewhere in a generation
		if refused, asked := claim(name, 0, many+50); refused != 0 || asked > many/10 {
			t.Errorf("new devices of the %s: %d refused, the tables asked for %d", name, refused, asked)
		}
	}
	if n := moved(t, s, "large"); n == 0 || n > many/10 {
		t.Errorf("%d devices of %d are in key_use", n, many)
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

// moved returns how many devices of a file are in key_use.
func moved(t *testing.T, s *Store, file string) int {
	n, err := one(t.Context(), s.read, scanInt, `SELECT count(*) FROM key_use k JOIN ref r ON r.num = k.owner WHERE r.kind = 'batch' AND r.text = $1`, file)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// TestClaimArchived: the devices of archived certificates stay claimed of a file of which
// a batch or a retry has rows, and of no other.
func TestClaimArchived(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	batches := []struct {
		id, of string
		rows   bool
		claims int64
	}{
		{"with rows", "", true, 2}, {"without", "", false, 0},
		{"retried", "", false, 2}, {"its retry", "retried", false, 0}, {"the next", "its retry", true, 0},
	}
	err := s.update(t.Context(), func(tx *tx) error {
		for _, b := range batches {
			num, err := tx.intern(batchRef(pki.BatchID(b.id)))
			if err == nil {
				_, err = tx.exec(`INSERT INTO batch (num, id, tenant, endpoint, profile_tenant, profile_name, profile_version, authority, product_line, lot, site, dry_run, idempotency, state, row_count, digest, submitter, created, started, finished, retry_of)
					VALUES ($1, $2, 'acme', '', '', '', 0, '', '', '', '', 0, $2, 'done', 0, x'', '', 0, 0, 1, $3)`, num, b.id, b.of)
			}
			if err == nil && b.rows {
				_, err = tx.exec(`INSERT INTO batch_rows (batch, no, rows) VALUES ($1, 0, x'')`, num)
			}
			if err != nil {
				return err
			}
		}
		var entries []retention.Entry
		for _, of := range []string{"with rows", "without", "retried", "its retry"} {
			entries = append(entries, retention.Entry{Leaf: audit.CertificateLeaf{Batch: pki.BatchID(of), Row: 3, Device: pki.DeviceID("meter-" + of)}}, retention.Entry{Leaf: audit.CertificateLeaf{Batch: pki.BatchID(of), Row: 4}})
		}
		entries = append(entries, retention.Entry{Leaf: audit.CertificateLeaf{Batch: "with rows", Row: 5, Device: "meter"}}, retention.Entry{Leaf: audit.CertificateLeaf{Batch: "with rows", Row: 6, Device: "meter"}},
			retention.Entry{Leaf: audit.CertificateLeaf{Device: "of no batch"}})
		return tx.claimArchived("acme", entries)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		n, err := one(t.Context(), s.read, scanInt, `SELECT count(*) FROM key_use k JOIN batch b ON b.num = k.owner WHERE b.id = $1`, b.id)
		if err != nil || n != b.claims {
			t.Errorf("%s: %d devices are claimed, %v; want %d", b.id, n, err, b.claims)
		}
	}
}
