package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

const selectArchive = `SELECT id, tenant, state, created, before, first_row, last_row, removed, finished, manifest FROM archive `

func scanArchive(row row) (*retention.Archive, error) {
	a := new(retention.Archive)
	var manifest string
	err := row.Scan(&a.ID, &a.Tenant, &a.State, intoTime{&a.Created}, intoTime{&a.Before}, &a.FirstRow, &a.LastRow, &a.Removed, intoTime{&a.Finished}, &manifest)
	if err != nil || manifest == "" {
		return a, err
	}
	a.Manifest, err = retention.ParseManifest(manifest)
	return a, err
}

// PutArchive implements retention.Store.
func (s *Store) PutArchive(ctx context.Context, a *retention.Archive) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO archive (id, tenant, state, created, before, first_row, last_row, finished, removed, manifest)
			VALUES ($1, $2, 'planned', $3, $4, $5, $6, 0, 0, '')`, a.ID, a.Tenant, micros(a.Created), micros(a.Before), a.FirstRow, a.LastRow)
		if err != nil {
			return fmt.Errorf("storing an archive: %w", err)
		}
		return nil
	})
}

// DropArchive implements retention.Store.
func (s *Store) DropArchive(ctx context.Context, a *retention.Archive) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM archive WHERE id = $1 AND tenant = $2 AND state = 'planned'`, a.ID, a.Tenant)
		return err
	})
}

// ArchiveWritten implements retention.Store.
func (s *Store) ArchiveWritten(ctx context.Context, a *retention.Archive, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE archive SET state = 'written', manifest = $1 WHERE id = $2 AND tenant = $3 AND state = 'planned'`, a.Manifest.String(), a.ID, a.Tenant)
		switch {
		case err != nil:
			return fmt.Errorf("storing an archive's manifest: %w", err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "the archive %s is not planned any more", a.ID)
		}
		return t.event(e)
	})
}

// Remove implements retention.Store.
func (s *Store) Remove(ctx context.Context, a *retention.Archive, entries []retention.Entry) (held int, err error) {
	err = s.update(ctx, func(t *tx) error {
		num, err := one(ctx, t, scanInt, `SELECT num FROM archive WHERE id = $1 AND tenant = $2 AND state = 'written'`, a.ID, a.Tenant)
		if num, err = found(num, err, "archive %s that is written", a.ID); err != nil {
			return err
		}
		held = 0
		removed := int64(0)
		for i := range entries {
			n, stays, err := t.archive(num, &entries[i])
			if err != nil {
				return fmt.Errorf("archiving certificate %s: %w", pki.Serial(entries[i].Leaf.Serial), err)
			}
			removed += n
			if stays {
				held++
			}
		}
		if err := t.claimArchived(a.Tenant, entries); err != nil {
			return err
		}
		if err := t.dropRequests(a.Tenant, entries); err != nil {
			return err
		}
		_, err = t.exec(`UPDATE archive SET removed = removed + $1 WHERE num = $2`, removed, num)
		return err
	})
	return held, err
}

// archive takes a certificate's row away and notes where it is; 0 where it was gone,
// or is on hold and stays.
func (t *tx) archive(archive int64, e *retention.Entry) (removed int64, held bool, err error) {
	issuer, err := t.s.issuerInfo(context.Background(), e.Leaf.Issuer)
	if err != nil {
		return 0, false, err
	}
	serial := pki.Serial(e.Leaf.Serial)
	k, err := stateOf(context.Background(), t, issuer, e.Leaf.Issuer, serial)
	if err != nil || k.held() && !k.archived() {
		return 0, err == nil, err
	}
	rows, err := t.exec(`INSERT INTO archived (id, serial, issuer, archive, not_after, batch, row_no)
		SELECT id, serial, issuer, $1, not_after, batch, row_no FROM certificate WHERE id = $2 AND serial = $3 AND issuer = $4`,
		archive, e.Row, serial[:], issuer.num)
	if err != nil || rows == 0 {
		return 0, false, err
	}
	if err := t.unindex(issuer, e); err != nil {
		return 0, false, err
	}
	if err := t.freeRow(e.Leaf.Owner, e.Row); err != nil {
		return 0, false, err
	}
	removed, err = t.exec(`DELETE FROM certificate WHERE id = $1`, e.Row)
	return removed, false, err
}

// unindex takes a certificate out of the indexes that its authority keeps.
func (t *tx) unindex(issuer issuerInfo, e *retention.Entry) error {
	for _, index := range issuer.indexes {
		var err error
		switch index {
		case pki.IndexFingerprint:
			_, err = t.exec(`DELETE FROM certificate_fingerprint WHERE fp8 = $1 AND certificate = $2`, e.Leaf.SHA256[:8], e.Row)
		case pki.IndexSubject:
			for _, token := range subjectTokens(e.DER) {
				if err == nil {
					_, err = t.exec(`DELETE FROM certificate_subject WHERE tenant = $1 AND token = $2 AND certificate = $3`, issuer.tenant, token, e.Row)
				}
			}
		case pki.IndexExpiry:
			_, err = t.exec(`DELETE FROM certificate_expiry WHERE tenant = $1 AND not_after = $2 AND certificate = $3`, issuer.tenant, micros(e.Leaf.NotAfter), e.Row)
		}
		if err != nil {
			return fmt.Errorf("index by %s: %w", index, err)
		}
	}
	return nil
}

// ArchiveDone implements retention.Store.
func (s *Store) ArchiveDone(ctx context.Context, a *retention.Archive, now time.Time) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE archive SET state = 'done', finished = $1 WHERE id = $2 AND tenant = $3 AND state = 'written' AND removed = $4`,
			micros(now), a.ID, a.Tenant, a.Manifest.Certificates)
		switch {
		case err != nil:
			return fmt.Errorf("finishing an archive: %w", err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "archive %s has %d certificates, and not as many are archived in it: run 'pando check'", a.ID, a.Manifest.Certificates)
		}
		return nil
	})
}

// UnfinishedArchives implements retention.Store.
func (s *Store) UnfinishedArchives(ctx context.Context, tenant pki.TenantID) ([]*retention.Archive, error) {
	return s.archives(ctx, selectArchive+`WHERE tenant = $1 AND state <> 'done' ORDER BY num`, tenant)
}

// Archives implements retention.Store.
func (s *Store) Archives(ctx context.Context, tenant pki.TenantID, before retention.ID, limit int) ([]*retention.Archive, error) {
	return s.archives(ctx, selectArchive+`WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, tenant, orNewest(string(before)), limit)
}

// AllArchives implements check.Store.
func (s *Store) AllArchives(ctx context.Context, after retention.ID, limit int) ([]*retention.Archive, error) {
	return s.archives(ctx, selectArchive+`WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
}

func (s *Store) archives(ctx context.Context, text string, args ...any) ([]*retention.Archive, error) {
	all, err := list(ctx, s.read, scanArchive, text, args...)
	if err != nil {
		return nil, fmt.Errorf("listing archives: %w", err)
	}
	return all, nil
}

// Archive implements retention.Store.
func (s *Store) Archive(ctx context.Context, tenant pki.TenantID, id retention.ID) (*retention.Archive, error) {
	a, err := one(ctx, s.read, scanArchive, selectArchive+`WHERE tenant = $1 AND id = $2`, tenant, id)
	return found(a, err, "archive %.40q", id)
}

// ArchivedAt implements retention.Store.
func (s *Store) ArchivedAt(ctx context.Context, tenant pki.TenantID, from int64, limit int) (map[int64]retention.ID, error) {
	num, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, err
	}
	groups, err := s.groupsAt(ctx, num, from, limit)
	if err != nil {
		return nil, err
	}
	where := make(map[int64]retention.ID)
	for _, g := range groups {
		if g.kind != leafCertificates {
			continue
		}
		_, err := list(ctx, s.read, func(row row) (none struct{}, err error) {
			var id int64
			var archive retention.ID
			if err = row.Scan(&id, &archive); err != nil {
				return none, err
			}
			if index := g.firstIndex + id - g.firstRow; index >= from && index < from+int64(limit) {
				where[index] = archive
			}
			return none, nil
		}, `SELECT d.id, a.id FROM archived d JOIN archive a ON a.num = d.archive WHERE d.id >= $1 AND d.id < $2`, g.firstRow, g.firstRow+g.count)
		if err != nil {
			return nil, fmt.Errorf("reading what is archived: %w", err)
		}
	}
	return where, nil
}

// ScanArchived implements check.Store.
func (s *Store) ScanArchived(ctx context.Context, archive retention.ID, after int64, limit int) ([]check.Stub, error) {
	return s.stubs(ctx, `JOIN archive a ON a.num = d.archive AND d.id >= a.first_row AND d.id <= a.last_row
		WHERE d.id > $1 AND a.id = $3`, after, limit, archive)
}

// ScanStray implements check.Store.
func (s *Store) ScanStray(ctx context.Context, after int64, limit int) ([]check.Stub, error) {
	return s.stubs(ctx, `WHERE d.id > $1 AND NOT EXISTS
		(SELECT 1 FROM archive a WHERE a.num = d.archive AND a.state <> 'planned' AND d.id >= a.first_row AND d.id <= a.last_row)`, after, limit)
}

func (s *Store) stubs(ctx context.Context, which string, after int64, limit int, more ...any) ([]check.Stub, error) {
	stubs, err := list(ctx, s.read, func(row row) (c check.Stub, err error) {
		err = row.Scan(&c.ID, &c.Issuer, intoArray(c.Serial[:]), intoTime{&c.NotAfter}, &c.Batch, &c.Row)
		return c, err
	}, `SELECT d.id, coalesce(i.text, ''), d.serial, d.not_after, coalesce(b.text, ''), d.row_no
		FROM archived d LEFT JOIN ref i ON i.num = d.issuer LEFT JOIN ref b ON b.num = d.batch `+which+` ORDER BY d.id LIMIT $2`,
		append([]any{after, limit}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("reading what is archived: %w", err)
	}
	return stubs, nil
}

// Archived implements trace.Store: it is NotFound and says where a certificate is
// that is not in the store any more; nil where it is not archived.
func (s *Store) Archived(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) error {
	num := int64(0)
	if issuer != "" {
		var err error
		if num, err = s.findRef(ctx, issuerRef(issuer)); err != nil || num == 0 {
			return err
		}
	}
	return archivedIn(ctx, s.read, pki.NotFound, tenant, num, serial)
}

// archivedIn says, as an error of the given kind, where a certificate is archived; nil
// where it is not, in an archive of the tenant. An issuer of 0 is any.
func archivedIn(ctx context.Context, from source, kind pki.Kind, tenant pki.TenantID, issuer int64, serial pki.Serial) error {
	a, err := one(ctx, from, scanArchive, selectArchive+`WHERE tenant = $1 AND num IN
		(SELECT archive FROM archived WHERE serial = $2 AND (issuer = $3 OR $3 = 0))`, tenant, serial[:], issuer)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("looking for a certificate among those that are archived: %w", err)
	}
	return pki.Errorf(kind, "the certificate with serial %s has expired and is archived: archive %s, object %s", serial, a.ID, a.Manifest.Object)
}
