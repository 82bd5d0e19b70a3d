package auditlog_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// check runs "pando check" on a copy.
func (c *copied) check() *check.Report {
	c.Helper()
	store, err := sqlstore.Open(c.Context(), c.path, sqlstore.Options{})
	c.ok(err)
	r, err := check.Run(c.Context(), check.Config{Store: store, Now: c.cfg.Now})
	c.ok(err)
	c.ok(store.Close())
	return r
}

// some returns a number of a table's row by chance.
func (c *copied) some(random *rand.Rand, table, column string) (number int64) {
	c.Helper()
	var of int64
	c.row(`SELECT count(*) FROM `+table, &of)
	c.row(fmt.Sprintf(`SELECT %s FROM %s ORDER BY 1 LIMIT 1 OFFSET %d`, column, table, random.Int64N(of)), &number)
	return number
}

// actTampering is what is done to the rows about status and to events, and not to the log.
var actTampering = map[string]func(c *copied, random *rand.Rand) string{
	"insert an entry": func(c *copied, random *rand.Rand) string {
		return c.do(fmt.Sprintf(`INSERT INTO revocation (seq, issuer, serial, n, reason, at, shard, not_after)
			SELECT %d, issuer, serial, n + 1, %d, at + %d, shard, not_after FROM revocation ORDER BY n DESC, seq LIMIT 1 OFFSET %d`,
			random.Int64()-random.Int64(), []int{1, 6, 8}[random.IntN(3)], random.Int64N(1_000_000_000), random.IntN(2)))
	},
	"insert a first entry": func(c *copied, random *rand.Rand) string {
		return c.do(fmt.Sprintf(`INSERT INTO revocation (issuer, serial, n, reason, at, shard, not_after)
			SELECT r.issuer, c.serial, 1, %d, r.at, r.shard, c.not_after FROM certificate c, revocation r
			WHERE c.serial NOT IN (SELECT serial FROM revocation) LIMIT 1`, []int{0, 1, 6}[random.IntN(3)]))
	},
	"edit an entry": func(c *copied, random *rand.Rand) string {
		return c.edit(random, &logged{table: "revocation", column: "seq", key: c.some(random, "revocation", "seq")}, false)
	},
	"delete an entry": func(c *copied, random *rand.Rand) string {
		return c.do(fmt.Sprintf(`DELETE FROM revocation WHERE seq = %d`, c.some(random, "revocation", "seq")))
	},
	"exchange entries": func(c *copied, random *rand.Rand) string { return c.exchange(random, "revocation", "seq") },
	"insert an event": func(c *copied, random *rand.Rand) string {
		return c.do(fmt.Sprintf(`INSERT INTO event (num, id, tenant, at, actor, action, target, detail)
			SELECT %d, 'z' || id, tenant, at, actor, action, target, 'made up' FROM event WHERE num = %d`,
			random.Int64()-random.Int64(), c.some(random, "event", "num")))
	},
	"edit an event": func(c *copied, random *rand.Rand) string {
		return c.edit(random, &logged{table: "event", column: "num", key: c.some(random, "event", "num")}, false)
	},
	"move an event": func(c *copied, random *rand.Rand) string {
		return c.do(fmt.Sprintf(`UPDATE event SET tenant = tenant || 'x' WHERE num = %d`, c.some(random, "event", "num")))
	},
	"delete an event": func(c *copied, random *rand.Rand) string {
		return c.do(fmt.Sprintf(`DELETE FROM event WHERE num = %d`, c.some(random, "event", "num")))
	},
	"exchange events": func(c *copied, random *rand.Rand) string { return c.exchange(random, "event", "num") },
}

// exchange has two rows of a table change places.
func (c *copied) exchange(random *rand.Rand, table, column string) string {
	a, b := int64(0), int64(0)
	for a == b {
		a, b = c.some(random, table, column), c.some(random, table, column)
	}
	const between = -1 << 62
	set := func(from, to int64) string {
		return fmt.Sprintf(`UPDATE %s SET %[2]s = %[3]d WHERE %[2]s = %[4]d`, table, column, to, from)
	}
	return c.do(set(a, between), set(b, a), set(between, b))
}

// TestTamperedActs changes what copies of a real database say of status and of who did
// what, past the log, and 'pando check' finds each: where the log has all its entries,
// and where some wait for their places.
func TestTamperedActs(t *testing.T) {
	random := pandotest.Seeded(t)
	b := newBench(t)
	for n := range 7 { // of which the last is not revoked
		b.issue(n)
	}
	times := 12
	if testing.Short() {
		times = 4
	}
	for _, sequenced := range []bool{false, true} {
		if sequenced {
			b.round()
		}
		honest := b.copied()
		if r := honest.check(); !r.OK() || r.StatusEntries != 6 || r.Events == 0 || r.LogEntries == 0 {
			t.Fatalf("of a copy that nobody changed: %+v", r)
		}
		var waiting int
		if honest.row(`SELECT count(*) FROM leaf_group WHERE first_index < 0`, &waiting); (waiting == 0) != sequenced {
			t.Fatalf("%d entries wait for their places", waiting)
		}
		for _, kind := range slices.Sorted(maps.Keys(actTampering)) {
			for range times {
				c := b.copied()
				what := actTampering[kind](c, random)
				if r := c.check(); r.OK() {
					t.Errorf("%s, sequenced: %t: %s: nothing is found", kind, sequenced, what)
				}
			}
		}
	}
}
