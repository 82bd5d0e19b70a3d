package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

func TestOpenRefusesWeakSync(t *testing.T) {
	for _, synchronous := range []string{"OFF", "NORMAL"} {
		path := filepath.Join(t.TempDir(), "pando.db")
		s, err := Open(t.Context(), path, Options{synchronous: synchronous})
		if err == nil {
			s.Close()
			t.Fatalf("a database with synchronous=%s was opened", synchronous)
		}
		if pki.KindOf(err) != pki.Unavailable || !strings.Contains(err.Error(), "must be FULL") {
			t.Errorf("synchronous=%s: %v", synchronous, err)
		}
		// The refusal leaves nothing behind that would stop the next attempt.
		open(t, filepath.Dir(path)).Close()
	}
}

func TestConnections(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	read := func(c *sql.Conn, pragma string) (value string) {
		if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	conns := []*sql.Conn{s.write.conn}
	for range 8 {
		c, err := s.read.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	for i, c := range conns {
		if got := read(c, "synchronous") + read(c, "journal_mode") + read(c, "foreign_keys"); got != "2wal1" {
			t.Errorf("connection %d has synchronous, journal_mode and foreign_keys %s", i, got)
		}
		if i == 0 {
			continue
		}
		if _, err := c.ExecContext(t.Context(), "DELETE FROM tenant"); err == nil {
			t.Error("a reading connection writes")
		}
	}
}

// TestFullDisk has the database full: what cannot be stored is Unavailable, and
// the store goes on when there is space again. The alarm stands from the first failure
// until none was for a while, and is logged once.
func TestFullDisk(t *testing.T) {
	var log bytes.Buffer
	begun := time.Now().UTC()
	now := begun
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "pando.db"), Options{
		Alarms: alarm.NewBoard(func() time.Time { return now }), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	alarms := func(want ...string) {
		t.Helper()
		var names []string
		for _, a := range s.alarms.All() {
			names = append(names, a.Name)
			if !a.Since.Equal(begun) {
				t.Errorf("the alarm stands since %s, want %s", a.Since, begun)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("alarms %q, want %q", names, want)
		}
	}
	pages := func(n int) {
		t.Helper()
		if _, err := s.write.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count=%d", n)); err != nil {
			t.Fatal(err)
		}
	}
	add := func() (err error) {
		for i := 0; i < 1000 && err == nil; i++ {
			id := pki.TenantID(pki.NewOpaqueID())
			err = s.PutTenant(t.Context(), &pki.Tenant{ID: id, Organization: strings.Repeat("x", 200)}, pki.Event{})
		}
		return err
	}
	for range 2 {
		pages(1) // SQLite makes it what the database has
		err := add()
		if pki.KindOf(err) != pki.Unavailable || !strings.Contains(pki.DetailOf(err), "cannot write") {
			t.Errorf("with a full disk: %v", err)
		}
		alarms("store.failing")
		now = now.Add(time.Second)
		pages(1 << 20)
		if err := add(); err != nil {
			t.Errorf("with space again: %v", err)
		}
		alarms("store.failing") // a full disk takes what is small, too
	}
	s.failing.last = s.failing.last.Add(-wellAfter)
	if err := add(); err != nil {
		t.Error(err)
	}
	alarms()
	if n := strings.Count(log.String(), "msg=alarm name=store.failing"); n != 1 {
		t.Errorf("the log has the alarm %d times:\n%s", n, log.String())
	}
}

func TestFileMode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a ?#% b") // what means something in a URI
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	defer s.Close()
	files, err := filepath.Glob(filepath.Join(strings.ReplaceAll(dir, "?", "[?]"), "*"))
	if err != nil || len(files) != 4 { // with .lock, -wal, -shm
		t.Fatalf("files %q, %v", files, err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	again, err := Open(t.Context(), filepath.Join(dir, "pando.db"), Options{})
	if err == nil {
		again.Close()
		t.Fatal("a database was opened twice")
	}
	if pki.KindOf(err) != pki.Conflict || !strings.Contains(err.Error(), "stop that one first") {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir).Close()
}

// TestOpenByAnotherName: a database has one lock, also where its name is a symbolic
// link that was there before it.
func TestOpenByAnotherName(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "real"), 0o700))
	must(os.MkdirAll(filepath.Join(dir, "other"), 0o700))
	must(os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "link")))
	must(os.Symlink("../real/pando.db", filepath.Join(dir, "other", "pando.db")))
	names := []string{"other", "real", "link"} // the first creates it
	for _, first := range names {
		s := open(t, filepath.Join(dir, first))
		for _, second := range names {
			again, err := Open(t.Context(), filepath.Join(dir, second, "pando.db"), Options{})
			if err == nil {
				again.Close()
			}
			if pki.KindOf(err) != pki.Conflict {
				t.Errorf("open by way of %s and then by %s: %v", first, second, err)
			}
		}
		must(s.Close())
	}
}

// childDir names the directory that the test binary, run again as another
// process, is to open.
const childDir = "PANDO_TEST_DIR"

// child runs the test of the given name in another process, on dir.
func child(t *testing.T, name, dir string) ([]byte, error) {
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$")
	c.Env = append(os.Environ(), childDir+"="+dir)
	return c.CombinedOutput()
}

func TestOpenFromAnotherProcess(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		_, err := Open(t.Context(), filepath.Join(dir, "pando.db"), Options{})
		if pki.KindOf(err) != pki.Conflict {
			t.Fatalf("opened what another process has: %v", err)
		}
		return
	}
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	if out, err := child(t, "TestOpenFromAnotherProcess", dir); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestKilled: what was committed is there after the process was killed at once,
// with another transaction half done; and the lock is free.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		issueThree(t, dir)
		s := open(t, dir)
		_ = s.update(t.Context(), func(tx *tx) error {
			_, err := tx.exec("DELETE FROM certificate")
			fmt.Println("half done", err)
			return unix.Kill(unix.Getpid(), unix.SIGKILL)
		})
	}
	dir := t.TempDir()
	out, err := child(t, "TestKilled", dir)
	if err == nil || !strings.HasPrefix(string(out), "half done <nil>") {
		t.Fatalf("the other process was not killed in time: %v, %s", err, out)
	}
	s := open(t, dir)
	defer s.Close()
	all, _, err := s.ScanCertificates(t.Context(), 0, 10)
	if err != nil || len(all) != 3 || all[2].DER == nil {
		t.Errorf("after the kill there are %v, %v", all, err)
	}
}

func TestOpenRefusesNewerSchema(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.write.conn.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err := Open(t.Context(), filepath.Join(dir, "pando.db"), Options{})
	if pki.KindOf(err) != pki.Unavailable || !strings.Contains(err.Error(), "schema 99999") {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pando.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), path, Options{}); err == nil {
		s.Close()
		t.Error("a file that is no database was opened")
	}
}

// TestRollback: what a transaction interned is forgotten with it.
func TestRollback(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	stop := errors.New("stop")
	var first int64
	err := s.update(t.Context(), func(tx *tx) (err error) {
		if first, err = tx.intern(tenantRef("acme")); err != nil {
			return err
		}
		if _, err := tx.packCertificate(nil, 1, 2, []byte("reference"), sha256.Sum256([]byte("reference"))); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = s.update(t.Context(), func(tx *tx) error {
			_, _ = tx.intern(tenantRef("acme"))
			panic("in the middle")
		})
	}()
	if num, err := s.findRef(t.Context(), tenantRef("acme")); num != 0 || err != nil {
		t.Errorf("a reference that was rolled back has number %d, %v", num, err)
	}
	if len(s.ders.byNum) != 0 {
		t.Error("a DER reference that was rolled back is cached")
	}
	if err := s.update(t.Context(), func(tx *tx) error {
		if _, err := tx.intern(tenantRef("other")); err != nil { // takes the number
			return err
		}
		_, err := tx.intern(tenantRef("acme"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	r, err := s.refOf(t.Context(), s.read, first)
	if err != nil || r != tenantRef("other") {
		t.Errorf("number %d is %v, %v", first, r, err)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stay(t.Context(), "node", 1, time.Now()); err == nil {
		t.Error("a closed store writes")
	}
	if _, err := s.Tenants(t.Context()); err == nil {
		t.Error("a closed store reads")
	}
	s.Close() // does not hang
}

func TestUpdateWaitsForItsTurn(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := s.update(t.Context(), func(*tx) error {
		return s.update(ctx, func(*tx) error { return nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a transaction within a transaction: %v", err)
	}
}

func TestCachesAreBounded(t *testing.T) {
	var c refs
	for page := range 3 {
		rows := map[ref]int64{}
		for n := range maxRefs/2 + 1 {
			rows[lotRef("acme", fmt.Sprint(page, "/", n))] = int64(page*maxRefs + n)
		}
		c.publish(rows)
	}
	if len(c.byNum) > maxRefs || len(c.byRef) > maxRefs {
		t.Errorf("%d references are cached", len(c.byNum))
	}
}
