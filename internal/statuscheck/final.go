package statuscheck

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// maxFinal is how many certificates that CRLs revoke for good are remembered, 20 MB of
// them, shared by the tenants. Of one that has more, half of them are, or a quarter, as many
// as have their place, from then on.
const maxFinal = 1 << 20

// A finals is what verified CRLs of a shard revoke for good, wherever they were found. It
// is in each CRL until the certificate expired (RFC 5280, 3.3 and 5.3.1). The store decides
// what is in the next one, and what OCSP says; this is what it cannot change.
type finals struct {
	serials []pki.Serial               // in order, those that chance chose
	read    map[revocation.List]string // signatures of the CRLs that were read last
	life    time.Duration              // of a CRL: so long after its end a certificate is in it
	after   pki.Serial                 // behind which the next look begins
	begun   time.Time                  // when this way round began
	well    time.Time                  // when the last one began in which nothing was undone
	found   undone                     // on this way round
	before  undone                     // on the last one
}

// An undone is how many of a shard's certificates are revoked for good by a CRL and not by
// the store, and one of them.
type undone struct {
	count int
	one   pki.Serial
	how   string // what the store says of that one
}

// final reports whether nothing ends a revocation.
func final(r pki.Reason) bool { return r != pki.CertificateHold && r != pki.RemoveFromCRL }

func compareSerials(a, b pki.Serial) int { return bytes.Compare(a[:], b[:]) }

// remember notes what a verified CRL revokes for good.
func (c *patrol) remember(list revocation.List, crl *tbs.ParsedCRL) {
	shard := turn{list.Issuer, list.Shard}
	f := c.finals[shard]
	if f == nil {
		f = &finals{read: make(map[revocation.List]string), begun: c.cfg.Now()}
		c.finals[shard] = f
	}
	if f.read[list] == string(crl.Signature) { // at another place
		return
	}
	var fresh []pki.Serial
	for e, err := range crl.Entries() {
		if err != nil {
			return // which is told of as crl.wrong
		}
		if !final(e.Reason) || c.passedOver(e.Serial) {
			continue
		}
		if _, known := slices.BinarySearchFunc(f.serials, e.Serial, compareSerials); known {
			continue
		}
		fresh = append(fresh, e.Serial)
		for c.remembered+len(fresh) > c.share && c.halvings < 63 {
			c.halve()
			fresh = slices.DeleteFunc(fresh, c.passedOver)
		}
	}
	f.read[list] = string(crl.Signature)
	f.life = max(f.life, crl.NextUpdate.Sub(crl.ThisUpdate))
	if len(fresh) > 0 {
		before := len(f.serials)
		f.serials = append(f.serials, fresh...)
		slices.SortFunc(f.serials, compareSerials)
		f.serials = slices.Compact(f.serials)
		c.remembered += len(f.serials) - before
	}
}

// passedOver reports whether a serial is one of those that there is no place for. Which
// these are nobody knows outside this process.
func (c *patrol) passedOver(serial pki.Serial) bool {
	return maphash.Bytes(c.seed, serial[:])&(1<<c.halvings-1) != 0
}

// halve has every second of what is remembered be passed over from now on.
func (c *patrol) halve() {
	c.halvings++
	c.remembered = 0
	for _, f := range c.finals {
		f.serials = slices.Clip(slices.DeleteFunc(f.serials, c.passedOver))
		c.remembered += len(f.serials)
	}
}

// atOnce is how many serials the store is asked about at once.
const atOnce = 1000

// lookBack compares what CRLs revoked for good with what the store says now: of up to so
// many shards, up to a window, and for lookTime, from where the round before ended. It comes
// before all else and has a time of its own, so that neither ever keeps the other from its turn.
func (c *patrol) lookBack(ctx context.Context, shards int) {
	left := window
	for _, next := range c.next(c.back, shards) {
		if ctx.Err() != nil || left <= 0 || c.lookedLong() {
			return
		}
		at := turn{next.issuer.ID, next.shard}
		if f := c.finals[at]; f != nil {
			read, whole, err := c.compareFinals(ctx, next.issuer, next.shard, f, left)
			if err != nil && ctx.Err() == nil {
				c.cfg.Log.WarnContext(ctx, "compare revocations with published CRLs", "issuer", at.issuer, "shard", at.shard, "error", err)
			}
			if c.back = at; err == nil && !whole {
				return
			}
			left -= read
		}
		c.back = turn{at.issuer, at.shard + 1}
	}
}

// lookedLong reports whether the time for looking back is over.
func (c *patrol) lookedLong() bool { return time.Since(c.last) > lookTime }

// compareFinals compares the next of a shard's, up to a limit. It returns how many these were,
// and whether it came to the shard's end. It asks for them and not for what the store has
// between them, which may be much more: entries of what expired or was released stay there.
func (c *patrol) compareFinals(ctx context.Context, issuer *pki.Issuer, shard int, f *finals, limit int) (read int, whole bool, err error) {
	from, at := slices.BinarySearchFunc(f.serials, f.after, compareSerials)
	if at {
		from++
	}
	rest := f.serials[from:]
	found, ended := f.found, make(map[pki.Serial]bool)
	gone := c.cfg.Now().Add(-f.life) // what expired before it is in no CRL any more
	for len(rest) > 0 && read < limit && !c.lookedLong() {
		some := rest[:min(len(rest), limit-read, atOnce)]
		latest, err := c.cfg.Store.LatestEntries(ctx, issuer.ID, shard, some)
		if err != nil {
			return 0, false, err
		}
		for _, serial := range some {
			if len(latest) > 0 && latest[0].Serial == serial {
				r := latest[0]
				if latest = latest[1:]; final(r.Reason) && !r.NotAfter.Before(gone) {
					continue
				}
			}
			status, err := c.cfg.Store.Status(ctx, issuer.ID, serial)
			if err != nil {
				return 0, false, err
			}
			if status.Known && status.NotAfter.Before(gone) {
				ended[serial] = true
			} else if how := howUndone(&status, gone); how != "" {
				found = undone{found.count + 1, serial, how}
			}
		}
		read, rest = read+len(some), rest[len(some):]
	}
	if read > 0 {
		f.after = f.serials[from+read-1]
	}
	whole = len(rest) == 0
	if f.found = found; whole {
		if found.count == 0 {
			f.well = f.begun
		}
		f.after, f.before, f.found, f.begun = pki.Serial{}, found, undone{}, c.cfg.Now()
	}
	c.tellUndone(issuer, shard, f)
	if len(ended) > 0 {
		before := len(f.serials)
		f.serials = slices.DeleteFunc(f.serials, func(s pki.Serial) bool { return ended[s] })
		c.remembered -= before - len(f.serials)
	}
	return read, whole, nil
}

// howUndone returns what the store says of a certificate that a CRL revoked for good and that
// is to be in the next one, where that is something else, or "".
func howUndone(status *revocation.Status, gone time.Time) string {
	switch r := status.Revocation; {
	case !status.Known:
		return "it knows no such certificate"
	case r == nil && status.Entries > 0:
		return "it was released"
	case r == nil:
		return "it is not revoked"
	case !final(r.Reason):
		return "it is on hold"
	case r.NotAfter.Before(gone):
		return "it expired, which it has not"
	}
	return ""
}

// tellUndone raises the alarm about what of a shard is undone, or clears it when all of it was
// looked at and nothing is.
func (c *patrol) tellUndone(issuer *pki.Issuer, shard int, f *finals) {
	a := alarm.Alarm{Severity: alarm.Critical, Key: alarm.Key{Tenant: issuer.Tenant, Name: "revocation.undone", Target: revocation.List{Issuer: issuer.ID, Shard: shard}.Path()},
		Do: "Something else than pando changed the database. Keep a copy of it as evidence, and run 'pando check' on that: it names the rows. Revoke each of the certificates again, for good ('pando cert revoke'), or put the rows back: the alarm ends when all of them are revoked."}
	u := f.found
	if f.before.count > u.count {
		u = f.before
	}
	if u.count == 0 {
		c.clear(a.Key)
		return
	}
	c.stats.Wrong.Add(1)
	a.What = fmt.Sprintf("of what a published CRL revokes for good the database has %s as something else, %s among them: %s. OCSP and the next CRLs go by the database", pki.Count(u.count, "certificate"), u.one, u.how)
	if !f.well.IsZero() {
		a.What += "; nothing was wrong on " + f.well.UTC().Format(time.RFC3339)
	}
	if c.raise(issuer, a) {
		c.cfg.Log.Error("status", "alarm", a.Name, "list", a.Target, "what", a.What)
	}
}
