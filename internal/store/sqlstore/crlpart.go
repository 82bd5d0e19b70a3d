package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// endOf returns the last serial of a span; none is above its end.
func endOf(span revocation.Span) []byte {
	if span.Through == (pki.Serial{}) {
		return bytes.Repeat([]byte{0xff}, len(span.Through))
	}
	return span.Through[:]
}

// putParts brings the parts of a shard to those of a full CRL.
func (t *tx) putParts(issuer int64, c *revocation.CRL) error {
	gone, parts := []revocation.Span{{}}, []revocation.Part(nil)
	if c.Parts != nil {
		gone, parts = c.Parts.Gone, c.Parts.New
	}
	for _, span := range gone {
		if _, err := t.exec(`DELETE FROM crl_part WHERE issuer = $1 AND shard = $2 AND last_serial > $3 AND last_serial <= $4`,
			issuer, c.Shard, span.After[:], endOf(span)); err != nil {
			return err
		}
	}
	if _, err := t.exec(`UPDATE crl_shard SET whole = $1 WHERE issuer = $2 AND shard = $3`, micros(c.Whole), issuer, c.Shard); err != nil {
		return err
	}
	for i := range parts {
		p := &parts[i]
		if _, err := t.exec(`INSERT INTO crl_part (issuer, shard, last_serial, entries, octets, expires, hash, der) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			issuer, c.Shard, p.Last[:], p.Entries, p.Octets, micros(p.Expires), p.Hash[:], p.DER); err != nil {
			return err
		}
	}
	return nil
}

// Parts implements revocation.Store.
func (s *Store) Parts(ctx context.Context, issuer pki.IssuerID, shard int) ([]revocation.Part, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	parts, err := list(ctx, s.read, func(row row) (p revocation.Part, err error) {
		return p, row.Scan(intoArray(p.Last[:]), &p.Entries, &p.Octets, intoTime{&p.Expires}, intoArray(p.Hash[:]))
	}, `SELECT last_serial, entries, octets, expires, hash FROM crl_part WHERE issuer = $1 AND shard = $2 ORDER BY last_serial`, num, shard)
	if err != nil {
		return nil, fmt.Errorf("listing the parts of a CRL: %w", err)
	}
	return parts, nil
}

// PartsDER implements revocation.Store.
func (s *Store) PartsDER(ctx context.Context, issuer pki.IssuerID, shard int, span revocation.Span, limit int) ([]revocation.Part, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	return partsDER(ctx, s.read, num, shard, span, limit)
}

func partsDER(ctx context.Context, from source, issuer int64, shard int, span revocation.Span, limit int) ([]revocation.Part, error) {
	parts, err := list(ctx, from, func(row row) (p revocation.Part, err error) {
		return p, row.Scan(intoArray(p.Last[:]), &p.Entries, &p.Octets, intoTime{&p.Expires}, intoArray(p.Hash[:]), intoBytes{&p.DER})
	}, `SELECT last_serial, entries, octets, expires, hash, der FROM crl_part
		WHERE issuer = $1 AND shard = $2 AND last_serial > $3 AND last_serial <= $4 ORDER BY last_serial LIMIT $5`,
		issuer, shard, span.After[:], endOf(span), limit)
	if err != nil {
		return nil, fmt.Errorf("reading the parts of a CRL: %w", err)
	}
	return parts, nil
}

// CRL implements revocation.Store. What is read is of one state of the database, in
// which a CRL and its parts belong together.
func (s *Store) CRL(ctx context.Context, l revocation.List) (*revocation.CRL, error) {
	num, err := s.findRef(ctx, issuerRef(l.Issuer))
	if err != nil {
		return nil, err
	}
	var c *revocation.CRL
	err = s.read.snapshot(ctx, func(from source) error {
		var head int
		c, err = one(ctx, from, func(row row) (*revocation.CRL, error) {
			c := &revocation.CRL{List: l}
			return c, row.Scan(&c.Number, &c.Base, &c.Covers, &c.Entries, intoTime{&c.ThisUpdate}, intoTime{&c.NextUpdate}, &c.DER, &head)
		}, `SELECT number, base, covers, entries, this_update, next_update, der, head`+ofList(l.Delta)+`ORDER BY number DESC LIMIT 1`, num, l.Shard)
		if err != nil || head == 0 {
			return err
		}
		c.DER, err = joinParts(ctx, from, num, l.Shard, c.DER, head)
		return err
	})
	return found(c, err, "CRL %s", l)
}

// joinParts puts a CRL together in memory of its size. Whether it is the one that was
// signed is seen by its signature.
func joinParts(ctx context.Context, from source, issuer int64, shard int, around []byte, head int) ([]byte, error) {
	head = min(head, len(around))
	octets, err := one(ctx, from, scanInt, `SELECT coalesce(sum(octets), 0) FROM crl_part WHERE issuer = $1 AND shard = $2`, issuer, shard)
	if err != nil {
		return nil, err
	}
	const some = 16
	crl := slices.Grow([]byte(nil), int(octets)+len(around))
	crl = append(crl, around[:head]...)
	for span := (revocation.Span{}); ; {
		parts, err := partsDER(ctx, from, issuer, shard, span, some)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			crl = append(crl, p.DER...)
		}
		if len(parts) < some {
			return append(crl, around[head:]...), nil
		}
		span.After = parts[some-1].Last
	}
}
