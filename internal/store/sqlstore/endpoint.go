package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

// PutEndpoint implements enroll.Store.
func (s *Store) PutEndpoint(ctx context.Context, ep *pki.Endpoint, q *quota.Quota, e pki.Event) error {
	settings, err := endpointSettings(ep)
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`INSERT INTO endpoint (tenant, name, authority, created, profile_tenant, profile_name, profile_version, protocols, names, auth, networks, validator, approvals, approval_life)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`,
			append([]any{ep.Tenant, ep.Name, ep.Authority, micros(ep.Created)}, settings...)...)
		switch {
		case err != nil:
			return fmt.Errorf("storing endpoint %s: %w", ep.Label(), err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is an endpoint %q already", ep.Name)
		}
		return t.eventWithQuota(q, e)
	})
}

// UpdateEndpoint implements enroll.Store.
func (s *Store) UpdateEndpoint(ctx context.Context, was, ep *pki.Endpoint, q *quota.Quota, e pki.Event) error {
	before, err := endpointSettings(was)
	if err != nil {
		return err
	}
	settings, err := endpointSettings(ep)
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE endpoint SET profile_tenant = $3, profile_name = $4, profile_version = $5, protocols = $6, names = $7, auth = $8, networks = $9, validator = $10, approvals = $11, approval_life = $12
			WHERE tenant = $1 AND name = $2 AND profile_tenant = $13 AND profile_name = $14 AND profile_version = $15 AND protocols = $16 AND names = $17 AND auth = $18 AND networks = $19 AND validator = $20 AND approvals = $21 AND approval_life = $22`,
			slices.Concat([]any{ep.Tenant, ep.Name}, settings, before)...)
		switch {
		case err != nil:
			return fmt.Errorf("changing endpoint %s: %w", ep.Label(), err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "the endpoint %q was changed by somebody else meanwhile: look at it again", ep.Name)
		}
		return t.eventWithQuota(q, e)
	})
}

// endpointSettings returns what can be changed of an endpoint, in the order of its columns.
func endpointSettings(ep *pki.Endpoint) ([]any, error) {
	names, err := json.Marshal(ep.Names)
	if err != nil {
		return nil, fmt.Errorf("encoding names: %w", err)
	}
	steps, life, err := approvalsText(ep.Approvals)
	if err != nil {
		return nil, fmt.Errorf("encoding approvals: %w", err)
	}
	return []any{ep.Profile.Tenant, ep.Profile.Name, ep.Profile.Version, joined(ep.Protocols), string(names), proofsText(ep.Auth), joined(ep.Networks), ep.Validator, steps, life}, nil
}

const selectEndpoint = `SELECT tenant, name, authority, profile_tenant, profile_name, profile_version, protocols, names, created, auth, networks, validator, approvals, approval_life,
	(SELECT bound FROM quota q WHERE q.tenant = endpoint.tenant AND q.kind = 'endpoint' AND q.name = endpoint.name) FROM endpoint `

func scanEndpoint(row row) (*pki.Endpoint, error) {
	ep := new(pki.Endpoint)
	var protocols, names, auth, networks, steps string
	var life int64
	if err := row.Scan(&ep.Tenant, &ep.Name, &ep.Authority, &ep.Profile.Tenant, &ep.Profile.Name, &ep.Profile.Version,
		&protocols, &names, intoTime{&ep.Created}, &auth, &networks, &ep.Validator, &steps, &life, &ep.Quota); err != nil {
		return nil, err
	}
	ep.Protocols, ep.Networks = split[pki.Protocol](protocols), split[string](networks)
	for _, text := range split[string](auth) {
		p, err := pki.ParseProofs(text)
		if err != nil {
			return nil, err
		}
		ep.Auth = append(ep.Auth, p)
	}
	if steps != "" {
		ep.Approvals = &pki.Approvals{Life: time.Duration(life) * time.Microsecond}
		if err := json.Unmarshal([]byte(steps), &ep.Approvals.Steps); err != nil {
			return nil, err
		}
	}
	return ep, json.Unmarshal([]byte(names), &ep.Names)
}

// approvalsText returns the approvals of an endpoint as they are stored; none are empty.
func approvalsText(a *pki.Approvals) (steps string, life int64, err error) {
	if a == nil {
		return "", 0, nil
	}
	text, err := json.Marshal(a.Steps)
	return string(text), a.Life.Microseconds(), err
}

// proofsText returns alternatives of proofs as they are stored.
func proofsText(all []pki.Proofs) string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return joined(texts)
}

// Endpoint implements enroll.Store.
func (s *Store) Endpoint(ctx context.Context, tenant pki.TenantID, name string) (*pki.Endpoint, error) {
	ep, err := one(ctx, s.read, scanEndpoint, selectEndpoint+`WHERE tenant = $1 AND name = $2`, tenant, name)
	return found(ep, err, "endpoint %q", name)
}

// Endpoints implements enroll.Store; they come in order of name.
func (s *Store) Endpoints(ctx context.Context, tenant pki.TenantID) ([]*pki.Endpoint, error) {
	all, err := list(ctx, s.read, scanEndpoint, selectEndpoint+`WHERE tenant = $1 ORDER BY name`, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing endpoints: %w", err)
	}
	return all, nil
}
