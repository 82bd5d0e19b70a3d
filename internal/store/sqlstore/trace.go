package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trace"
)

// Request implements trace.Store.
func (s *Store) Request(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (cut []byte, actor string, err error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, "", err
	}
	var who int64
	cut, err = one(ctx, s.read, func(row row) (cut []byte, err error) {
		err = row.Scan(&cut, &who)
		return cut, err
	}, `SELECT request, actor FROM certificate WHERE serial = $1 AND issuer = $2`, serial[:], num)
	if cut, err = found(cut, err, "certificate with serial %s", serial); err != nil {
		return nil, "", err
	}
	r, err := s.refOf(ctx, s.read, who)
	_, actor = r.asked()
	return cut, actor, err
}

// Entries implements trace.Store.
func (s *Store) Entries(ctx context.Context, tenant pki.TenantID, id pki.IssuerID, serial pki.Serial) ([]trace.Entry, error) {
	issuer, err := s.issuerInfo(ctx, id)
	if err != nil {
		return nil, err
	}
	entries, err := list(ctx, s.read, func(row row) (trace.Entry, error) {
		e := trace.Entry{Revocation: pki.Revocation{Issuer: id, Serial: serial}}
		var job int64
		err := row.Scan(&e.N, &e.Reason, intoTime{&e.At}, &e.Shard, intoTime{&e.NotAfter}, &job, &e.Job)
		e.Unknown = job == byNobody
		return e, err
	}, `SELECT r.n, r.reason, r.at, r.shard, r.not_after, r.job, coalesce(j.id, '') FROM revocation r LEFT JOIN revocation_job j ON j.num = r.job AND j.tenant = $4
		WHERE r.issuer = $1 AND r.shard = $2 AND r.serial = $3 ORDER BY r.n`,
		issuer.num, serial.Shard(issuer.shards), serial[:], tenant)
	if err != nil {
		return nil, fmt.Errorf("listing revocations: %w", err)
	}
	return entries, nil
}

// eventsOn is led by index event_target.
const eventsOn = selectEvent + `WHERE tenant = $1 AND target = $2 ORDER BY num DESC LIMIT $3`

// EventsOn implements trace.Store.
func (s *Store) EventsOn(ctx context.Context, tenant pki.TenantID, targets []string, limit int) ([]pki.Event, error) {
	var all []pki.Event
	for _, target := range targets {
		events, err := list(ctx, s.read, scanEvent, eventsOn, tenant, target, limit)
		if err != nil {
			return nil, fmt.Errorf("listing the events on %s: %w", target, err)
		}
		all = append(all, events...)
	}
	slices.SortFunc(all, func(a, b pki.Event) int { return strings.Compare(b.ID, a.ID) })
	return all[:min(limit, len(all))], nil
}

// LogPlace implements trace.Store. The leaves of a group of certificates follow
// each other as their rows do.
func (s *Store) LogPlace(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (trace.LogPlace, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return trace.LogPlace{}, err
	}
	place, err := one(ctx, s.read, func(row row) (p trace.LogPlace, err error) {
		err = row.Scan(&p.Index, &p.Signed)
		return p, err
	}, `SELECT CASE WHEN g.first_index < 0 THEN -1 ELSE g.first_index + c.id - g.first_row END, coalesce(l.signed_size, 0)
		FROM certificate c JOIN leaf_group g ON g.kind = 'certificates' AND g.ref = c.intent
		LEFT JOIN log l ON l.tenant = c.tenant WHERE c.serial = $1 AND c.issuer = $2`, serial[:], num)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return trace.LogPlace{Index: -1}, nil
	case err != nil:
		return trace.LogPlace{}, fmt.Errorf("finding a certificate in the log: %w", err)
	}
	return place, nil
}

// AuthorityCertificates implements trace.Store.
func (s *Store) AuthorityCertificates(ctx context.Context, tenant pki.TenantID) ([]trace.AuthorityCertificate, error) {
	all, err := list(ctx, s.read, func(row row) (c trace.AuthorityCertificate, err error) {
		err = row.Scan(&c.ID, &c.Name, &c.DER)
		return c, err
	}, `SELECT a.id, a.name, i.certificate FROM authority a JOIN issuer i ON i.authority = a.id
		WHERE a.tenant = $1 AND length(i.certificate) > 0 ORDER BY i.num`, tenant)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of authorities: %w", err)
	}
	return all, nil
}
