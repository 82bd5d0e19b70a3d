package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// The parts of an issuer's ($1) shard ($2): those of the latest full CRL, and those that are
// staged under a number, of which the last serials are within a span ($3, $4). What is
// marked in crl_part_gone is neither, though it is there until it is dropped.
const (
	fromParts = ` FROM crl_part p WHERE issuer = $1 AND shard = $2 AND NOT EXISTS (SELECT 1 FROM crl_part_gone g
		WHERE g.issuer = p.issuer AND g.shard = p.shard AND g.last_serial = p.last_serial AND g.number = p.number) `
	ofLatest   = ` AND number <= (SELECT coalesce(max(number), 0) FROM crl WHERE issuer = $1 AND shard = $2 AND base = 0) `
	withinSpan = ` AND last_serial > $3 AND last_serial <= $4 `
	allParts   = `SELECT number, last_serial, entries, octets, expires, hash` + fromParts + ofLatest + `ORDER BY last_serial`
	sizeOfAll  = `SELECT coalesce(sum(octets), 0)` + fromParts + ofLatest
	partsOf    = `SELECT number, last_serial, entries, octets, expires, hash, der` + fromParts + withinSpan + ofLatest + `ORDER BY last_serial LIMIT $5`
	stagedFor  = `SELECT number, last_serial, entries, octets, expires, hash, der` + fromParts + withinSpan + `AND number = $5 ORDER BY last_serial LIMIT $6`
)

// The marks of what is gone: made of the keys of parts, which an index has, and the first
// ones with what they mark.
const (
	markGone  = `INSERT INTO crl_part_gone (issuer, shard, last_serial, number) SELECT issuer, shard, last_serial, number FROM crl_part WHERE issuer = $1 AND shard = $2 `
	firstGone = ` IN (SELECT issuer, shard, last_serial, number FROM crl_part_gone g ORDER BY issuer, shard, last_serial, number LIMIT $1)`
	dropGone  = `DELETE FROM crl_part WHERE (issuer, shard, last_serial, number)` + firstGone
	dropMarks = `DELETE FROM crl_part_gone WHERE (issuer, shard, last_serial, number)` + firstGone
)

// endOf returns the last serial of a span; none is above its end.
func endOf(span revocation.Span) []byte {
	if span.Through == (pki.Serial{}) {
		return bytes.Repeat([]byte{0xff}, len(span.Through))
	}
	return span.Through[:]
}

// putParts brings the parts of a shard to those of a full CRL, which comes after the
// latest. Those that are staged for a later one stay. What is gone is marked alone: a part
// has 26 kB, of which deleting touches each page.
func (t *tx) putParts(issuer int64, c *revocation.CRL, latest int64) error {
	mark := func(which string, args ...any) error {
		_, err := t.exec(markGone+which+` ON CONFLICT DO NOTHING`, append([]any{issuer, c.Shard}, args...)...)
		return err
	}
	if c.Parts == nil {
		return mark(`AND number <= $3`, c.Number)
	}
	for _, span := range c.Parts.Gone {
		if err := mark(withinSpan+`AND number < $5`, span.After[:], endOf(span), c.Number); err != nil {
			return err
		}
	}
	if err := mark(`AND number > $3 AND number < $4`, latest, c.Number); err != nil {
		return err
	}
	return t.addParts(issuer, c.Shard, c.Number, c.Parts.New)
}

// DropParts implements revocation.Store.
func (s *Store) DropParts(ctx context.Context, limit int) (dropped int, err error) {
	err = s.update(ctx, func(t *tx) error {
		if _, err := t.exec(dropGone, limit); err != nil {
			return fmt.Errorf("dropping parts of earlier CRLs: %w", err)
		}
		n, err := t.exec(dropMarks, limit)
		if err != nil {
			return fmt.Errorf("dropping the marks of parts of earlier CRLs: %w", err)
		}
		dropped = int(n)
		return nil
	})
	return dropped, err
}

func (t *tx) addParts(issuer int64, shard int, number int64, parts []revocation.Part) error {
	for i := range parts {
		p := &parts[i]
		if _, err := t.exec(`INSERT INTO crl_part (issuer, shard, last_serial, number, entries, octets, expires, hash, der)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			issuer, shard, p.Last[:], number, p.Entries, p.Octets, micros(p.Expires), p.Hash[:], p.DER); err != nil {
			return err
		}
	}
	return nil
}

// StageParts implements revocation.Store. What it stores is above the latest CRL's
// number until PutCRL makes that the CRL's own: so whatever is left behind, by a
// process that ended or was overtaken, is never among a CRL's parts.
func (s *Store) StageParts(ctx context.Context, issuer pki.IssuerID, shard int, number int64, parts []revocation.Part) error {
	info, err := s.shardOf(ctx, issuer, shard)
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		latest, err := t.latestCRL(info.num, shard, false)
		if err == nil && latest >= number {
			return pki.Errorf(pki.Conflict, "CRL number %d of the shard is there already", latest)
		}
		if err == nil {
			err = t.addParts(info.num, shard, number, parts)
		}
		if err != nil {
			return fmt.Errorf("storing parts of a CRL that is being made: %w", err)
		}
		return nil
	})
}

// Parts implements revocation.Store.
func (s *Store) Parts(ctx context.Context, issuer pki.IssuerID, shard int) ([]revocation.Part, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	parts, err := list(ctx, s.read, func(row row) (p revocation.Part, err error) {
		return p, row.Scan(&p.Number, intoArray(p.Last[:]), &p.Entries, &p.Octets, intoTime{&p.Expires}, intoArray(p.Hash[:]))
	}, allParts, num, shard)
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
	return derParts(ctx, s.read, partsOf, num, shard, span.After[:], endOf(span), limit)
}

// StagedDER implements revocation.Store.
func (s *Store) StagedDER(ctx context.Context, issuer pki.IssuerID, shard int, number int64, span revocation.Span, limit int) ([]revocation.Part, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	return derParts(ctx, s.read, stagedFor, num, shard, span.After[:], endOf(span), number, limit)
}

func derParts(ctx context.Context, from source, text string, args ...any) ([]revocation.Part, error) {
	parts, err := list(ctx, from, func(row row) (p revocation.Part, err error) {
		return p, row.Scan(&p.Number, intoArray(p.Last[:]), &p.Entries, &p.Octets, intoTime{&p.Expires}, intoArray(p.Hash[:]), intoBytes{&p.DER})
	}, text, args...)
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
	octets, err := one(ctx, from, scanInt, sizeOfAll, issuer, shard)
	if err != nil {
		return nil, err
	}
	const some = 16
	crl := slices.Grow([]byte(nil), int(octets)+len(around))
	crl = append(crl, around[:head]...)
	for span := (revocation.Span{}); ; {
		parts, err := derParts(ctx, from, partsOf, issuer, shard, span.After[:], endOf(span), some)
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
