package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

const selectProfile = `SELECT tenant, name, version, hash, created, source FROM profile `

func scanProfile(row row) (*pki.ProfileVersion, error) {
	p := new(pki.ProfileVersion)
	return p, row.Scan(&p.Tenant, &p.Name, &p.Version, intoArray(p.Hash[:]), intoTime{&p.Created}, &p.Source)
}

const latestProfile = selectProfile + `WHERE tenant = $1 AND name = $2 ORDER BY version DESC LIMIT 1`

// PutProfile implements hierarchy.Store.
func (s *Store) PutProfile(ctx context.Context, p *pki.ProfileVersion, q *quota.Quota, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		latest, err := one(ctx, t, scanProfile, latestProfile, p.Tenant, p.Name)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			latest = new(pki.ProfileVersion)
		case err != nil:
			return fmt.Errorf("reading profile %s: %w", p.Name, err)
		case latest.Hash == p.Hash:
			*p = *latest
			p.Repeated = true
			return nil
		case p.Version != 0 && p.Version != latest.Version+1:
			return pki.Errorf(pki.Conflict, "the next version of the profile %s is %d, not %d", p.Name, latest.Version+1, p.Version)
		}
		p.Version = latest.Version + 1
		num, err := t.intern(profileRef(p.ProfileRef))
		if err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO profile (num, tenant, name, version, hash, created, source) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			num, p.Tenant, p.Name, p.Version, p.Hash[:], micros(p.Created), p.Source); err != nil {
			return fmt.Errorf("storing profile %s: %w", p.Name, err)
		}
		e.Detail = fmt.Sprintf("version %d, %s", p.Version, e.Detail)
		return t.eventWithQuota(q, e)
	})
}

// Profile implements hierarchy.Store.
func (s *Store) Profile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error) {
	if ref.Version == 0 {
		p, err := one(ctx, s.read, scanProfile, latestProfile, ref.Tenant, ref.Name)
		return found(p, err, "profile %q", ref.Name)
	}
	p, err := one(ctx, s.read, scanProfile, selectProfile+`WHERE tenant = $1 AND name = $2 AND version = $3`, ref.Tenant, ref.Name, ref.Version)
	return found(p, err, "version %d of profile %q", ref.Version, ref.Name)
}

// Profiles implements hierarchy.Store.
func (s *Store) Profiles(ctx context.Context, tenant pki.TenantID) ([]*pki.ProfileVersion, error) {
	all, err := list(ctx, s.read, scanProfile, selectProfile+`p WHERE tenant = $1
		AND NOT EXISTS (SELECT 1 FROM profile l WHERE l.tenant = p.tenant AND l.name = p.name AND l.version > p.version)
		ORDER BY name`, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing profiles: %w", err)
	}
	return all, nil
}

// ProfileVersions implements hierarchy.Store.
func (s *Store) ProfileVersions(ctx context.Context, tenant pki.TenantID, name string) ([]*pki.ProfileVersion, error) {
	all, err := list(ctx, s.read, scanProfile, `SELECT tenant, name, version, hash, created, '' FROM profile
		WHERE tenant = $1 AND name = $2 ORDER BY version DESC`, tenant, name)
	if err != nil {
		return nil, fmt.Errorf("listing the versions of profile %s: %w", name, err)
	}
	if len(all) == 0 {
		return nil, pki.Errorf(pki.NotFound, "no profile %q", name)
	}
	// Each version has one event of its own at least, and few others are about a profile.
	published, err := list(ctx, s.read, scanEvent, selectEvent+`WHERE tenant = $1 AND target = $2 AND action = 'profile.publish'`, tenant, "profile:"+name)
	if err != nil {
		return nil, fmt.Errorf("listing who published profile %s: %w", name, err)
	}
	by := make(map[string]string, len(published))
	for _, e := range published { // as PutProfile details them
		version, _, _ := strings.Cut(e.Detail, ",")
		by[version] = e.Actor
	}
	for _, p := range all {
		p.By = by[fmt.Sprintf("version %d", p.Version)]
	}
	return all, nil
}
