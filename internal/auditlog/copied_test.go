package auditlog_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// A copied is a copy of the bench's database.
type copied struct {
	*bench
	path string
}

func (b *bench) copied() *copied {
	b.Helper()
	c := &copied{b, filepath.Join(b.TempDir(), "pando.db")}
	b.raw(`VACUUM INTO ?`, c.path)
	return c
}

// again returns a copy of a copy that nobody has opened.
func (c *copied) again() *copied {
	c.Helper()
	content, err := os.ReadFile(c.path)
	c.ok(err)
	again := &copied{c.bench, filepath.Join(c.TempDir(), "pando.db")}
	c.ok(os.WriteFile(again.path, content, 0o600))
	return again
}

// open opens a copy as a server does that has these anchors. It gives leaves that wait
// their places, and signs the log by the key that the copy's deployment has for it.
func (c *copied) open(anchors ...auditlog.Anchor) (log *auditlog.Service, closed func(), err error) {
	c.Helper()
	gate := audit.NewGate()
	store, err := sqlstore.Open(c.Context(), c.path, sqlstore.Options{Gate: gate})
	c.ok(err)
	log, err = auditlog.New(c.Context(), auditlog.Config{
		Store: store, Keys: c.Signer, Node: "test", Now: c.cfg.Now, Log: slog.New(slog.DiscardHandler), Alarms: alarm.NewBoard(c.cfg.Now),
		Gate: gate, Anchors: anchors, Every: time.Minute, Bound: 10 * time.Minute,
	})
	return log, func() { c.ok(store.Close()) }, err
}

// verify exports the log of a copy and verifies the export.
func (c *copied) verify(since ...string) *audit.Report {
	c.Helper()
	log, closed, err := c.open()
	defer closed()
	c.ok(err)
	e, err := log.Export(c.Context(), c.reader(), time.Time{}, time.Time{})
	c.ok(err)
	var export bytes.Buffer
	broken := e.Write(c.Context(), &export) // where a row is gone: an auditor has what was written so far
	r, err := audit.Verify(&export, audit.VerifyConfig{Since: since})
	if err != nil {
		c.Fatalf("%v, after the export ended with %v", err, broken)
	}
	return r
}

// starts opens a copy where the bench's server has its database.
func (c *copied) starts(of *bench) error {
	c.Helper()
	_, closed, err := c.open(of.file)
	defer closed()
	return err
}

// size returns how many entries the copy says that acme's log has.
func (c *copied) size() (n int64) {
	c.Helper()
	c.row(`SELECT size FROM log WHERE tenant = `+acmeLog, &n)
	return n
}

// row reads the one row of a query of the copy.
func (c *copied) row(query string, to ...any) {
	c.Helper()
	db, err := sql.Open("sqlite", c.path)
	c.ok(err)
	defer db.Close()
	c.ok(db.QueryRowContext(c.Context(), query).Scan(to...))
}

// logged is where a leaf of acme's log is kept.
type logged struct {
	group, first, count, created int64
	kind                         string
	table, column                string // the row that has it
	key                          int64
}

const acmeLog = `(SELECT num FROM ref WHERE text = 'acme' AND num IN (SELECT tenant FROM log))`

// leaf returns where the leaf with an index is.
func (c *copied) leaf(index int64) *logged {
	c.Helper()
	l, ref, row := new(logged), int64(0), int64(0)
	c.row(fmt.Sprintf(`SELECT id, first_index, count, created, kind, ref, first_row FROM leaf_group
		WHERE tenant = %s AND first_index <= %d ORDER BY first_index DESC LIMIT 1`, acmeLog, index),
		&l.group, &l.first, &l.count, &l.created, &l.kind, &ref, &row)
	switch l.kind {
	case "certificates":
		l.table, l.column, l.key = "certificate", "id", row+index-l.first
	case "revocation":
		l.table, l.column, l.key = "revocation", "seq", ref+index-l.first
	default:
		l.table, l.column, l.key = "event", "num", ref
	}
	return l
}

// do runs statements on the copy, each of which must change something.
func (c *copied) do(statements ...string) string {
	c.Helper()
	db, err := sql.Open("sqlite", c.path)
	c.ok(err)
	defer db.Close()
	for _, s := range statements {
		result, err := db.ExecContext(c.Context(), s)
		if err != nil {
			c.Fatalf("%s: %v", s, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			c.Fatalf("%s: changed %d rows, %v", s, n, err)
		}
	}
	return strings.Join(statements, "; ")
}

// edit changes one column of the leaf's row, and with the key none that the store finds
// damaged by itself.
func (c *copied) edit(random *rand.Rand, l *logged, with bool) string {
	by := 1 + random.Int64N(1_000_000_000)
	edits := map[string][]string{
		"certificate": {`device = device || 'x'`, fmt.Sprintf(`not_before = not_before - %d`, by), fmt.Sprintf(`not_after = not_after + %d`, by),
			fmt.Sprintf(`issued = issued + %d`, by), fmt.Sprintf(`serial = CAST(substr(serial, 1, 15) || x'%010x' AS BLOB)`, random.Uint64()>>24),
			fmt.Sprintf(`der = CAST(substr(der, 1, length(der) - 4) || x'%08x' AS BLOB)`, random.Uint32())},
		"revocation": {`reason = CASE reason WHEN 4 THEN 5 ELSE 4 END`, fmt.Sprintf(`at = at + %d`, by), `n = n + 7`,
			fmt.Sprintf(`not_after = not_after + %d`, by), fmt.Sprintf(`serial = CAST(substr(serial, 1, 15) || x'%010x' AS BLOB)`, random.Uint64()>>24)},
		"event": {`actor = actor || 'x'`, `action = action || 'x'`, `target = target || 'x'`, `detail = detail || 'x'`, `id = id || 'x'`,
			fmt.Sprintf(`at = at - %d`, by)},
	}[l.table]
	if with && l.table == "certificate" {
		edits = edits[:4]
	}
	return c.do(fmt.Sprintf(`UPDATE %s SET %s WHERE %s = %d`, l.table, edits[random.IntN(len(edits))], l.column, l.key))
}

// remove deletes the row that has the leaf's place in the log, or without the key the
// leaf's row.
func (c *copied) remove(random *rand.Rand, l *logged, with bool) string {
	if with || random.IntN(3) == 0 {
		return c.do(fmt.Sprintf(`DELETE FROM leaf_group WHERE id = %d`, l.group))
	}
	return c.do(fmt.Sprintf(`DELETE FROM %s WHERE %s = %d`, l.table, l.column, l.key))
}

// insert makes an event that never was, and gives it a place in the log: that of the
// leaf's group, or one before it, so that all behind it move on.
func (c *copied) insert(random *rand.Rand, l *logged) string {
	const made = 1 << 40
	event := fmt.Sprintf(`INSERT INTO event (num, id, tenant, at, actor, action, target, detail)
		SELECT %d, 'z' || id, tenant, at, actor, action, target, 'made up %d' FROM event WHERE tenant = 'acme' ORDER BY num LIMIT 1`, made, random.Uint32())
	if l.count == 1 && random.IntN(2) == 0 {
		return c.do(event, fmt.Sprintf(`UPDATE leaf_group SET kind = 'event', ref = %d WHERE id = %d`, made, l.group))
	}
	return c.do(event,
		fmt.Sprintf(`UPDATE leaf_group SET first_index = -1 - first_index WHERE tenant = %s AND first_index >= %d`, acmeLog, l.first),
		fmt.Sprintf(`UPDATE leaf_group SET first_index = -first_index WHERE tenant = %s AND first_index < 0`, acmeLog),
		fmt.Sprintf(`INSERT INTO leaf_group (id, tenant, kind, ref, count, created, hashes, first_row, first_index)
			SELECT %d, tenant, 'event', %d, 1, created, hashes, 0, %d FROM leaf_group WHERE id = %d`, made, made, l.first, l.group))
}

// reorder exchanges the leaf with another in front of the given size.
func (c *copied) reorder(random *rand.Rand, l *logged, size int64) string {
	for {
		other := c.leaf(random.Int64N(size))
		if other.group != l.group && other.count == l.count {
			return c.do(fmt.Sprintf(`UPDATE leaf_group SET first_index = CASE id WHEN %d THEN %d ELSE %d END WHERE id IN (%[1]d, %[4]d)`,
				l.group, other.first, l.first, other.group))
		}
	}
}

// cut takes the log's entries away from the leaf on.
func (c *copied) cut(l *logged) string {
	return c.do(fmt.Sprintf(`DELETE FROM leaf_group WHERE tenant = %s AND first_index >= %d`, acmeLog, l.first))
}

// rollBack makes the log what it was at one of the checkpoints that it keeps, of fewer
// entries than the given size: nothing of it needs a signature that is not there.
func (c *copied) rollBack(random *rand.Rand, size int64) string {
	kept := fmt.Sprintf(`FROM log_checkpoint WHERE tenant = %s AND size < %d`, acmeLog, size)
	var of, to int64
	c.row(`SELECT count(*) `+kept, &of)
	var note string
	c.row(fmt.Sprintf(`SELECT size, note %s ORDER BY size LIMIT 1 OFFSET %d`, kept, random.Int64N(of)), &to, &note)
	root, err := tlog.ParseHash(strings.Split(note, "\n")[2])
	c.ok(err)
	return c.do(
		fmt.Sprintf(`DELETE FROM leaf_group WHERE tenant = %s AND first_index >= %d`, acmeLog, to),
		fmt.Sprintf(`UPDATE log SET size = %d, root = x'%x', signed_size = %[1]d, anchored_size = %[1]d, checkpoint = (SELECT note FROM log_checkpoint c WHERE c.tenant = log.tenant AND c.size = %[1]d) WHERE tenant = %[3]s`, to, root[:], acmeLog),
		fmt.Sprintf(`DELETE FROM log_checkpoint WHERE tenant = %s AND size > %d`, acmeLog, to))
}

// grow adds events that wait for their places.
func (c *copied) grow(n int) {
	for i := range n {
		num := int64(1)<<62 + int64(i)
		c.do(fmt.Sprintf(`INSERT INTO event (num, id, tenant, at, actor, action, target, detail)
				SELECT %d, 'y%[1]d', tenant, at, actor, action, target, 'later' FROM event WHERE tenant = 'acme' ORDER BY num LIMIT 1`, num),
			fmt.Sprintf(`INSERT INTO leaf_group (id, tenant, kind, ref, count, created, hashes, first_row, first_index)
				SELECT %d, tenant, 'event', %[1]d, 1, created, x'', 0, -1 FROM leaf_group WHERE tenant = %s LIMIT 1`, num, acmeLog))
	}
}

// rebuild makes the trees of logs anew from the rows that there are, and signs them, by
// the service itself: by acme's own key, or where the logs are forgotten by keys that are
// made for them.
func (c *copied) rebuild(forgotten bool) {
	c.Helper()
	of := ` WHERE tenant = ` + acmeLog
	log := fmt.Sprintf(`UPDATE log SET size = 0, root = x'%x', signed_size = 0, checkpoint = '', anchored_size = 0, unanchored_since = 0`, sha256.Sum256(nil)) + of
	if forgotten {
		of, log = ` WHERE true`, `DELETE FROM log`
	}
	c.do(`UPDATE leaf_group SET id = (tenant << 44) + first_index`+of+` AND first_index >= 0`, // they are taken in this order
		`UPDATE leaf_group SET first_index = -1`+of, `DELETE FROM log_tile`+of, `DELETE FROM log_checkpoint`+of, log)
	_, closed, err := c.open()
	c.ok(err)
	closed()
	var waiting int
	if c.row(`SELECT count(*) FROM leaf_group WHERE first_index < 0`, &waiting); waiting > 0 {
		c.Fatalf("%d entries have no place in the tree that is made anew", waiting)
	}
}
