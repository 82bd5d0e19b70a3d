package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pando-pki/pando/internal/pki"
)

// This file is all that knows SQLite. Every statement elsewhere is in the common
// subset of SQLite and PostgreSQL.

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// begin opens a transaction that may write; it takes the write lock at once, so
// that no statement in it fails because of another writer.
const begin = "BEGIN IMMEDIATE"

// insertRows begins a statement that inserts several rows. Where it fails, what it
// inserted stays: the transaction is rolled back then as a whole (see Store.try), and
// SQLite need not keep what would undo the statement alone.
const insertRows = "INSERT OR FAIL INTO "

// native returns a statement as the driver takes it with the least work: numbered
// parameters that come in order become plain ones, else it looks each of them up by
// its name; where one comes again it stays numbered. (SQL text in this package has no
// other dollar signs.) A limit is a sum: of a bare parameter SQLite makes part of the
// plan, and plans anew each time that it is bound.
func native(text string) string {
	text = strings.ReplaceAll(text, "LIMIT $", "LIMIT 0+$")
	parts := strings.Split(text, "$")
	known := 0
	for i, part := range parts[1:] {
		rest := strings.TrimLeft(part, "0123456789")
		n, err := strconv.Atoi(part[:len(part)-len(rest)])
		switch {
		case err != nil || n < 1 || n > known+1:
			return text
		case n > known:
			known = n
			parts[i+1] = rest
		}
	}
	return strings.Join(parts, "?")
}

// The pragmas of every connection. With synchronous=FULL a commit returns when
// the log of the database is on the disk; with anything less the last commits,
// and with them certificates that devices already hold, can vanish with the
// power.
func pragmas(cacheMiB int, synchronous string) url.Values {
	v := url.Values{}
	for _, p := range []string{
		"busy_timeout(5000)",
		"journal_mode(WAL)",
		"synchronous(" + synchronous + ")",
		"foreign_keys(1)",
		"trusted_schema(0)",
		"wal_autocheckpoint(4000)", // pages: 16 MiB
		fmt.Sprintf("cache_size(-%d)", cacheMiB<<10),
	} {
		v.Add("_pragma", p)
	}
	return v
}

// writerDB returns the database for one connection that writes.
func writerDB(path string, o Options) (*sql.DB, error) {
	v := pragmas(o.WriterCacheMiB, o.synchronous)
	v.Add("_pragma", "temp_store(2)") // what undoes a statement of many rows is in memory, not in a file
	db, err := openDB(path, v)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// readerDB returns the database for connections that only read.
func readerDB(path string, o Options) (*sql.DB, error) {
	v := pragmas(o.ReaderCacheMiB, o.synchronous)
	v.Add("_pragma", "query_only(1)")
	db, err := openDB(path, v)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(o.Readers)
	db.SetMaxIdleConns(o.Readers)
	return db, nil
}

func openDB(path string, params url.Values) (*sql.DB, error) {
	sharePages()
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + params.Encode()
	c, err := sqlite.NewConnector(name)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(safeConnector{c}), nil
}

// A safeConnector makes connections and refuses those that would not keep what
// they commit. It reads the settings back, since the driver ignores parameters
// that it does not know.
type safeConnector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c safeConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkDurable(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func checkDurable(ctx context.Context, conn driver.Conn) error {
	for _, want := range []struct{ pragma, value, name string }{
		{"journal_mode", "wal", "WAL"},
		{"synchronous", "2", "FULL"},
	} {
		got, err := readPragma(ctx, conn, want.pragma)
		if err != nil {
			return fmt.Errorf("reading pragma %s: %w", want.pragma, err)
		}
		if got != want.value {
			return pki.Errorf(pki.Unavailable, "the database would not be safe: %s is %q and must be %s, else issued certificates are lost when the power fails; keep the data on a local disk that supports it", want.pragma, got, want.name)
		}
	}
	return nil
}

func readPragma(ctx context.Context, conn driver.Conn, name string) (string, error) {
	q, ok := conn.(driver.QueryerContext)
	if !ok {
		return "", fmt.Errorf("the driver cannot query")
	}
	rows, err := q.QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	value := make([]driver.Value, 1)
	if err := rows.Next(value); err != nil {
		return "", err
	}
	return fmt.Sprint(value[0]), nil
}

// cannotWrite reports whether an error says that the database's files cannot be
// written now: the disk is full, fails or is read-only, or another process holds
// the database. It may pass.
func cannotWrite(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff { // the primary code of an extended one
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY:
		return true
	}
	return false
}

// noSpace reports whether an error says that a disk is full. SQLite has a code for that,
// and another where it makes room in the -shm file (sqlite.org/rescode.html).
func noSpace(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE) ||
		errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// readOnly reports whether an error says that a disk or a file is read-only.
func readOnly(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_READONLY || errors.Is(err, unix.EROFS)
}

// migrate brings the schema to the newest version that this binary knows, and
// refuses one that is newer.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	if newest := sources[len(sources)-1].Version; has > newest {
		return pki.Errorf(pki.Unavailable, "the database has schema %d and this pando knows up to %d: run the newer pando that wrote it", has, newest)
	}
	_, err = p.Up(ctx)
	return err
}
