package sqlstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// putTenant commits something, as if the last look at the lock were long ago.
func putTenant(t *testing.T, s *Store) error {
	s.lock.looked = time.Time{}
	return s.PutTenant(t.Context(), &pki.Tenant{ID: pki.TenantID(pki.NewOpaqueID()), Organization: "x"}, pki.Event{})
}

// TestLockDeleted: with the lock file gone another process can open the database, and
// then the one that had it commits nothing, whatever becomes of the file.
func TestLockDeleted(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		s := open(t, dir)
		defer s.Close()
		if err := putTenant(t, s); err != nil {
			t.Error(err)
		}
		return
	}
	dir := t.TempDir()
	board := alarm.NewBoard(time.Now)
	s := openWith(t, dir, Options{Alarms: board})
	defer s.Close()
	if err := putTenant(t, s); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "pando.db.lock")); err != nil {
		t.Fatal(err)
	}
	if out, err := child(t, "TestLockDeleted", dir); err != nil {
		t.Fatalf("the other process: %v: %s", err, out)
	}
	for range 2 {
		if err := putTenant(t, s); pki.KindOf(err) != pki.Unavailable || !strings.Contains(pki.DetailOf(err), "stores nothing") {
			t.Errorf("stored without a lock: %v", err)
		}
	}
	tenants, err := s.Tenants(t.Context())
	if err != nil || len(tenants) != 2 {
		t.Errorf("%d tenants, %v; want that of before and the other's", len(tenants), err)
	}
	alarms := board.All()
	if len(alarms) != 1 || alarms[0].Name != "store.unlocked" || !strings.Contains(alarms[0].What, "pando.db.lock was deleted or replaced") {
		t.Errorf("alarms %+v", alarms)
	}
}

// TestDatabaseReplaced: what is committed to a file that has another's place is lost.
func TestDatabaseReplaced(t *testing.T) {
	dir := t.TempDir()
	board := alarm.NewBoard(time.Now)
	s := openWith(t, dir, Options{Alarms: board})
	defer s.Close()
	path := filepath.Join(dir, "pando.db")
	backup, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path+".backup", backup, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".backup", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := putTenant(t, s); pki.KindOf(err) != pki.Unavailable {
		t.Errorf("stored in a file that is not there: %v", err)
	}
	if alarms := board.All(); len(alarms) != 1 || !strings.Contains(alarms[0].What, "pando.db was deleted or replaced") {
		t.Errorf("alarms %+v", alarms)
	}
}
