package revocation

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// recoverStep is how many entries are taken over in one transaction.
const recoverStep = 1_000

// Missing reports whether an entry of a published CRL is one that the store lost: latest
// is the latest entry that the store has of the certificate, nil for none. ahead says
// that the CRL is later than all that the store knows of; in an earlier one an entry
// that was released since is none. A release that was lost is not seen: the certificate
// stays on hold, which nobody is hurt by, and can be released again.
func Missing(latest *pki.Revocation, published pki.Reason, ahead bool) bool {
	switch {
	case published == pki.RemoveFromCRL:
		return false
	case latest == nil:
		return true
	case latest.Reason == pki.RemoveFromCRL:
		return ahead || published != pki.CertificateHold
	}
	return latest.Reason == pki.CertificateHold && published != pki.CertificateHold
}

// Recover compares what is published as a list with the store, which may have been put
// back from a backup: it takes over the revocations that the store lost, and has numbers
// go on above the published one (RFC 5280, 5.2.3). What it takes over was signed by the
// issuer, so that nobody can have anything revoked by it. behind says that the store's
// latest CRL may not take the published one's place, since it is not later or lacks what
// the store has by now: a new one will follow. It is Conflict for an issuer whose key is
// offline.
func (s *Service) Recover(ctx context.Context, list List, published []byte) (behind bool, err error) {
	parsed, err := s.Verify(ctx, list, published)
	if err != nil {
		return false, err
	}
	id, err := s.identities.get(ctx, list.Issuer)
	if err != nil {
		return false, err
	}
	// What is published was stored before: read now, the store has it, or lost it.
	stored, err := s.latest(ctx, list)
	if err != nil || bytes.Equal(stored.DER, published) {
		return false, err
	}
	ahead := parsed.Number >= stored.Number
	if !id.online() {
		if !ahead {
			return false, nil
		}
		return false, pki.Errorf(pki.Conflict, "the CRL of %s that is published has number %d, and the database number %d: the database is older, or another CRL was signed with the number. Install the published CRL, or make the next one in a ceremony with a number above", list, parsed.Number, stored.Number)
	}
	// Whether the store has an entry does not tell whether its CRL has it: another
	// target's lane may have taken it over since.
	lost, err := s.lost(ctx, id, list, parsed, stored.Covers, ahead)
	if err != nil || !ahead && len(lost) == 0 {
		return false, err
	}
	taken, err := s.takeOver(ctx, id, Recovery{List: list, Number: parsed.Number, Ahead: ahead}, lost)
	if err == nil && (ahead || taken > 0) {
		s.tellRecovered(ctx, id, list, parsed.Number, stored.Number, taken)
	}
	if err != nil || ahead || taken > 0 {
		return true, err
	}
	released, err := s.lost(ctx, id, list, parsed, math.MaxInt64, ahead)
	return len(released) < len(lost), err
}

// latest returns a list's latest CRL. Of one that has none the numbers are those of
// the shard, which a delta shares with the full one.
func (s *Service) latest(ctx context.Context, list List) (*CRL, error) {
	c, err := s.CRL(ctx, list)
	if pki.KindOf(err) != pki.NotFound {
		return c, err
	}
	full, err := s.CRL(ctx, List{Issuer: list.Issuer, Shard: list.Shard})
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return &CRL{List: list}, nil
	case err != nil:
		return nil, err
	}
	return &CRL{List: list, Number: full.Number, Covers: full.Covers}, nil
}

// lost returns the entries of a published CRL that the store's entries up to a sequence
// number seem to lack. The store decides when it takes them.
func (s *Service) lost(ctx context.Context, id *identity, list List, published *tbs.ParsedCRL, upto int64, ahead bool) (lost []pki.Revocation, err error) {
	next, stop := iter.Pull2(published.Entries())
	defer stop()
	e, err, more := next()
	var before pki.Serial
	step := func(latest *pki.Revocation) error {
		if err != nil {
			return err
		}
		if Missing(latest, e.Reason, ahead) {
			lost = append(lost, pki.Revocation{Issuer: list.Issuer, Serial: e.Serial, Reason: e.Reason, At: e.At, Shard: list.Shard, NotAfter: id.issuer.NotAfter})
		}
		before = e.Serial
		if e, err, more = next(); more && err == nil && bytes.Compare(e.Serial[:], before[:]) <= 0 {
			err = pki.Errorf(pki.Malformed, "the entries of the CRL are not in order of serial")
		}
		return err
	}
	each := func(page []pki.Revocation) error {
		for i := range page {
			r := &page[i]
			for more && err == nil && bytes.Compare(e.Serial[:], r.Serial[:]) < 0 {
				if err := step(nil); err != nil {
					return err
				}
			}
			if more && err == nil && e.Serial == r.Serial {
				if err := step(r); err != nil {
					return err
				}
			}
		}
		return err
	}
	if err := s.eachPage(ctx, list, upto, time.Unix(0, 0), Span{}, each); err != nil {
		return nil, fmt.Errorf("revocations: %w", err)
	}
	for more {
		if err := step(nil); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// takeOver stores what was lost, and at last that numbers go on above the published one.
// No CRL is made meanwhile, which would have a part of it under a number that relying
// parties take for the whole.
func (s *Service) takeOver(ctx context.Context, id *identity, r Recovery, lost []pki.Revocation) (taken int, err error) {
	g, err := access.System(id.issuer.Tenant, "status").Authorize(access.Revoke, id.issuer.Tenant)
	if err != nil {
		return 0, err
	}
	if err := s.publishing.enter(ctx); err != nil {
		return 0, err
	}
	defer s.publishing.leave()
	defer s.Changed() // also after an error, which may mean that the outcome is unknown
	for first := true; first || len(lost) > 0; first = false {
		r.Entries = lost[:min(recoverStep, len(lost))]
		lost = lost[len(r.Entries):]
		r.Last = len(lost) == 0
		n, err := s.cfg.Store.Recover(ctx, r, pki.Event{
			Tenant: id.issuer.Tenant, At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "crl.recover", Target: "issuer:" + string(r.Issuer),
			Detail: fmt.Sprintf("shard %d: published CRL number %d is not the database's; up to %s taken over from it, and numbers go on above", r.Shard, r.Number, pki.Count(len(r.Entries), "revocation")),
		})
		if taken += n; err != nil {
			return taken, fmt.Errorf("take revocations over from published CRL %d of %s: %w", r.Number, r.List, err)
		}
	}
	return taken, nil
}

func (s *Service) tellRecovered(ctx context.Context, id *identity, list List, published, stored int64, taken int) {
	s.cfg.Log.ErrorContext(ctx, "the database is older than a published CRL", "list", list, "published", published, "stored", stored, "taken over", taken)
	s.cfg.Alarms.Raise(alarm.Alarm{
		Key: alarm.Key{Tenant: id.issuer.Tenant, Name: "crl.recovered", Target: list.Path()}, Severity: alarm.Critical,
		What: fmt.Sprintf("CRL number %d was published, and the database, with number %d, did not know it: it was put back from a backup. From that CRL it took over %s, and the next one has a number above it. What was revoked after that CRL, released or issued since the backup is missing", published, stored, pki.Count(taken, "revocation")),
		Do:   "Go through what an older copy loses, in docs/operator/backup.md: revoke again from your own records what is missing, and compare the certificates with the plants' lists. Then 'pando crl publish " + string(list.Issuer) + "' says that it is done, and ends this alarm.",
	})
}

// acknowledge ends the alarms about what was recovered of an issuer: somebody has seen
// to it.
func (s *Service) acknowledge(id *identity, shard int) {
	for _, a := range s.cfg.Alarms.Of(id.issuer.Tenant) {
		for n := range id.issuer.Shards {
			full := List{Issuer: id.issuer.ID, Shard: n}
			delta := List{Issuer: id.issuer.ID, Shard: n, Delta: true}
			if (shard == AllShards || shard == n) && a.Name == "crl.recovered" && (a.Target == full.Path() || a.Target == delta.Path()) {
				s.cfg.Alarms.Clear(a.Key)
			}
		}
	}
}
