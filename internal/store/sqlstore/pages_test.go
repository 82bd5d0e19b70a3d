package sqlstore

import (
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// answers has a place of its own, so that an address in it stays good.
var answers [2]int32

// TestPagesShareMemory: the pages of an open store lie in the memory that all share.
func TestPagesShareMemory(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	tls := libc.NewTLS()
	defer tls.Close()
	current, highest := uintptr(unsafe.Pointer(&answers[0])), uintptr(unsafe.Pointer(&answers[1]))
	if rc := sqlite3.Xsqlite3_status(tls, sqlite3.SQLITE_STATUS_PAGECACHE_USED, current, highest, 0); rc != sqlite3.SQLITE_OK {
		t.Fatalf("SQLite's status: %d", rc)
	}
	if answers[0] == 0 {
		t.Error("no page is in the shared memory")
	}
}
