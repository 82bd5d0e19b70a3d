package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
)

// PutSecret implements enrolauth.Store.
func (s *Store) PutSecret(ctx context.Context, k *enrolauth.Secret, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`INSERT INTO enrol_secret (id, tenant, endpoint, name, device, subject, once, chosen, salt, hash, maker, created, expires, revoked)
			SELECT $1, tenant, name, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM endpoint WHERE tenant = $2 AND name = $3`,
			k.ID, k.Tenant, k.Endpoint, k.Name, k.Device, k.Subject, number(k.Once), number(len(k.Salt) > 0), bytesOf(k.Salt), k.Hash, k.Maker,
			micros(k.Created), micros(k.Expires), micros(k.Revoked))
		switch {
		case err != nil:
			return fmt.Errorf("storing secret %s: %w", k.ID, err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no endpoint %q", k.Endpoint)
		}
		return t.event(e)
	})
}

const selectSecret = `SELECT id, tenant, endpoint, name, device, subject, once, salt, hash, maker, created, expires, revoked FROM enrol_secret `

func scanSecret(row row) (*enrolauth.Secret, error) {
	k := new(enrolauth.Secret)
	err := row.Scan(&k.ID, &k.Tenant, &k.Endpoint, &k.Name, &k.Device, &k.Subject, &k.Once, intoBytes{&k.Salt}, intoBytes{&k.Hash},
		&k.Maker, intoTime{&k.Created}, intoTime{&k.Expires}, intoTime{&k.Revoked})
	return k, err
}

// Secret implements enrolauth.Store.
func (s *Store) Secret(ctx context.Context, tenant pki.TenantID, id pki.SecretID) (*enrolauth.Secret, error) {
	k, err := one(ctx, s.read, scanSecret, selectSecret+`WHERE tenant = $1 AND id = $2`, tenant, id)
	return found(k, err, "secret %q", id)
}

// secretsBy returns the query for secrets; the values of the filter are its last
// arguments.
func secretsBy(f enrolauth.Filter) string {
	where, n := `WHERE tenant = $1 AND id < $2`, 4
	if f.Endpoint != "" {
		where += fmt.Sprintf(` AND endpoint = $%d`, n)
		n++
	}
	if f.Device != "" {
		where += fmt.Sprintf(` AND device <> '' AND device = $%d`, n) // the first for the index
	}
	return selectSecret + where + ` ORDER BY id DESC LIMIT $3`
}

// Secrets implements enrolauth.Store.
func (s *Store) Secrets(ctx context.Context, tenant pki.TenantID, f enrolauth.Filter, before pki.SecretID, limit int) ([]*enrolauth.Secret, error) {
	text, args := secretsBy(f), []any{tenant, orNewest(string(before)), limit}
	for _, value := range []string{f.Endpoint, string(f.Device)} {
		if value != "" {
			args = append(args, value)
		}
	}
	all, err := list(ctx, s.read, scanSecret, text, args...)
	if err != nil {
		return nil, fmt.Errorf("listing secrets: %w", err)
	}
	return all, nil
}

const chosenSecrets = selectSecret + `WHERE tenant = $1 AND endpoint = $2 AND chosen = 1 AND revoked = 0 AND expires > $3 ORDER BY expires, id`

// ChosenSecrets implements enrolauth.Store.
func (s *Store) ChosenSecrets(ctx context.Context, tenant pki.TenantID, endpoint string, at time.Time) ([]*enrolauth.Secret, error) {
	all, err := list(ctx, s.read, scanSecret, chosenSecrets, tenant, endpoint, micros(at))
	if err != nil {
		return nil, fmt.Errorf("listing chosen secrets: %w", err)
	}
	return all, nil
}

// RevokeSecret implements enrolauth.Store. Of a secret that is revoked already nothing
// changes, and there is no event.
func (s *Store) RevokeSecret(ctx context.Context, tenant pki.TenantID, id pki.SecretID, at time.Time, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		k, err := one(ctx, t, scanSecret, selectSecret+`WHERE tenant = $1 AND id = $2`, tenant, id)
		if _, err := found(k, err, "secret %q", id); err != nil {
			return err
		}
		if !k.Revoked.IsZero() {
			return nil
		}
		if _, err := t.exec(`UPDATE enrol_secret SET revoked = $1 WHERE tenant = $2 AND id = $3`, micros(at), tenant, id); err != nil {
			return fmt.Errorf("revoking secret %s: %w", id, err)
		}
		return t.event(e)
	})
}

const purgeSecrets = `DELETE FROM enrol_secret WHERE id IN (SELECT id FROM enrol_secret WHERE expires < $1 ORDER BY expires LIMIT $2)`

// PurgeSecrets forgets up to limit secrets that expired before a time, and returns how
// many. Events tell of them still.
func (s *Store) PurgeSecrets(ctx context.Context, before time.Time, limit int) (int, error) {
	var purged int64
	err := s.update(ctx, func(t *tx) (err error) {
		purged, err = t.exec(purgeSecrets, micros(before), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("purging secrets: %w", err)
	}
	return int(purged), nil
}
