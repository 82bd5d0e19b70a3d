package retention

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Search looks for certificates of a tenant that can be archived: those that it
// issued to itself, that expired before Before and whose place in the log is
// anchored, but neither those on hold nor those of a lot that has no report yet,
// which is made of its certificates. The store's last certificate is never among
// them, so that no other gets its row number.
type Search struct {
	Tenant  pki.TenantID
	Before  time.Time
	After   int64 // row
	Through int64 // row; the last that is looked at
}

// A Due is how many certificates of a tenant have expired before a time.
type Due struct {
	Expired int64
	// InOpenLots of them wait until their lot is closed, Unanchored until the log
	// is anchored beyond them.
	InOpenLots int64
	Unanchored int64
}

// Store is what retention needs kept. All methods are safe for concurrent use.
type Store interface {
	// Tenants is hierarchy.Store's.
	Tenants(ctx context.Context) ([]*pki.Tenant, error)
	// Keep returns for how long a tenant's expired certificates stay; 0 is for good.
	Keep(ctx context.Context, tenant pki.TenantID) (time.Duration, error)
	// SetKeep sets it, where it is from still, and stores the event; Conflict where
	// it is not.
	SetKeep(ctx context.Context, tenant pki.TenantID, from, to time.Duration, e pki.Event) error
	// CountDue counts without changing anything.
	CountDue(ctx context.Context, tenant pki.TenantID, before time.Time) (Due, error)
	// LastRow returns the number of the store's last row of a certificate.
	LastRow(ctx context.Context) (int64, error)
	// Expired returns what a search finds, in order of row, each as it is archived.
	// It returns an error where a certificate's bytes are not those that were stored.
	Expired(ctx context.Context, search Search) ([]Entry, error)

	// PutArchive stores a planned archive.
	PutArchive(ctx context.Context, a *Archive) error
	// DropArchive forgets an archive that is still planned.
	DropArchive(ctx context.Context, a *Archive) error
	// ArchiveWritten moves an archive from Planned to Written, stores its manifest
	// and the event, whose leaf is the manifest's; Conflict where it was not planned.
	ArchiveWritten(ctx context.Context, a *Archive, e pki.Event) error
	// Remove takes the rows of the entries of a written archive out of the store,
	// in one transaction; those that are out already are left alone. It notes of
	// each that it is archived. Those that are on hold by then stay, and it returns
	// how many these are.
	Remove(ctx context.Context, a *Archive, entries []Entry) (held int, err error)
	// ArchiveDone moves an archive from Written to Done where as many certificates
	// are archived in it as its manifest says; else it is Conflict.
	ArchiveDone(ctx context.Context, a *Archive, now time.Time) error
	// UnfinishedArchives returns the archives of a tenant that are not done, the
	// oldest first.
	UnfinishedArchives(ctx context.Context, tenant pki.TenantID) ([]*Archive, error)
	// Archives returns up to limit archives with ids below before, newest first; a
	// before of "" is the newest.
	Archives(ctx context.Context, tenant pki.TenantID, before ID, limit int) ([]*Archive, error)
	Archive(ctx context.Context, tenant pki.TenantID, id ID) (*Archive, error)
	// ArchivedAt returns the archives of those certificates that are archived, of
	// limit places of a tenant's log from one on, by place.
	ArchivedAt(ctx context.Context, tenant pki.TenantID, from int64, limit int) (map[int64]ID, error)
}

// Objects is the place of the archives: a directory or a bucket. See package blob.
type Objects interface {
	// Create writes an object that never changes and returns when it is durable; one
	// that is there with the same content is left alone.
	Create(ctx context.Context, name string, content []byte, contentType string) error
	Read(ctx context.Context, name string, limit int64) (content []byte, version string, err error)
	Kind() string // "directory" or "bucket"
}
