package check

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// checkCRLs checks the latest CRL of each shard of each issuer, and the latest delta.
func (c *checker) checkCRLs(ctx context.Context) error {
	for _, i := range c.order {
		if i.parsed == nil {
			continue // reported
		}
		shards, err := c.store.Shards(ctx, i.ID)
		if pki.KindOf(err) == pki.NotFound {
			c.report.addf(CRLSound, i.subject(), "its CRLs are not in the store")
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the shards of issuer %s: %w", i.ID, err)
		}
		for _, s := range shards {
			if s.Uncovered() {
				c.report.ShardsDue++
			}
			if s.Number == 0 {
				continue // none is published yet
			}
			before := c.report.Total
			full, err := c.checkCRL(ctx, i, s)
			if err != nil {
				return err
			}
			if s.Delta.Number > 0 {
				if err := c.checkDelta(ctx, i, s, full, c.report.Total == before); err != nil {
					return err
				}
				c.report.CRLs++
			}
			c.report.CRLs++
			c.tell("crls", c.report.CRLs)
		}
	}
	return nil
}

// checkCRL checks one shard's latest full CRL and returns its entries.
func (c *checker) checkCRL(ctx context.Context, i *issuer, s revocation.ShardState) ([]crlEntry, error) {
	subject := fmt.Sprintf("crl %s/%d", i.ID, s.Shard)
	record, list, err := c.readCRL(ctx, subject, revocation.List{Issuer: i.ID, Shard: s.Shard}, s.Number)
	if err != nil || list == nil {
		return nil, err
	}
	if why := unsound(list, record, s, i); why != "" {
		c.report.addf(CRLSound, subject, "%s", why)
	}
	return list.entries, c.checkEntries(ctx, i, record, list.entries)
}

// readCRL reads a list's latest CRL; nil, and a finding, where there is none that can
// be read.
func (c *checker) readCRL(ctx context.Context, subject string, of revocation.List, number int64) (*revocation.CRL, *crl, error) {
	record, err := c.store.CRL(ctx, of)
	if pki.KindOf(err) == pki.NotFound {
		c.report.addf(CRLSound, subject, "number %d is not in the store", number)
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading CRL %s: %w", of, err)
	}
	list, err := parseCRL(record.DER)
	if err != nil {
		c.report.addf(CRLSound, subject, "%v", err)
		return nil, nil, nil
	}
	c.report.CRLEntries += int64(len(list.entries))
	return record, list, nil
}

// unsound returns what is wrong with a CRL apart from its entries, or "".
func unsound(list *crl, record *revocation.CRL, s revocation.ShardState, i *issuer) string {
	url := ""
	if i.StatusURL != "" && i.Key != pki.OfflineKey { // a ceremony's CRL is full, and says no scope
		url = fmt.Sprintf("%s/crl/%s/%d.crl", i.StatusURL, i.ID, s.Shard)
	}
	of := s.Edition
	if record.Delta {
		of = s.Delta
	}
	switch {
	case list.Number != record.Number || list.Number != of.Number:
		return fmt.Sprintf("its number is %d, its record says %d, its shard %d", list.Number, record.Number, of.Number)
	case list.Base != record.Base || record.Delta != (list.Base > 0):
		return fmt.Sprintf("it is to the full CRL %d, its record says %d (0 is none)", list.Base, record.Base)
	case list.Base >= list.Number:
		return fmt.Sprintf("its number is %d, and not above that of the full CRL %d that it is to", list.Number, list.Base)
	case !sameSecond(list.ThisUpdate, record.ThisUpdate) || !sameSecond(list.NextUpdate, record.NextUpdate):
		return "its record has other times than its bytes"
	case !list.ThisUpdate.Before(list.NextUpdate):
		return "it ends before it begins"
	case int64(len(list.entries)) != record.Entries:
		return fmt.Sprintf("it has %d entries, its record says %d", len(list.entries), record.Entries)
	case !bytes.Equal(list.Issuer, i.parsed.Subject):
		return "it names another issuer"
	case !bytes.Equal(list.IssuerKeyID, i.parsed.SubjectKeyID()):
		return "it names another key of its issuer"
	case list.URL != url:
		return fmt.Sprintf("it is for %q, relying parties fetch it from %q", list.URL, url)
	}
	key := i.parsed.Key
	alg, err := tbs.ParseSignatureAlgorithm(list.Algorithm)
	if own := key.SignatureAlgorithm(); err != nil || !bytes.Equal(list.Algorithm, own.DER) && !alg.PSS() {
		return "its signature algorithm is not that of its issuer's key"
	} else if err := key.Verify(alg, list.TBS, list.Signature); err != nil {
		return "its signature does not verify"
	}
	return ""
}

// sameSecond reports whether two times are equal as certificates and CRLs write
// them.
func sameSecond(a, b time.Time) bool { return a.Unix() == b.Unix() }

// checkEntries compares a CRL's entries with the revocations that it covers. Those
// of certificates that have expired by now are looked for only in the store: the
// publisher's own clock decided whether they are in the CRL.
func (c *checker) checkEntries(ctx context.Context, i *issuer, record *revocation.CRL, entries []crlEntry) error {
	seen := make([]bool, len(entries))
	var after pki.Serial
	for {
		revoked, err := c.store.Revoked(ctx, i.ID, record.Shard, record.Covers, c.now, revocation.Span{After: after}, page)
		if err != nil {
			return fmt.Errorf("reading revocations of issuer %s: %w", i.ID, err)
		}
		if len(revoked) == 0 {
			break
		}
		for n := range revoked {
			r := &revoked[n]
			after = r.Serial
			subject := fmt.Sprintf("certificate %s/%s", i.ID, r.Serial)
			if shard := r.Serial.Shard(i.Shards); shard != record.Shard {
				c.report.addf(CRLComplete, subject, "it is revoked in shard %d, relying parties look in %d", record.Shard, shard)
			}
			at, ok := slices.BinarySearchFunc(entries, r.Serial, func(e crlEntry, s pki.Serial) int {
				return bytes.Compare(e.serial[:], s[:])
			})
			if !ok {
				c.report.addf(CRLComplete, subject, "it is revoked and not in CRL %d of shard %d, which covers it", record.Number, record.Shard)
				continue
			}
			seen[at] = true
			c.compareEntry(subject, entries[at], r)
		}
	}
	for n, e := range entries {
		if seen[n] {
			continue
		}
		status, err := c.store.Status(ctx, i.ID, e.serial)
		if err != nil {
			return fmt.Errorf("reading the status of a CRL's entry: %w", err)
		}
		c.compareEntry(fmt.Sprintf("certificate %s/%s", i.ID, e.serial), e, status.Revocation)
	}
	return nil
}

// compareEntry compares an entry with the revocation that holds.
func (c *checker) compareEntry(subject string, e crlEntry, r *pki.Revocation) {
	switch {
	case r == nil:
		c.report.addf(CRLTrue, subject, "it is in the CRL and not revoked")
	case e.at != r.At.Unix() || pki.Reason(e.reason) != r.Reason:
		c.report.addf(CRLTrue, subject, "the CRL has another time or reason of revocation than the store")
	}
}
