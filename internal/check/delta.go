package check

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// checkDelta checks a shard's latest delta CRL, and that it brings each full CRL that
// it may be put to, to what holds (RFC 5280, 5.2.4): full is the entries of the latest
// one, which is sound where it has no findings of its own.
func (c *checker) checkDelta(ctx context.Context, i *issuer, s revocation.ShardState, full []crlEntry, sound bool) error {
	list := revocation.List{Issuer: i.ID, Shard: s.Shard, Delta: true}
	subject := fmt.Sprintf("delta crl %s/%d", i.ID, s.Shard)
	record, delta, err := c.readCRL(ctx, subject, list, s.Delta.Number)
	if err != nil || delta == nil {
		return err
	}
	if why := unsound(delta, record, s, i); why != "" {
		c.report.addf(CRLSound, subject, "%s", why)
		return nil
	}
	if record.Number < s.Number {
		return nil // the full CRL is newer: it says what holds by itself
	}
	if record.Base != s.Number && record.Base != s.Before.Number {
		c.report.addf(CRLSound, subject, "it is to full CRL %d, and the latest are %d and %d", record.Base, s.Before.Number, s.Number)
		return nil
	}
	if !sound {
		return nil
	}
	if before := c.report.Total; record.Base == s.Before.Number {
		earlier, err := c.entriesAt(ctx, i, record, s.Before.Covers)
		if err != nil {
			return err
		}
		if err := c.checkEntries(ctx, i, record, patched(earlier, delta.entries)); err != nil || c.report.Total > before {
			return err
		}
	}
	return c.checkEntries(ctx, i, record, patched(full, delta.entries))
}

// entriesAt returns what a full CRL has that covers the entries up to a sequence
// number.
func (c *checker) entriesAt(ctx context.Context, i *issuer, record *revocation.CRL, covers int64) (entries []crlEntry, err error) {
	var after pki.Serial
	for {
		revoked, err := c.store.Revoked(ctx, i.ID, record.Shard, covers, c.now, revocation.Span{After: after}, page)
		if err != nil {
			return nil, fmt.Errorf("reading revocations of issuer %s: %w", i.ID, err)
		}
		if len(revoked) == 0 {
			return entries, nil
		}
		for n := range revoked {
			r := &revoked[n]
			after = r.Serial
			entries = append(entries, crlEntry{r.Serial, int8(r.Reason), r.At.Unix()})
		}
	}
}

// patched returns the entries of a full CRL with those of a delta put to it; both are
// in order of serial.
func patched(full, delta []crlEntry) []crlEntry {
	all := make([]crlEntry, 0, len(full)+len(delta))
	for _, d := range delta {
		n, _ := slices.BinarySearchFunc(full, d, func(a, b crlEntry) int { return bytes.Compare(a.serial[:], b.serial[:]) })
		all, full = append(all, full[:n]...), full[n:]
		if len(full) > 0 && full[0].serial == d.serial {
			full = full[1:]
		}
		if pki.Reason(d.reason) != pki.RemoveFromCRL {
			all = append(all, d)
		}
	}
	return append(all, full...)
}
