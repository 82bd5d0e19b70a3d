package sqlstore

import (
	"fmt"
	"strings"
	"testing"

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
