package auditlog_test

import (
	"crypto/x509/pkix"
	"database/sql"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// raw changes the database behind the store's back.
func (b *bench) raw(text string, args ...any) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+b.Path+"?_pragma=busy_timeout(60000)") // others write, too
	b.ok(err)
	defer db.Close()
	_, err = db.ExecContext(b.Context(), text, args...)
	b.ok(err)
}

func (b *bench) enrollAt(tenant pki.TenantID, device string) error {
	_, err := b.Enroll.Enroll(b.Context(), enroll.Request{
		Grant: b.Permit(b.T, tenant, access.Enroll), Endpoint: string(tenant) + ".meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(b.T, pandotest.Key(b.T, pki.P256), pkix.Name{SerialNumber: device})},
	})
	return err
}

// TestDamagedLog: a tenant whose log is damaged is stopped by its own backlog, and
// nobody else is; it goes on when the log is as it was.
func TestDamagedLog(t *testing.T) {
	b := newBench(t)
	b.AddTenant(t, "globex", "meter")
	b.round()
	const acme = `(SELECT num FROM ref WHERE text = 'acme' AND num IN (SELECT tenant FROM log))`
	b.raw(`CREATE TABLE kept AS SELECT * FROM log_tile WHERE tenant = ` + acme)
	b.raw(`UPDATE log_tile SET data = zeroblob(length(data)) WHERE tenant = ` + acme)
	for range 2 {
		b.ok(b.enrollAt("acme", "SM-1"))
		b.ok(b.enrollAt("globex", "SM-1"))
	}
	damaged := func() {
		t.Helper()
		if err := auditlog.Sequence(b.log, b.Context()); err == nil || !strings.Contains(err.Error(), `the log of tenant "acme": it is damaged`) {
			t.Errorf("sequencing says %v", err)
		}
		b.ok(auditlog.Watch(b.log, b.Context()))
	}
	damaged()
	if got := strings.Join(b.alarms(), ","); got != "log.damaged log of acme" {
		t.Errorf("alarms %s", got)
	}
	b.ok(b.enrollAt("acme", "SM-2")) // within the bound
	backlog, err := b.Store.Backlog(b.Context())
	b.ok(err)
	for _, l := range backlog {
		if (l.Leaves > 0) != (l.Tenant == "acme") {
			t.Errorf("backlog %+v", l)
		}
	}

	b.later.Add(int64(2 * time.Minute))
	damaged()
	b.is(pki.Unavailable, b.enrollAt("acme", "SM-3"))
	b.ok(b.enrollAt("globex", "SM-3"))
	_, err = b.Hierarchy.CreateTenant(b.Context(), b.Permit(t, pki.Platform, access.ManageTenants), hierarchy.NewTenant{ID: "other", Organization: "Other"})
	b.ok(err)
	if got := strings.Join(b.alarms(), ","); got != "log.backlog log of acme,log.damaged log of acme" && got != "log.damaged log of acme,log.backlog log of acme" {
		t.Errorf("alarms %s", got)
	}
	damaged()
	log, err := b.Store.Log(b.Context(), "globex")
	b.ok(err)
	if log.Size != log.SignedSize {
		t.Errorf("the other's log has %d leaves, signed are %d", log.Size, log.SignedSize)
	}

	b.raw(`UPDATE log_tile SET data = (SELECT k.data FROM kept k WHERE k.tenant = log_tile.tenant AND k.level = log_tile.level AND k.n = log_tile.n) WHERE tenant = ` + acme)
	b.round()
	b.round() // the first group alone shows that it is mended
	b.ok(b.enrollAt("acme", "SM-3"))
	if got := b.alarms(); len(got) != 0 {
		t.Errorf("alarms %v", got)
	}
}

// TestTornLog: hashes that are gone from a full tile hold up no leaf, and are told when an
// export or a proof comes upon them; the alarm ends when they are there again, and not
// because the store does not answer.
func TestTornLog(t *testing.T) {
	b := newBench(t)
	b.round()
	for _, damage := range []string{"substr(data, 1, 32)", "zeroblob(length(data))"} {
		b.raw(`DROP TABLE IF EXISTS kept`)
		b.raw(`CREATE TABLE kept AS SELECT * FROM log_tile`)
		b.raw(`UPDATE log_tile SET data = ` + damage + ` WHERE level = 0 AND tenant = (SELECT num FROM ref WHERE text = 'acme' AND num IN (SELECT tenant FROM log))`)
		e, err := b.log.Export(b.Context(), b.reader(), time.Time{}, time.Time{})
		b.ok(err)
		if err := e.Write(b.Context(), io.Discard); pki.KindOf(err) != pki.Unavailable || !strings.Contains(pki.DetailOf(err), "pando check") {
			t.Errorf("%s: the export says %v", damage, err)
		}
		for range 2 {
			b.ok(auditlog.Watch(b.log, b.Context()))
			if got := strings.Join(b.alarms(), ","); got != "log.damaged log of acme" {
				t.Errorf("%s: alarms %s", damage, got)
			}
		}
		b.raw(`UPDATE log_tile SET data = (SELECT k.data FROM kept k WHERE k.tenant = log_tile.tenant AND k.level = log_tile.level AND k.n = log_tile.n)`)
		b.ok(auditlog.Watch(b.log, b.Context()))
		if got := b.alarms(); len(got) != 0 {
			t.Errorf("%s: mended, and alarms %v", damage, got)
		}
	}
}
