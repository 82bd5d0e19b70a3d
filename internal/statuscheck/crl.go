package statuscheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// atURL is the place where relying parties fetch; every other place is a target's
// name, which is no URL. atOCSP is the OCSP there, which may answer though CRLs do not.
const (
	atURL  = "status URL"
	atOCSP = "status URL, OCSP"
)

// A place is a list at the status URL, or at a target. With an object it is one of those
// that never change: a CRL beside the pointer to the latest, or a certificate of the issuer.
type place struct {
	list   revocation.List
	where  string
	object string
}

// path returns what is there, below the status URL.
func (p place) path() string {
	if p.object != "" {
		return p.object
	}
	return p.list.Path()
}

// A sight is what was last found at a place.
type sight struct {
	etag       string
	number     int64
	thisUpdate time.Time
	nextUpdate time.Time
	newest     int64 // of the shard when it was last found complete; unsettled where it was not, since
	due        int64 // the number that the store has had since, at least
	since      time.Time
	missed     time.Time // when it was first looked for before there was any
	well       bool      // of a certificate: it was found as it is to be
}

// unsettled is no sequence number: the entries of a CRL are needed again.
const unsettled = -1

// A finding is what is wrong with a list at a place.
type finding struct {
	name, what string
	cause      error // for the log alone
}

func (f finding) none() bool { return f.name == "" }

// checkShard looks at a shard's lists at all places.
func (c *patrol) checkShard(ctx context.Context, issuer *pki.Issuer, shard int) error {
	state, err := c.cfg.Store.Shard(ctx, issuer.ID, shard)
	if err != nil {
		return err
	}
	for _, where := range c.places() {
		if c.skips(issuer.ID, where) || c.over() {
			continue
		}
		if err := c.checkPlace(ctx, issuer, &state, where); err != nil {
			return err
		}
	}
	return nil
}

// checkPlace looks at a shard's full CRL at one place, and at the delta where there
// are deltas: what was revoked is in one of the two.
func (c *patrol) checkPlace(ctx context.Context, issuer *pki.Issuer, state *revocation.ShardState, where string) error {
	var crls []*tbs.ParsedCRL
	lists := []revocation.List{{Issuer: issuer.ID, Shard: state.Shard}}
	if issuer.Deltas {
		lists = append(lists, revocation.List{Issuer: issuer.ID, Shard: state.Shard, Delta: true})
	}
	made := state.Number > 0 // an offline issuer's comes from a ceremony
	for _, list := range lists {
		at := place{list: list, where: where}
		if !made {
			s, now := c.seen[at], c.cfg.Now()
			if s.missed.IsZero() {
				s.missed = now
				c.seen[at] = s
			}
			if now.Sub(s.missed) >= behind { // a new issuer's first is being made
				c.tell(issuer, at, finding{name: "crl.missing", what: "there is no CRL yet"})
			}
			return nil
		}
		if c.seen[at].newest != state.Newest {
			s := c.seen[at]
			s.etag = "" // its entries are needed
			c.seen[at] = s
		}
	}
	found := make([]finding, len(lists))
	whole := true // all lists were given
	for n, list := range lists {
		stored := state.Number
		if list.Delta {
			stored = state.Delta.Number
		}
		at := place{list: list, where: where}
		crl, f, err := c.fetch(ctx, issuer, at, stored)
		if errors.Is(err, errUnreachable) && ctx.Err() == nil {
			c.withhold(kept{issuer: issuer, at: at, err: err, name: "crl.wrong", tell: c.tellWithheld})
			whole = false
			continue
		}
		if err != nil {
			return err
		}
		found[n] = f
		if crl != nil && f.name != "crl.ahead" { // which has what the store does not know yet
			c.remember(list, crl)
		}
		crls = append(crls, crl)
	}
	anyNew := slices.ContainsFunc(crls, func(crl *tbs.ParsedCRL) bool { return crl != nil })
	if whole && anyNew && !slices.ContainsFunc(found, func(f finding) bool { return f.name == "crl.wrong" }) {
		f, newest := finding{}, int64(unsettled) // where one of the two is new, both are read next time
		if !slices.Contains(crls, nil) {
			wrong, settled, err := c.complete(ctx, place{list: lists[0], where: where}, state, crls)
			if err != nil {
				return err
			}
			if f = wrong; settled {
				newest = state.Newest
			}
		}
		for _, list := range lists {
			s := c.seen[place{list: list, where: where}]
			s.newest = newest
			c.seen[place{list: list, where: where}] = s
		}
		if last := len(found) - 1; found[last].none() {
			found[last] = f
		}
	}
	for n, list := range lists {
		at := place{list: list, where: where}
		if c.withheld(at) {
			continue
		}
		c.tell(issuer, at, found[n])
		if !found[n].none() {
			c.repair(ctx, issuer, list, where)
		}
		if where != atURL {
			if err := c.checkObject(ctx, issuer, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch gets a list from a place and looks at it by itself. The CRL is nil where it
// is the same as before, or no CRL at all. stored is the number of the store's latest.
func (c *patrol) fetch(ctx context.Context, issuer *pki.Issuer, at place, stored int64) (*tbs.ParsedCRL, finding, error) {
	before := c.seen[at]
	body, etag, same, err := c.read(ctx, issuer, at, before.etag, func() ([]byte, error) {
		// What is expected bounds what is read: where a tenant's status is, is its own word.
		stored, err := c.stored(ctx, at.list)
		if stored == nil {
			return nil, err
		}
		return stored.DER, nil
	})
	switch {
	case errors.Is(err, errUnreachable), errors.Is(err, errStore), ctx.Err() != nil:
		return nil, finding{}, err
	case err != nil:
		return nil, finding{name: "crl.wrong", what: "there is no CRL: " + err.Error()}, nil
	case same:
		return nil, c.stale(at, before, stored), nil
	}
	crl, err := c.cfg.Authority.Verify(ctx, at.list, body)
	if err != nil {
		return nil, finding{name: "crl.wrong", what: "what is there is not the CRL: " + pki.DetailOf(err)}, nil
	}
	if crl.Number >= stored {
		switch _, err := c.cfg.Authority.Recover(ctx, at.list, body); {
		case pki.KindOf(err) == pki.Conflict && err != nil:
			return crl, finding{name: "crl.ahead", what: pki.DetailOf(err)}, nil
		case err != nil:
			return nil, finding{}, fmt.Errorf("what the store lost of a published CRL: %w", err)
		}
	}
	now := sight{etag: etag, number: max(crl.Number, before.number), thisUpdate: crl.ThisUpdate, nextUpdate: crl.NextUpdate, newest: before.newest, due: before.due, since: before.since}
	if crl.Number < before.number {
		now.etag = ""
		c.seen[at] = now
		return crl, finding{name: "crl.shrunken", what: fmt.Sprintf("the CRL went back from number %d to number %d", before.number, crl.Number)}, nil
	}
	return crl, c.stale(at, now, stored), nil
}

// stored returns the store's latest CRL of a list, nil for none.
func (c *patrol) stored(ctx context.Context, list revocation.List) (*revocation.CRL, error) {
	crl, err := c.cfg.Authority.CRL(ctx, list)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	return crl, nil
}

// stale notes a sight and judges the CRL's times: the publisher makes the next one before
// half of its life is over, and that one is to be there soon. An earlier one in its place
// may also be one that somebody put back, where this process saw no later one.
func (c *patrol) stale(at place, s sight, stored int64) finding {
	now := c.cfg.Now()
	if s.number >= s.due {
		s.due, s.since = stored, now
	}
	c.seen[at] = s
	grace := behind
	if at.where == atURL {
		grace += cached
	}
	half := s.thisUpdate.Add(s.nextUpdate.Sub(s.thisUpdate) / 2)
	switch {
	case s.number < s.due && !now.Before(s.since.Add(grace)):
		return finding{name: "crl.stale", what: fmt.Sprintf("the CRL has number %d, and the database has had number %d since %s at least", s.number, s.due, s.since.UTC().Format(time.RFC3339))}
	case !now.Before(s.nextUpdate):
		return finding{name: "crl.stale", what: fmt.Sprintf("the CRL, number %d, ran out on %s: relying parties that insist on one refuse every certificate", s.number, s.nextUpdate.UTC().Format(time.RFC3339))}
	case !now.Before(half):
		return finding{name: "crl.stale", what: fmt.Sprintf("more than half of the life of the CRL, number %d, is over, and there is no new one; it runs out on %s", s.number, s.nextUpdate.UTC().Format(time.RFC3339))}
	}
	return finding{}
}

// complete looks for what was revoked in the CRLs of a shard: the full one, and the
// delta to it. It is settled where all has been looked for in these CRLs, now or
// before, and nothing was too young for it.
func (c *patrol) complete(ctx context.Context, at place, state *revocation.ShardState, crls []*tbs.ParsedCRL) (f finding, settled bool, err error) {
	round := c.sweeps[at]
	if round == nil {
		round = new(sweep)
		c.sweeps[at] = round
	}
	of := fmt.Sprint(state.Newest)
	for _, crl := range crls {
		of += " " + string(crl.Signature)
	}
	round.begin(of)
	page, must, young, err := c.revoked(ctx, at.list.Issuer, state, round.after)
	if err != nil {
		return finding{}, false, err
	}
	latest := crls[len(crls)-1]
	for _, crl := range crls {
		for e, err := range crl.Entries() {
			if err != nil {
				return finding{name: "crl.wrong", what: pki.DetailOf(err)}, false, nil
			}
			if r, ok := must[e.Serial]; ok {
				r.there = e.Reason != pki.RemoveFromCRL
			}
		}
	}
	late, lost := 0, 0
	var one pki.Serial
	for serial, r := range must {
		switch {
		case r.there:
			continue
		case r.at.Add(behind).Before(latest.ThisUpdate.Add(revocation.Backdate)):
			lost++ // the CRL was made after it
		default:
			late++
		}
		one = serial
	}
	stored := state.Number
	if len(crls) > 1 {
		stored = state.Delta.Number
	}
	switch {
	case late > 0 && lost == 0 && latest.Number < stored: // the store has one that may well have them
		return finding{name: "crl.stale", what: fmt.Sprintf("the CRL has number %d, and the database number %d: it lacks %s older than %s, as that of %s", latest.Number, stored, pki.Count(late, "revocation"), behind, one)}, false, nil
	case lost > 0:
		return finding{name: "crl.shrunken", what: fmt.Sprintf("the CRL, number %d, lacks %d of the %s looked for, from before it was made, as that of %s", latest.Number, lost, pki.Count(len(must), "revocation"), one)}, false, nil
	case late > 0:
		return finding{name: "crl.incomplete", what: fmt.Sprintf("the CRL, number %d, lacks %s older than %s, as that of %s", latest.Number, pki.Count(late, "revocation"), behind, one)}, false, nil
	}
	return finding{}, round.past(page, young), nil
}

// A mustHave is a revocation that is to be in the CRL.
type mustHave struct {
	at    time.Time
	there bool
}

// revoked returns what must be in a shard's CRL by now, of the revocations behind a
// serial, which are the page, and of the newest; young says that others of them need not
// be there yet.
func (c *patrol) revoked(ctx context.Context, issuer pki.IssuerID, state *revocation.ShardState, after pki.Serial) (page []pki.Revocation, must map[pki.Serial]*mustHave, young bool, err error) {
	now := c.cfg.Now()
	page, err = c.cfg.Store.Revoked(ctx, issuer, state.Shard, state.Newest, now, revocation.Span{After: after}, window)
	if err != nil {
		return nil, nil, false, err
	}
	newest, _, err := c.cfg.Store.Changed(ctx, issuer, state.Shard, max(0, state.Newest-window), state.Newest, now, window)
	if err != nil {
		return nil, nil, false, err
	}
	must = make(map[pki.Serial]*mustHave, len(page))
	for _, some := range [][]pki.Revocation{page, newest} {
		for _, r := range some {
			switch {
			case r.Reason == pki.RemoveFromCRL:
			case r.At.Before(now.Add(-behind)):
				must[r.Serial] = &mustHave{at: r.At}
			default:
				young = true
			}
		}
	}
	return page, must, young, nil
}

// tell raises what was found and clears what was not.
func (c *patrol) tell(issuer *pki.Issuer, at place, found finding) {
	again := "'pando crl check' asks again."
	if at.where != atURL { // which it does not look at
		again = "The target is looked at again by itself, within a minute or, where there are many CRLs, a few; 'pando crl check' looks at status URLs alone."
	}
	a := alarm.Alarm{Severity: alarm.Critical, Do: "pando makes and publishes it anew; if that does not help within a few minutes, the log and the alarms of the publisher say why. " + again}
	if issuer.Key == pki.OfflineKey {
		if found.name != "crl.wrong" || at.where == atURL {
			a.Do = "Make the next CRL in a ceremony: 'pando authority crl-request' begins it."
		}
		if s := c.seen[at]; c.cfg.Now().Before(s.nextUpdate.Add(-s.nextUpdate.Sub(s.thisUpdate) / 5)) {
			a.Severity = alarm.Warning
		}
	}
	c.show(issuer, at, found, a, "crl.missing", "crl.stale", "crl.shrunken", "crl.incomplete", "crl.wrong", "crl.ahead")
}

// tellWithheld tells of a list that is not given. It is published again, and not made anew:
// nobody saw that it is wrong.
func (c *patrol) tellWithheld(issuer *pki.Issuer, at place, found finding) {
	c.tell(issuer, at, found)
	if at.where != atURL {
		c.cfg.Publisher.Again(at.where, at.list)
	}
}

// show puts what was found at a place on the board, and takes off the others of the names
// that it might have.
func (c *patrol) show(issuer *pki.Issuer, at place, found finding, a alarm.Alarm, names ...string) {
	if !found.none() {
		c.stats.Wrong.Add(1)
	}
	for _, name := range names {
		a.Key = alarm.Key{Tenant: issuer.Tenant, Name: name, Target: at.path() + " at the " + at.where}
		if name != found.name {
			c.clear(a.Key)
			continue
		}
		if a.What = found.what; c.raise(issuer, a) {
			log := c.cfg.Log
			if found.cause != nil {
				log = log.With("error", found.cause)
			}
			log.Error("status", "alarm", name, "object", at.path(), "where", at.where, "what", found.what)
		}
	}
}
