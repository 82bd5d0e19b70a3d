package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// Revoke implements revocation.Store.
func (s *Store) Revoke(ctx context.Context, group []*revocation.Entry) error {
	return s.update(ctx, func(t *tx) error {
		g := newEntryGroup(t)
		for _, e := range group {
			if e.Err = s.gateOf(e); e.Err != nil {
				continue // others in the group have another log
			}
			var err error
			if e.Err, err = g.add(e); err != nil {
				return err
			}
		}
		return g.store()
	})
}

// What made an entry, where it is not the job of a number.
const (
	byNoJob  = 0
	byNobody = -1 // that is known
)

// revoke inserts an entry and adds its leaf to a run. The entries of a run follow
// each other.
func (t *tx) revoke(r *pki.Revocation, issuer int64, lender bool, job int64, run *leafRun) error {
	seq, err := t.insertEntry(r, issuer, lender, job)
	if err != nil {
		return err
	}
	run.addEntry(seq, r)
	return t.newest(issuer, r.Shard, seq)
}

// insertEntry inserts an entry and returns its sequence number. lender says that it is
// the issuer's tenant's on a certificate of another owner, job what made it.
func (t *tx) insertEntry(r *pki.Revocation, issuer int64, lender bool, job int64) (int64, error) {
	seq, err := one(context.Background(), t, scanInt,
		`INSERT INTO revocation (issuer, serial, n, reason, at, shard, not_after, lender, job) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING seq`,
		issuer, r.Serial[:], r.N, r.Reason, micros(r.At), r.Shard, micros(r.NotAfter), number(lender), job)
	if err != nil {
		return 0, fmt.Errorf("storing a revocation: %w", err)
	}
	return seq, nil
}

// newest notes the sequence number of a shard's newest entry.
func (t *tx) newest(issuer int64, shard int, seq int64) error {
	_, err := t.exec(`INSERT INTO crl_shard (issuer, shard, number, newest) VALUES ($1, $2, 0, $3)
		ON CONFLICT (issuer, shard) DO UPDATE SET newest = excluded.newest`, issuer, shard, seq)
	if err != nil {
		return fmt.Errorf("noting a shard's newest revocation: %w", err)
	}
	return nil
}

// serialState is what the store has of a serial of an issuer.
type serialState struct {
	issued        bool // there is a certificate, or it is archived: then it is nobody's to revoke
	tenant, owner int64
	notAfter      time.Time       // of the certificate, else of the latest entry
	latest        *pki.Revocation // the latest entry, nil where there is none
	lender        bool            // the latest entry is the issuer's tenant's, on a certificate of another owner
}

// archived reports whether there is no more than a stub of the certificate.
func (k *serialState) archived() bool { return k.issued && k.tenant == 0 }

// held reports whether the certificate is on hold.
func (k *serialState) held() bool { return k.latest != nil && k.latest.Reason == pki.CertificateHold }

// keeps reports whether the hold of a certificate stays, whatever somebody of a tenant
// would: its lender placed it.
func (k *serialState) keeps(tenant int64) bool {
	return k.held() && k.lender && tenant == k.owner && tenant != k.tenant
}

// next is revocation.Next for somebody of a tenant: the hold of a lender comes on top of
// one of its borrower's, which the borrower would release otherwise.
func (k *serialState) next(tenant int64, reason pki.Reason) (n int, err error) {
	if reason == pki.CertificateHold && k.held() && !k.lender && tenant == k.tenant && tenant != k.owner {
		return k.latest.N + 1, nil
	}
	return revocation.Next(k.latest, reason)
}

// stateOf reads it in one statement, which costs half of two: it is read for each
// OCSP answer that is signed. The shard, which follows from the serial, is in
// front in the one index of the entries.
func stateOf(ctx context.Context, from source, issuer issuerInfo, id pki.IssuerID, serial pki.Serial) (serialState, error) {
	var k serialState
	shard := serial.Shard(issuer.shards)
	_, err := list(context.WithoutCancel(ctx), from, func(row row) (struct{}, error) { // as one does
		r := pki.Revocation{Issuer: id, Serial: serial, Shard: shard}
		var tenant, owner, lender int64
		if err := row.Scan(&r.N, &r.Reason, intoTime{&r.At}, intoTime{&r.NotAfter}, &tenant, &owner, &lender); err != nil {
			return struct{}{}, err
		}
		switch {
		case r.N == 0:
			k.issued, k.tenant, k.owner, k.notAfter = true, tenant, owner, r.NotAfter
		case k.latest == nil || r.N > k.latest.N:
			k.latest, k.lender = &r, lender == 1
		}
		return struct{}{}, nil
	}, `SELECT n, reason, at, not_after, 0, 0, lender FROM revocation WHERE issuer = $1 AND shard = $2 AND serial = $3
		UNION ALL SELECT 0, 0, 0, not_after, tenant, owner, 0 FROM certificate WHERE serial = $3 AND issuer = $1
		UNION ALL SELECT 0, 0, 0, not_after, 0, 0, 0 FROM archived WHERE serial = $3 AND issuer = $1`,
		issuer.num, shard, serial[:])
	if err != nil {
		return k, fmt.Errorf("reading what is known of a serial: %w", err)
	}
	if !k.issued && k.latest != nil {
		k.notAfter = k.latest.NotAfter
	}
	return k, nil
}

// Status implements revocation.Store.
func (s *Store) Status(ctx context.Context, id pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	issuer, err := s.issuerInfo(ctx, id)
	if pki.KindOf(err) == pki.NotFound {
		return revocation.Status{}, nil
	}
	if err != nil {
		return revocation.Status{}, err
	}
	k, err := stateOf(ctx, s.read, issuer, id, serial)
	if err != nil {
		return revocation.Status{}, err
	}
	status := revocation.Status{Known: k.issued || k.latest != nil, NotAfter: k.notAfter}
	if k.latest != nil {
		status.Entries = k.latest.N
		if k.latest.Reason != pki.RemoveFromCRL {
			status.Revocation = k.latest
		}
	}
	return status, nil
}

// latestUpTo is the condition that an entry of r is its certificate's latest, of
// those up to a sequence number.
const latestUpTo = ` NOT EXISTS (SELECT 1 FROM revocation l
	WHERE l.issuer = r.issuer AND l.shard = r.shard AND l.serial = r.serial AND l.n > r.n AND l.seq <= $4) `

// Revoked implements revocation.Store. Of a serial's entries, which follow each other
// in the index, the last one holds: to ask for a later one of each would cost more
// than all the rest.
func (s *Store) Revoked(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, span revocation.Span, limit int) ([]pki.Revocation, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	entries, err := s.revoked(ctx, num, pki.Revocation{Issuer: issuer, Shard: shard}, upto, micros(now), span, limit)
	if err != nil {
		return nil, fmt.Errorf("listing revocations: %w", err)
	}
	return entries, nil
}

// revoked reads entries of r's shard.
func (s *Store) revoked(ctx context.Context, issuer int64, r pki.Revocation, upto, now int64, span revocation.Span, limit int) (entries []pki.Revocation, err error) {
	rows, err := s.read.query(ctx, `SELECT serial, n, reason, at, not_after FROM revocation
		WHERE issuer = $1 AND shard = $2 AND serial > $3 AND serial <= $4 AND seq <= $5 ORDER BY serial, n`,
		issuer, r.Shard, span.After[:], endOf(span), upto)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var serial []byte
	var n, reason, at, notAfter int64 // the driver's own type costs no conversion
	into := []any{intoBytes{&serial}, &n, &reason, &at, &notAfter}
	holds := false // what r is
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		if holds && !bytes.Equal(serial, r.Serial[:]) {
			if entries = append(entries, r); len(entries) == limit {
				return entries, nil
			}
		}
		if err := (intoArray(r.Serial[:])).Scan(serial); err != nil {
			return nil, err
		}
		r.N, r.Reason, r.At, r.NotAfter = int(n), pki.Reason(reason), fromMicros(at), fromMicros(notAfter)
		holds = r.Reason != pki.RemoveFromCRL && notAfter >= now
	}
	if holds {
		entries = append(entries, r)
	}
	return entries, rows.Err()
}

// serialsAtOnce is how many serials one statement looks up.
const serialsAtOnce = 200

var entriesOf = `SELECT serial, n, reason, at, not_after FROM revocation WHERE issuer = $1 AND shard = $2 AND serial IN ($3` + func() (more string) {
	for n := 1; n < serialsAtOnce; n++ {
		more += fmt.Sprintf(", $%d", n+3)
	}
	return more
}() + `) ORDER BY serial, n`

// LatestEntries implements statuscheck.Store.
func (s *Store) LatestEntries(ctx context.Context, issuer pki.IssuerID, shard int, serials []pki.Serial) (latest []pki.Revocation, err error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	args := make([]any, 2+serialsAtOnce)
	args[0], args[1] = num, shard
	for some := range slices.Chunk(serials, serialsAtOnce) {
		for i := range serialsAtOnce {
			args[2+i] = some[min(i, len(some)-1)][:]
		}
		entries, err := list(ctx, s.read, func(row row) (pki.Revocation, error) {
			r := pki.Revocation{Issuer: issuer, Shard: shard}
			return r, row.Scan(intoArray(r.Serial[:]), &r.N, &r.Reason, intoTime{&r.At}, intoTime{&r.NotAfter})
		}, entriesOf, args...)
		if err != nil {
			return nil, fmt.Errorf("reading the latest revocations of serials: %w", err)
		}
		for _, r := range entries {
			if last := len(latest) - 1; last >= 0 && latest[last].Serial == r.Serial {
				latest[last] = r
				continue
			}
			latest = append(latest, r)
		}
	}
	return latest, nil
}

// Changed implements revocation.Store. It reads the entries of all shards since a
// sequence number rather than all of one shard's: hence the signs, which keep the
// index of shards out of it.
func (s *Store) Changed(ctx context.Context, issuer pki.IssuerID, shard int, since, upto int64, now time.Time, limit int) (entries []pki.Revocation, last int64, err error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, 0, err
	}
	last = upto
	entries, err = list(ctx, s.read, func(row row) (pki.Revocation, error) {
		r := pki.Revocation{Issuer: issuer, Shard: shard}
		return r, row.Scan(&last, intoArray(r.Serial[:]), &r.N, &r.Reason, intoTime{&r.At}, intoTime{&r.NotAfter})
	}, `SELECT seq, serial, n, reason, at, not_after FROM revocation r
		WHERE +issuer = $1 AND +shard = $2 AND seq > $3 AND seq <= $4 AND not_after >= $5 AND`+latestUpTo+`
		ORDER BY seq LIMIT $6`, num, shard, since, upto, micros(now), limit)
	if err != nil {
		return nil, 0, fmt.Errorf("listing changed revocations: %w", err)
	}
	if len(entries) < limit {
		last = upto
	}
	return entries, last, nil
}
