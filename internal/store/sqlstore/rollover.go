package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// PutIssuer implements hierarchy.Store.
func (s *Store) PutIssuer(ctx context.Context, i *pki.Issuer, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		a, err := one(ctx, t, scanAuthority, selectAuthority+`WHERE tenant = $1 AND id = $2`, i.Tenant, i.Authority)
		if _, err := found(a, err, "authority %q", i.Authority); err != nil {
			return err
		}
		if a.State != pki.AuthorityActive {
			return pki.Errorf(pki.Conflict, "the authority is %s, not %s", a.State, pki.AuthorityActive)
		}
		if err := t.putIssuer(i); err != nil {
			return err
		}
		return t.event(e)
	})
}

// InstallIssuer implements hierarchy.Store.
func (s *Store) InstallIssuer(ctx context.Context, tenant pki.TenantID, id pki.IssuerID, certificate []byte, links pki.RootLinks, notBefore, notAfter time.Time, signed []*issuance.Intent, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		i, err := t.issuerIn(ctx, tenant, id, pki.IssuerPending)
		if err != nil {
			return err
		}
		first, err := t.exec(`UPDATE authority SET state = $1 WHERE id = $2 AND state = $3`, pki.AuthorityActive, i.Authority, pki.AuthorityPending)
		if err != nil {
			return fmt.Errorf("activating authority %s: %w", i.Authority, err)
		}
		state := pki.IssuerNext
		if first > 0 {
			state = pki.IssuerActive
		}
		if _, err := t.exec(`UPDATE issuer SET certificate = $1, not_before = $2, not_after = $3, state = $4, new_with_old = $5, old_with_new = $6 WHERE id = $7`,
			certificate, micros(notBefore), micros(notAfter), state, links.NewWithOld, links.OldWithNew, id); err != nil {
			return fmt.Errorf("storing the certificate of issuer %s: %w", id, err)
		}
		num, err := t.intern(issuerRef(id))
		if err != nil {
			return err
		}
		if err := t.addShards(num, i.Shards); err != nil {
			return err
		}
		if len(signed) > 0 {
			if err := t.register(signed, e.At); err != nil {
				return err
			}
		}
		return t.event(e)
	})
}

// SwitchIssuer implements hierarchy.Store.
func (s *Store) SwitchIssuer(ctx context.Context, tenant pki.TenantID, id pki.IssuerID, commonName string, kind pki.KeyKind, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		i, err := t.issuerIn(ctx, tenant, id, pki.IssuerNext)
		if err != nil {
			return err
		}
		rows, err := t.exec(`UPDATE authority SET common_name = $1, key_kind = $2 WHERE id = $3 AND state = $4`, commonName, kind, i.Authority, pki.AuthorityActive)
		switch {
		case err != nil:
			return fmt.Errorf("switching authority %s: %w", i.Authority, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "the authority is not %s", pki.AuthorityActive)
		}
		if _, err := t.exec(`UPDATE issuer SET state = $1 WHERE authority = $2 AND state = $3`, pki.IssuerEarlier, i.Authority, pki.IssuerActive); err != nil {
			return fmt.Errorf("switching authority %s: %w", i.Authority, err)
		}
		if err := t.setIssuerState(id, pki.IssuerActive); err != nil {
			return err
		}
		return t.event(e)
	})
}

// DropIssuer implements hierarchy.Store.
func (s *Store) DropIssuer(ctx context.Context, tenant pki.TenantID, id pki.IssuerID, e pki.Event) error {
	defer s.issuers.forget() // it may be there no more
	return s.update(ctx, func(t *tx) error {
		i, err := t.issuerIn(ctx, tenant, id, pki.IssuerPending, pki.IssuerNext)
		if err != nil {
			return err
		}
		a, err := one(ctx, t, scanAuthority, selectAuthority+`WHERE id = $1`, i.Authority)
		if err != nil {
			return fmt.Errorf("reading authority %s: %w", i.Authority, err)
		}
		if a.State == pki.AuthorityPending {
			err = t.removeAuthority(ctx, a)
		} else {
			err = t.setIssuerState(id, pki.IssuerDropped)
		}
		if err != nil {
			return err
		}
		return t.event(e)
	})
}

// removeAuthority takes an authority that never had a certificate out of the store, so that
// its name is free. What is kept under its name would be another's then. There is no
// endpoint of one that has no certificate.
func (t *tx) removeAuthority(ctx context.Context, a *pki.Authority) error {
	user, err := one(ctx, t, scanText, `SELECT 'the grant ' || id FROM access_grant WHERE tenant = $1 AND authority = $2
		UNION ALL SELECT 'a quota' FROM quota WHERE tenant = $1 AND kind = 'authority' AND name = $2`, a.Tenant, a.Name)
	switch {
	case err == nil:
		return pki.Errorf(pki.Conflict, "%s is about the authority %s: take that away first", user, a.Name)
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("looking for what goes by authority %s: %w", a.ID, err)
	}
	if _, err := t.exec(`DELETE FROM issuer WHERE authority = $1`, a.ID); err != nil {
		return fmt.Errorf("removing the issuer of authority %s: %w", a.ID, err)
	}
	if _, err := t.exec(`DELETE FROM authority WHERE id = $1`, a.ID); err != nil {
		return fmt.Errorf("removing authority %s: %w", a.ID, err)
	}
	return nil
}

func (t *tx) setIssuerState(id pki.IssuerID, to pki.IssuerState) error {
	if _, err := t.exec(`UPDATE issuer SET state = $1 WHERE id = $2`, to, id); err != nil {
		return fmt.Errorf("setting the state of issuer %s: %w", id, err)
	}
	return nil
}

// issuerIn returns a tenant's issuer, which is in one of the states: else it is Conflict.
func (t *tx) issuerIn(ctx context.Context, tenant pki.TenantID, id pki.IssuerID, states ...pki.IssuerState) (*pki.Issuer, error) {
	i, err := one(ctx, t, scanIssuer, selectIssuer+`WHERE tenant = $1 AND id = $2`, tenant, id)
	if _, err := found(i, err, "issuer %q", id); err != nil {
		return nil, err
	}
	if !slices.Contains(states, i.State) {
		return nil, pki.Errorf(pki.Conflict, "the issuer %s is %s", id, i.State)
	}
	return i, nil
}
