package sqlstore

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	pageSize  = 4096 // of the database: SQLite's default
	pageNotes = 512  // more than what SQLite notes of a page
	poolPages = 5120 // 20 MiB: those of the writer, and of a few readers
)

// sharePages gives SQLite memory for the pages that all connections have in their
// caches, in slots of just the size of a page with what is noted of it; when there is
// none left, the page goes that was not used for longest, whosever it is. Else each page
// comes from an allocator that rounds up to powers of two, 8 KiB for a page of 4, and
// each cache fills up by itself.
//
// The bounds of the caches together have to be above these pages, so that the pages are
// what ends first. Else, when all caches have as many pages as their bounds say together,
// SQLite drops each page that a reader fetches as soon as it was used, not the oldest.
//
// SQLite takes it once in a process, before the first database is opened. Where it does
// not, nothing is lost but memory.
var sharePages = sync.OnceFunc(func() {
	pool, err := unix.Mmap(-1, 0, (pageSize+pageNotes)*poolPages, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return
	}
	tls := libc.NewTLS()
	defer tls.Close()
	at := uintptr(unsafe.Pointer(&pool[0])) // its beginning holds the arguments: three words, and one to answer in
	if sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_PCACHE_HDRSZ, libc.VaList(at, at+24)) != sqlite3.SQLITE_OK {
		return
	}
	notes := int32(binary.NativeEndian.Uint32(pool[24:]))
	if notes > pageNotes {
		return
	}
	sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_PAGECACHE, libc.VaList(at, at, pageSize+notes, int32(poolPages)))
})
