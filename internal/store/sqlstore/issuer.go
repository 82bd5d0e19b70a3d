package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/pando-pki/pando/internal/pki"
)

func (t *tx) putIssuer(i *pki.Issuer) error {
	if _, err := t.intern(tenantRef(i.Tenant)); err != nil {
		return err
	}
	num, err := t.intern(issuerRef(i.ID))
	if err != nil {
		return err
	}
	rows, err := t.exec(`INSERT INTO issuer (num, id, authority, tenant, mode, parent, key_uri, status_url, shards,
			state, not_before, not_after, created, certificate, request, deltas, follows, key_kind, new_with_old, old_with_new, profile_version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) ON CONFLICT DO NOTHING`,
		num, i.ID, i.Authority, i.Tenant, i.Mode, i.Parent, i.Key, i.StatusURL, i.Shards,
		i.State, micros(i.NotBefore), micros(i.NotAfter), micros(i.Created), bytesOf(i.Certificate), bytesOf(i.Request), number(i.Deltas),
		i.Follows, i.KeyKind, i.Links.NewWithOld, i.Links.OldWithNew, i.ProfileVersion)
	switch {
	case err != nil:
		return fmt.Errorf("storing issuer %s: %w", i.ID, err)
	case rows == 0:
		return pki.Errorf(pki.Conflict, "there is an issuer %q already, or one that its authority would switch to", i.ID)
	case len(i.Certificate) == 0:
		return nil
	}
	return t.addShards(num, i.Shards)
}

const selectIssuer = `SELECT id, authority, tenant, mode, parent, key_uri, status_url, shards,
	state, not_before, not_after, created, certificate, request, deltas, follows, key_kind, new_with_old, old_with_new, profile_version FROM issuer `

func scanIssuer(row row) (*pki.Issuer, error) {
	i := new(pki.Issuer)
	return i, row.Scan(&i.ID, &i.Authority, &i.Tenant, &i.Mode, &i.Parent, &i.Key, &i.StatusURL, &i.Shards,
		&i.State, intoTime{&i.NotBefore}, intoTime{&i.NotAfter}, intoTime{&i.Created}, &i.Certificate, &i.Request, &i.Deltas,
		&i.Follows, &i.KeyKind, &i.Links.NewWithOld, &i.Links.OldWithNew, &i.ProfileVersion)
}

// Issuers implements hierarchy.Store. An authority has an issuer from the
// beginning: where there is none, the tenant has no such authority, NotFound.
func (s *Store) Issuers(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([]*pki.Issuer, error) {
	all, err := list(ctx, s.read, scanIssuer, selectIssuer+`WHERE tenant = $1 AND authority = $2 ORDER BY created DESC, num DESC`, tenant, authority)
	if err == nil && len(all) == 0 {
		err = sql.ErrNoRows
	}
	return found(all, err, "authority %q", authority)
}

// Issuer implements hierarchy.Store.
func (s *Store) Issuer(ctx context.Context, id pki.IssuerID) (*pki.Issuer, error) {
	i, err := one(ctx, s.read, scanIssuer, selectIssuer+`WHERE id = $1`, id)
	return found(i, err, "issuer %q", id)
}

// AllIssuers implements hierarchy.Store.
func (s *Store) AllIssuers(ctx context.Context) ([]*pki.Issuer, error) {
	all, err := list(ctx, s.read, scanIssuer, selectIssuer+`WHERE length(certificate) > 0 ORDER BY num`)
	if err != nil {
		return nil, fmt.Errorf("listing issuers: %w", err)
	}
	return all, nil
}

// An issuerInfo is what is needed of an issuer with each of its certificates. Only the
// indexes ever change: there can be more of them.
type issuerInfo struct {
	num         int64
	tenant      int64
	owner       pki.TenantID // the same, by its name
	authority   string       // by its name
	authorityID pki.AuthorityID
	shards      int
	indexes     []pki.SearchIndex // also those that are being made
}

// issuers caches issuerInfo. The zero value is empty.
type issuers struct {
	mu  sync.RWMutex
	by  map[pki.IssuerID]issuerInfo // guarded by mu
	age int                         // guarded by mu; grows with each forget
}

// forget has the store read issuers anew. What is being read meanwhile is not kept.
func (i *issuers) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.by = nil
	i.age++
}

func errNoIssuer(id pki.IssuerID) error { return pki.Errorf(pki.NotFound, "no issuer %q", id) }

// seenIssuer is issuerInfo for a tenant. It is NotFound, in the same words, where there is no such issuer and where it is
// one that issues nothing for the tenant: neither its own nor of an authority that is lent to
// it, or was.
func (s *Store) seenIssuer(ctx context.Context, tenant pki.TenantID, id pki.IssuerID) (issuerInfo, error) {
	info, err := s.issuerInfo(ctx, id)
	if err != nil || info.owner == tenant {
		return info, err
	}
	_, err = one(ctx, s.read, scanInt, `SELECT 1 FROM lent WHERE child = $1 AND authority = $2`, tenant, info.authorityID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return issuerInfo{}, errNoIssuer(id)
	case err != nil:
		return issuerInfo{}, fmt.Errorf("reading what was lent: %w", err)
	}
	return info, nil
}

// issuerInfo returns what is known of an issuer, or NotFound.
func (s *Store) issuerInfo(ctx context.Context, id pki.IssuerID) (issuerInfo, error) {
	s.issuers.mu.RLock()
	info, ok := s.issuers.by[id]
	age := s.issuers.age
	s.issuers.mu.RUnlock()
	if ok {
		return info, nil
	}
	info, err := one(ctx, s.read, func(row row) (i issuerInfo, err error) {
		var indexes, indexing string
		err = row.Scan(&i.num, &i.tenant, &i.owner, &i.authority, &i.authorityID, &i.shards, &indexes, &indexing)
		i.indexes = append(split[pki.SearchIndex](indexes), split[pki.SearchIndex](indexing)...)
		return i, err
	}, `SELECT i.num, r.num, i.tenant, a.name, a.id, i.shards, a.indexes, a.indexing FROM issuer i JOIN authority a ON a.id = i.authority
		JOIN ref r ON r.kind = 'tenant' AND r.tenant = '' AND r.text = i.tenant WHERE i.id = $1`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return issuerInfo{}, errNoIssuer(id)
	}
	if err != nil {
		return issuerInfo{}, fmt.Errorf("reading issuer %s: %w", id, err)
	}
	s.issuers.mu.Lock()
	defer s.issuers.mu.Unlock()
	if s.issuers.age != age {
		return info, nil
	}
	if s.issuers.by == nil {
		s.issuers.by = map[pki.IssuerID]issuerInfo{}
	}
	s.issuers.by[id] = info
	return info, nil
}
