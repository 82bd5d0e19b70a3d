package sqlstore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// TestPartsOfEarlierSchema: parts that had no numbers are those of their shards' latest
// full CRLs, which are served as before; where a list was still to be made of nothing
// but its entries, it is due.
func TestPartsOfEarlierSchema(t *testing.T) {
	dir := t.TempDir()
	statements := []string{`INSERT INTO ref (num, kind, tenant, text) VALUES (7, 'issuer', '', 'ca')`}
	zeros := strings.Repeat("00", 19)
	for shard, whole := range []int{500, 0} {
		statements = append(statements,
			fmt.Sprintf(`INSERT INTO crl_shard (issuer, shard, number, newest, covers, due, made, whole) VALUES (7, %d, 9, 5, 5, 1000, 1, %d)`, shard, whole),
			fmt.Sprintf(`INSERT INTO crl (issuer, shard, number, base, covers, entries, this_update, next_update, der, head)
				VALUES (7, %[1]d, 3, 0, 4, 2, 1, 2, x'', 0), (7, %[1]d, 5, 0, 5, 2, 1, 2, x'3c3e', 1), (7, %[1]d, 8, 3, 5, 0, 1, 2, x'30', 0)`, shard),
			fmt.Sprintf(`INSERT INTO crl_part (issuer, shard, last_serial, entries, octets, expires, der, hash)
				VALUES (7, %[1]d, x'%[2]s01', 1, 1, 1, x'61', zeroblob(32)), (7, %[1]d, x'%[2]s02', 1, 1, 1, x'62', zeroblob(32))`, shard, zeros))
	}
	statements = append(statements, // without a CRL, or with one that is whole
		`INSERT INTO crl_shard (issuer, shard, number, newest, due) VALUES (7, 2, 0, 0, 1000)`)
	migrateTo(t, dir, 44, statements...)
	s := open(t, dir)
	defer s.Close()
	for shard, want := range []int64{1000, 0, 1000} {
		due, err := one(t.Context(), s.read, scanInt, `SELECT due FROM crl_shard WHERE issuer = 7 AND shard = $1`, shard)
		if err != nil || due != want {
			t.Errorf("shard %d is due at %d, %v; want %d", shard, due, err, want)
		}
	}
	for shard := range 2 {
		c, err := s.CRL(t.Context(), revocation.List{Issuer: "ca", Shard: shard})
		if err != nil || string(c.DER) != "<ab>" {
			t.Fatalf("shard %d: %q, %v", shard, c.DER, err)
		}
		parts, err := s.Parts(t.Context(), "ca", shard)
		if err != nil || len(parts) != 2 || parts[0].Number != 5 || parts[1].Number != 5 {
			t.Errorf("shard %d: %+v, %v", shard, parts, err)
		}
	}
}

// TestDropParts: a CRL of which all parts are new deletes none of the others in its own
// transaction; each of those that drop them deletes no more than it may, and the last one
// leaves neither parts nor marks.
func TestDropParts(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	if _, err := s.write.conn.ExecContext(t.Context(), `INSERT INTO ref (num, kind, tenant, text) VALUES (7, 'issuer', '', 'ca')`); err != nil {
		t.Fatal(err)
	}
	const each = 200
	count := func(table string) int {
		t.Helper()
		n, err := one(t.Context(), s.read, scanInt, `SELECT count(*) FROM `+table)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	put := func(number int64) {
		t.Helper()
		parts := &revocation.Parts{Gone: []revocation.Span{{}}}
		for i := range each {
			parts.New = append(parts.New, revocation.Part{Last: pki.Serial{17: 1, 18: byte(i >> 8), 19: byte(i)}, DER: make([]byte, 26000), Octets: 26000})
		}
		err := s.update(t.Context(), func(tx *tx) error {
			latest, err := tx.latestCRL(7, 0, false)
			if err == nil {
				_, err = tx.exec(`INSERT INTO crl (issuer, shard, number, base, covers, entries, this_update, next_update, der, head) VALUES (7, 0, $1, 0, 0, 0, 1, 2, x'', 1)`, number)
			}
			if err == nil {
				err = tx.putParts(7, &revocation.CRL{Number: number, Parts: parts}, latest)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	put(2)
	if parts, marks := count("crl_part"), count("crl_part_gone"); parts != 2*each || marks != each {
		t.Fatalf("%d parts and %d marks after the CRL", parts, marks)
	}
	for left := each; left > 0; {
		n, err := s.DropParts(t.Context(), 64)
		if want := min(64, left); err != nil || n != want {
			t.Fatalf("%d dropped, %v; want %d", n, err, want)
		}
		left -= n
		if parts, marks := count("crl_part"), count("crl_part_gone"); parts != each+left || marks != left {
			t.Fatalf("%d parts and %d marks of %d", parts, marks, left)
		}
	}
	parts, err := s.Parts(t.Context(), "ca", 0)
	if err != nil || len(parts) != each || parts[0].Number != 2 {
		t.Errorf("%d parts, %v", len(parts), err)
	}
}
