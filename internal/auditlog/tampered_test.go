package auditlog_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// tamperings is how many databases TestTamperedStore changes.
const tamperings = 48

// TestTamperedStore edits, deletes and inserts at random in copies of a real
// database. The export of each is made by the service, as it would be for an auditor,
// and the offline verifier finds it with nothing but the checkpoint of an anchor.
func TestTamperedStore(t *testing.T) {
	random := pandotest.Seeded(t)
	b := newBench(t)
	for n := range 6 {
		c, err := b.enroll(fmt.Sprintf("SM-%d", n))
		b.ok(err)
		for _, reason := range [][]pki.Reason{{}, {pki.KeyCompromise}, {pki.CertificateHold, pki.RemoveFromCRL}}[n%3] {
			e := &revocation.Entry{Tenant: "acme", Revocation: pki.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: reason, At: b.Now().Truncate(time.Second)},
				Event: pki.Event{Tenant: "acme", At: b.Now(), Actor: "test", Action: "certificate.revoke", Target: "certificate:" + c.Serial.String()}}
			b.ok(b.Store.Revoke(t.Context(), []*revocation.Entry{e}))
			b.ok(e.Err)
		}
	}
	b.round()
	b.later.Add(int64(2 * time.Minute))
	b.round()
	anchored := ""
	for _, n := range b.anchor.notes {
		if strings.Contains(n, "/tenant/acme\n") {
			anchored = n
		}
	}

	honest := b.copied()
	r := honest.verify(anchored)
	if !r.OK() || r.Certificates < 6 || r.Revocations != 6 || r.Events == 0 || r.To != r.Size || len(r.Since) != 1 {
		t.Fatalf("of a copy that nobody changed: %+v", r)
	}
	acts := map[string]func(*copied, *rand.Rand, *logged) string{"edit": (*copied).edit, "delete": (*copied).remove, "insert": (*copied).insert}
	for n := range tamperings {
		act := []string{"edit", "delete", "insert"}[n%3]
		c := b.copied()
		what := acts[act](c, random, c.leaf(random.Int64N(r.Size)))
		if got := c.verify(anchored); got.OK() {
			t.Errorf("not found: %s: %s", act, what)
		}
	}
}

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

// verify exports the log of a copy and verifies the export.
func (c *copied) verify(anchored string) *audit.Report {
	c.Helper()
	gate := audit.NewGate()
	store, err := sqlstore.Open(c.Context(), c.path, sqlstore.Options{Gate: gate})
	c.ok(err)
	defer store.Close()
	log, err := auditlog.New(c.Context(), auditlog.Config{
		Store: store, Keys: c.Signer, Node: "test", Now: c.cfg.Now, Log: slog.New(slog.DiscardHandler), Alarms: alarm.NewBoard(c.cfg.Now),
		Gate: gate, Every: time.Minute, Bound: 10 * time.Minute,
	})
	c.ok(err)
	e, err := log.Export(c.Context(), c.reader(), time.Time{}, time.Time{})
	c.ok(err)
	var export bytes.Buffer
	broken := e.Write(c.Context(), &export) // where a row is gone: an auditor has what was written so far
	r, err := audit.Verify(&export, audit.VerifyConfig{Since: []string{anchored}})
	if err != nil {
		c.Fatalf("%v, after the export ended with %v", err, broken)
	}
	return r
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
	db, err := sql.Open("sqlite", c.path)
	c.ok(err)
	defer db.Close()
	l, ref, row := new(logged), int64(0), int64(0)
	c.ok(db.QueryRowContext(c.Context(), `SELECT id, first_index, count, created, kind, ref, first_row FROM leaf_group
		WHERE tenant = `+acmeLog+` AND first_index <= ? ORDER BY first_index DESC LIMIT 1`, index).
		Scan(&l.group, &l.first, &l.count, &l.created, &l.kind, &ref, &row))
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

// edit changes one column of the leaf's row.
func (c *copied) edit(random *rand.Rand, l *logged) string {
	by := 1 + random.Int64N(1_000_000_000)
	edits := map[string][]string{
		"certificate": {`device = device || 'x'`, fmt.Sprintf(`not_before = not_before - %d`, by), fmt.Sprintf(`not_after = not_after + %d`, by),
			fmt.Sprintf(`issued = issued + %d`, by), `serial = CAST(substr(serial, 1, 15) || randomblob(5) AS BLOB)`,
			`der = CAST(substr(der, 1, length(der) - 4) || randomblob(4) AS BLOB)`},
		"revocation": {`reason = CASE reason WHEN 4 THEN 5 ELSE 4 END`, fmt.Sprintf(`at = at + %d`, by), `n = n + 7`,
			fmt.Sprintf(`not_after = not_after + %d`, by), `serial = CAST(substr(serial, 1, 15) || randomblob(5) AS BLOB)`},
		"event": {`actor = actor || 'x'`, `action = action || 'x'`, `target = target || 'x'`, `detail = detail || 'x'`, `id = id || 'x'`,
			fmt.Sprintf(`at = at - %d`, by)},
	}[l.table]
	return c.do(fmt.Sprintf(`UPDATE %s SET %s WHERE %s = %d`, l.table, edits[random.IntN(len(edits))], l.column, l.key))
}

// remove deletes the leaf's row, or the row that has its place in the log.
func (c *copied) remove(random *rand.Rand, l *logged) string {
	if random.IntN(3) == 0 {
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
