package retention_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// sql changes the database behind the store's back.
func (p *plant) sql(statement string, args ...any) {
	p.Helper()
	db, err := sql.Open("sqlite", "file:"+p.Path+"?_pragma=busy_timeout(60000)") // others write, too
	if err != nil {
		p.Fatal(err)
	}
	defer db.Close()
	r, err := db.Exec(statement, args...)
	if err != nil {
		p.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		p.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

// count returns how many rows a table has.
func (p *plant) count(table string) (n int) {
	p.Helper()
	db, err := sql.Open("sqlite", "file:"+p.Path+"?_pragma=busy_timeout(60000)") // others write, too
	if err != nil {
		p.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
		p.Fatal(err)
	}
	return n
}

// object returns the path of the one archive's object.
func (p *plant) object() string {
	return filepath.Join(p.Archives.String(), p.archives()[0].Manifest.Object)
}

// edit changes an object's text.
func edit(t *testing.T, path, old, with string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%v: there is no %s", err, old)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(bytes.Replace(text, []byte(old), []byte(with), 1))
	w.Close()
	return b.Bytes()
}

// TestTampered: what was changed in an archive, or is said to be in one and is not, is
// found by the checker and by the verifier of an export.
func TestTampered(t *testing.T) {
	for name, tamper := range map[string]func(*plant){
		"object damaged": func(p *plant) {
			content, err := os.ReadFile(p.object())
			if err == nil {
				content[len(content)/2] ^= 1
				err = os.WriteFile(p.object(), content, 0o600)
			}
			if err != nil {
				p.Fatal(err)
			}
		},
		"object gone": func(p *plant) {
			if err := os.Remove(p.object()); err != nil {
				p.Fatal(err)
			}
		},
		"object edited": func(p *plant) {
			if err := os.WriteFile(p.object(), edit(p.T, p.object(), `"product_line":"line-1"`, `"product_line":"line-2"`), 0o600); err != nil {
				p.Fatal(err)
			}
		},
		// The attacker holds the database too, and makes it say what the object is.
		"object and database edited": func(p *plant) {
			a := p.archives()[0]
			content := edit(p.T, p.object(), `"product_line":"line-1"`, `"product_line":"line-2"`)
			if err := os.WriteFile(p.object(), content, 0o600); err != nil {
				p.Fatal(err)
			}
			m := a.Manifest
			m.SHA256 = sha256.Sum256(content)
			p.sql(`UPDATE archive SET manifest = $1 WHERE id = $2`, m.String(), string(a.ID))
		},
		// A row is deleted and said to be archived.
		"certificate said to be archived": func(p *plant) {
			p.sql(`INSERT INTO archived (id, serial, issuer, archive, not_after, batch, row_no)
				SELECT id, serial, issuer, (SELECT num FROM archive), not_after, batch, row_no FROM certificate WHERE id = (SELECT max(id) - 1 FROM certificate)`)
			p.sql(`DELETE FROM certificate WHERE id = (SELECT max(id) - 1 FROM certificate)`)
		},
		"stub gone":       func(p *plant) { p.sql(`DELETE FROM archived WHERE id = (SELECT max(id) FROM archived)`) },
		"archive unknown": func(p *plant) { p.sql(`DELETE FROM archive`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, 3)
			p.set(30 * day)
			p.issue("device", "next")
			p.issue("device", "after")
			p.anchor()
			if err := p.Retention.Round(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
			p.sound(3)
			tamper(p)
			r := p.check()
			if !slices.ContainsFunc(r.Findings, func(f check.Finding) bool { return f.Invariant == check.Archived || f.Invariant == check.Logged }) {
				t.Errorf("the checker found %v", r.Findings)
			}
			if r := p.exportAnew(); r.OK() {
				t.Error("the verifier found nothing")
			}
		})
	}
}

// exportAnew is export by a server that has just been started.
func (p *plant) exportAnew() *audit.Report {
	p.Helper()
	p.renew()
	p.log = p.NewLog(p)
	return p.export()
}

// TestStubs: what the store keeps of an archived certificate, which OCSP believes, is
// what its archive has. An export is of the log, which knows nothing of stubs: it is
// sound, and has the certificates as they were issued.
func TestStubs(t *testing.T) {
	const invented = `x'414142434445464748494a4b4c4d4e4f50515253'`
	invent := func(p *plant, id, archive string) {
		p.sql(`INSERT INTO archived (id, serial, issuer, archive, not_after, batch, row_no)
			SELECT ` + id + `, ` + invented + `, issuer, ` + archive + `, not_after, NULL, 0 FROM archived LIMIT 1`)
	}
	for name, tamper := range map[string]func(*plant){
		"serial": func(p *plant) {
			p.sql(`UPDATE archived SET serial = ` + invented + ` WHERE id = (SELECT max(id) FROM archived)`)
		},
		"end": func(p *plant) { p.sql(`UPDATE archived SET not_after = not_after + 1000000000000000`) },
		"issuer": func(p *plant) {
			p.sql(`UPDATE archived SET issuer = issuer + 1 WHERE id = (SELECT max(id) FROM archived)`)
		},
		"batch": func(p *plant) { p.sql(`UPDATE archived SET batch = issuer, row_no = id`) },
		"row":   func(p *plant) { p.sql(`UPDATE archived SET row_no = 7`) },
		// Two stubs change places: as many are there as before.
		"rows": func(p *plant) {
			p.sql(`UPDATE archived SET id = -id WHERE id = (SELECT min(id) FROM archived)`)
			p.sql(`UPDATE archived SET id = id - 1 WHERE id = (SELECT min(id) FROM archived WHERE id > 0)`)
			p.sql(`UPDATE archived SET id = 1 - id WHERE id < 0`)
		},
		"another archive": func(p *plant) { p.sql(`UPDATE archived SET archive = archive + 1`) },
		"in no archive":   func(p *plant) { invent(p, "99999999", "4711") },
		"outside its rows": func(p *plant) {
			invent(p, "99999999", "archive")
		},
		"in an archive that is planned": func(p *plant) {
			p.sql(`INSERT INTO archive (id, tenant, state, created, before, first_row, last_row, finished, removed, manifest)
				SELECT 'zzzz', tenant, 'planned', created, before, 1, 99999999, 0, 0, '' FROM archive LIMIT 1`)
			invent(p, "99999999", "(SELECT max(num) FROM archive)")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, 3)
			p.set(30 * day)
			if err := p.Retention.Round(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
			p.sound(3)
			tamper(p)
			if r := p.check(); !slices.ContainsFunc(r.Findings, func(f check.Finding) bool { return f.Invariant == check.Archived }) {
				t.Errorf("the checker found %v", r.Findings)
			}
		})
	}
}

// TestEdited: a row that was changed since it was logged is not put away as it is.
func TestEdited(t *testing.T) {
	p := newPlant(t, 3)
	p.set(30 * day)
	p.sql(`UPDATE certificate SET device = 'another' WHERE id = (SELECT max(id) - 2 FROM certificate)`)
	if err := p.Retention.Round(t.Context(), "acme"); pki.KindOf(err) != pki.Conflict || p.inStore() != 3 || p.place.created != 0 {
		t.Errorf("%v, %d in the store, %d objects", err, p.inStore(), p.place.created)
	}
}

// TestLonger: who wants certificates to stay for longer keeps what is not written yet.
func TestLonger(t *testing.T) {
	p := newPlant(t, 2)
	p.set(30 * day)
	p.place.read = fmt.Errorf("the place is slow")
	if err := p.Retention.Round(t.Context(), "acme"); err == nil {
		t.Fatal("it was read")
	}
	p.place.read = nil
	p.set(60 * day)
	if err := p.Retention.Round(t.Context(), "acme"); err != nil || p.inStore() != 2 || len(p.archives()) != 0 {
		t.Errorf("%v, %d in the store, %+v", err, p.inStore(), p.archives())
	}
	for _, keep := range []time.Duration{-time.Second, time.Millisecond, retention.MaxKeep + time.Second} {
		if _, err := p.Retention.Set(t.Context(), p.Permit(t, "acme", access.ManageRetention), keep); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: %v", keep, err)
		}
	}
}

// TestVerify holds an object against an export, without a server.
func TestVerify(t *testing.T) {
	p := newPlant(t, 3)
	p.set(30 * day)
	if err := p.Retention.Round(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	object, err := os.ReadFile(p.object())
	if err != nil {
		t.Fatal(err)
	}
	export := p.exported()
	v, err := retention.Verify(object, bytes.NewReader(export), audit.VerifyConfig{})
	if err != nil || !v.OK() || v.Logged != 3 || v.Certificates != 3 {
		t.Fatalf("%+v, %v", v, err)
	}
	if v, err := retention.Verify(object, nil, audit.VerifyConfig{}); err != nil || !v.OK() || v.Log != nil || hex.EncodeToString(v.SHA256[:8]) != strings.SplitN(filepath.Base(p.object()), "-", 2)[1][:16] {
		t.Errorf("alone: %+v, %v", v, err)
	}
	edited := edit(t, p.object(), `"product_line":"line-1"`, `"product_line":"line-2"`)
	if v, err := retention.Verify(edited, nil, audit.VerifyConfig{}); err != nil || !v.OK() { // the log alone knows
		t.Errorf("edited, alone: %+v, %v", v, err)
	}
	if v, err := retention.Verify(edited, bytes.NewReader(export), audit.VerifyConfig{}); err != nil || v.Total != 2 {
		t.Errorf("edited: %+v, %v", v, err)
	}
	if _, err := retention.Verify(edit(t, p.object(), `"der":"MII`, `"der":"MIM`), nil, audit.VerifyConfig{}); pki.KindOf(err) != pki.Malformed {
		t.Errorf("another certificate: %v", err)
	}
	for name, content := range map[string][]byte{
		"nothing": nil, "no gzip": []byte("{}"), "cut off": object[:len(object)-20],
		"more than it says": edit(t, p.object(), `"certificates":3`, `"certificates":2`),
		"less than it says": edit(t, p.object(), `"certificates":3`, `"certificates":4`),
		"other format":      edit(t, p.object(), retention.Format, "pando-archive/2"),
	} {
		if _, err := retention.Verify(content, nil, audit.VerifyConfig{}); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v, err := retention.Verify(object, bytes.NewReader(newPlant(t, 1).exported()), audit.VerifyConfig{}); err != nil || v.OK() {
		t.Errorf("another log: %+v, %v", v, err)
	}
}

func FuzzDecode(f *testing.F) {
	pack := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, text)
		z.Close()
		return b.Bytes()
	}
	f.Add([]byte(`{"format":"pando-archive/1","archive":"a","tenant":"t","created":"2026-01-01T00:00:00Z","before":"2026-01-01T00:00:00Z","certificates":1}` + "\n" +
		`{"index":1,"row":1,"leaf":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"der":""}`))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, content := range [][]byte{text, pack(string(text))} {
			o, err := retention.Decode(content)
			if err == nil && len(o.Entries) != o.Certificates || err != nil && pki.KindOf(err) != pki.Malformed {
				t.Errorf("%+v, %v", o, err)
			}
		}
	})
}

// TestScope: a token for some endpoints has no part in what is kept of the whole
// tenant, and one that may only read changes nothing.
func TestScope(t *testing.T) {
	p := newPlant(t, 1)
	ctx := t.Context()
	narrow := access.Principal{Tenant: "acme", ID: "token:narrow", Grants: access.Given(access.TenantAdministrator, access.Scope{Endpoint: "device"})}
	grant := func(who access.Principal, permission access.Permission) access.Permit {
		g, err := who.Authorize(permission, "acme")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	reads, manages := grant(narrow, access.ReadEvents), grant(narrow, access.ManageRetention)
	for name, act := range map[string]func(reads, manages access.Permit) error{
		"setting":  func(g, _ access.Permit) error { _, err := p.Retention.Setting(ctx, g); return err },
		"set":      func(_, g access.Permit) error { _, err := p.Retention.Set(ctx, g, day); return err },
		"preview":  func(_, g access.Permit) error { _, err := p.Retention.Preview(ctx, g); return err },
		"begin":    func(_, g access.Permit) error { _, err := p.Retention.Begin(ctx, g); return err },
		"archives": func(g, _ access.Permit) error { _, err := p.Retention.Archives(ctx, g, "", 10); return err },
		"archive":  func(g, _ access.Permit) error { _, err := p.Retention.Archive(ctx, g, "a"); return err },
	} {
		if err := act(reads, manages); pki.KindOf(err) != pki.Forbidden {
			t.Errorf("%s: %v", name, err)
		}
		if err := act(access.Permit{}, p.Permit(t, "acme", access.ReadEvents)); pki.KindOf(err) != pki.Forbidden {
			t.Errorf("%s under another grant: %v", name, err)
		}
	}
	// Where certificates stay for good there is nothing to begin.
	if _, err := p.Retention.Begin(ctx, p.Permit(t, "acme", access.ManageRetention)); pki.KindOf(err) != pki.NotReady {
		t.Error(err)
	}
}

// TestClock: by a clock that is not believed nothing is archived.
func TestClock(t *testing.T) {
	p := newPlant(t, 1)
	p.set(30 * day)
	s := retention.New(retention.Config{Store: p.Store, Objects: p.place, Hashes: p.log.Hashes, Requests: p.Batch.Requests, Alarms: p.Alarms, Now: p.clock.Now, Log: slog.New(slog.DiscardHandler),
		Time: func() (time.Time, error) {
			return time.Time{}, pki.Errorf(pki.Unavailable, "the clock of this node jumped")
		}})
	if err := s.Round(t.Context(), "acme"); pki.KindOf(err) != pki.Unavailable || p.inStore() != 1 || p.place.created != 0 {
		t.Errorf("%v, %d in the store", err, p.inStore())
	}
}
