package sqlstore

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
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

// TestReaderKeepsPages: a reader has a cache also after the writer has filled its own: it
// reads a page once, not for each row.
func TestReaderKeepsPages(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	const rows = 8000
	long := strings.Repeat("x", 3000) // a page for each row, 32 MB in all
	for at := 0; at < rows; at += 500 {
		if err := s.update(t.Context(), func(x *tx) error {
			for i := range 500 {
				if _, err := x.exec(`INSERT INTO event (num, id, tenant, at, actor, action, target, detail) VALUES ($1, $2, '', 0, '', '', '', $3)`, at+i, strconv.Itoa(at+i), long); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread() // whose reads are counted
	defer runtime.UnlockOSThread()
	read := func(first, end int) {
		for num := first; num < end; num++ {
			if _, err := one(t.Context(), s.read, scanInt, `SELECT length(detail) FROM event WHERE num = $1`, num); err != nil {
				t.Fatal(err)
			}
		}
	}
	read(0, 2000) // more than its cache has
	const some, times = 50, 20
	read(0, some)
	before := threadReads(t)
	for range times {
		read(0, some)
	}
	if n := threadReads(t) - before; n > some*times/5 {
		t.Errorf("%d rows took %d reads of the file, though they had been read before", some*times, n)
	}
}

// threadReads returns how often this thread has read a file.
func threadReads(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(regexp.MustCompile(`syscr: (\d+)`).FindSubmatch(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
