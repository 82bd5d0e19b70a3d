package statuscheck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// patience is how long a host may take over what it does not give in the end, in one round:
// then it is left alone for the rest of it.
const patience = 3 * time.Second

// A round is what hosts gave and did not give while a patrol walks.
type round struct {
	gave  map[host]bool          // it answered with something, or that there is nothing
	spent map[host]time.Duration // on what it did not give
	kept  []kept
}

// A kept is an object that a host did not give. Whether the object or the host is to blame
// is known when the others were asked for.
type kept struct {
	issuer *pki.Issuer
	at     place
	err    error
	name   string                            // the alarm about it
	tell   func(*pki.Issuer, place, finding) // raises that
}

func newRound() *round {
	return &round{gave: make(map[host]bool), spent: make(map[host]time.Duration)}
}

// places returns where the patrol looks.
func (c *patrol) places() []string {
	return append([]string{atURL}, slices.Sorted(maps.Keys(c.cfg.Targets))...)
}

// read gets an object. What is expected bounds what is read: where a tenant's status is, is
// its own word. same is true where it still has the ETag. It is errUnreachable where the
// object is not given, for whatever reason, errStore where it is not known what to expect;
// any other error is what the place gives in the object's stead.
func (c *patrol) read(ctx context.Context, issuer *pki.Issuer, at place, etag string, expected func() ([]byte, error)) (body []byte, newTag string, same bool, err error) {
	begun := time.Now()
	if at.where == atURL {
		body, newTag, same, err = c.web.get(ctx, issuer.Mode, issuer.StatusURL+"/"+at.path(), etag, expected)
	} else {
		body, newTag, err = c.readTarget(ctx, at, expected)
		same = err == nil && newTag == etag
	}
	switch h := hostOf(issuer.ID, at.where); {
	case ctx.Err() != nil, errors.Is(err, errStore):
	case errors.Is(err, errUnreachable):
		c.round.spent[h] += time.Since(begun)
	default:
		c.round.gave[h] = true
	}
	return body, newTag, same, err
}

func (c *patrol) readTarget(ctx context.Context, at place, expected func() ([]byte, error)) (body []byte, version string, err error) {
	like, err := expected()
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchDeadline)
	defer cancel()
	body, version, err = c.cfg.Targets[at.where].Read(ctx, at.path(), bound(like))
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil, "", errors.New(pki.DetailOf(err))
	case pki.KindOf(err) == pki.Malformed, pki.KindOf(err) == pki.Conflict: // too long, or nothing that can be read
		return nil, "", err
	case err != nil:
		return nil, "", fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return body, version, nil
}

// withhold notes that an object was not given.
func (c *patrol) withhold(k kept) { c.round.kept = append(c.round.kept, k) }

// withheld reports whether an object was not given in this round.
func (c *patrol) withheld(at place) bool {
	return slices.ContainsFunc(c.round.kept, func(k kept) bool { return k.at == at })
}

// settle tells of what was not given: where the host gave something else it is the
// object's fault, and otherwise the host's.
func (c *patrol) settle() {
	for h := range c.round.gave {
		delete(c.down, h)
		for _, i := range c.issuers {
			if hostOf(i.ID, h.where) == h {
				c.clearUnreachable(i, h.where)
			}
		}
	}
	silent := make(map[host]bool)
	for _, k := range c.round.kept {
		h := hostOf(k.issuer.ID, k.at.where)
		switch {
		case c.round.gave[h]:
			k.tell(k.issuer, k.at, finding{name: k.name, what: "it is not given, though others are there; the server's log says why", cause: k.err})
			continue
		case !silent[h]:
			silent[h] = true
			c.fell(h)
		}
		c.unreachable(k.issuer, k.at.where, k.err)
	}
}

func unreachableKey(issuer *pki.Issuer, where string) alarm.Key {
	return alarm.Key{Tenant: issuer.Tenant, Name: "status.unreachable", Target: "issuer:" + string(issuer.ID) + " at the " + where}
}

// unreachable is another alarm than a wrong answer: others may have a way.
func (c *patrol) unreachable(issuer *pki.Issuer, where string, err error) {
	c.stats.Unreachable.Add(1)
	if where == atOCSP {
		where = atURL
	}
	// Not what the network said: the URL is the tenant's, and would tell it what
	// there is inside ours.
	what := "status cannot be checked at " + issuer.StatusURL + ": no answer came that could be read; the server's log says why"
	do := "See whether relying parties can fetch from there. If they can and this host cannot, give it a way, or look from elsewhere ('pando crl check'). Private networks are looked at only where the operator lists them, status.check_networks in pando.yaml."
	if where != atURL {
		what = "status cannot be checked at the target " + where + "; the server's log says why"
		do = "The directory or bucket that status.publish in pando.yaml names must be there, and the server be able to read it. The server's log says what is in the way. It is looked at again by itself, once something was published there again or a quarter of an hour later at the latest, and what it lacks is published."
	}
	if c.raise(issuer, alarm.Alarm{Key: unreachableKey(issuer, where), Severity: alarm.Warning, What: what, Do: do}) {
		c.cfg.Log.Warn("status", "alarm", "status.unreachable", "issuer", issuer.ID, "where", where, "error", err)
	}
}

// clearUnreachable clears the alarm about an issuer's host that is reached; CRLs and OCSP at
// the status URL have one.
func (c *patrol) clearUnreachable(issuer *pki.Issuer, where string) {
	if where == atURL || where == atOCSP {
		if c.down[host{issuer.ID, atURL}] != nil || c.down[host{issuer.ID, atOCSP}] != nil {
			return
		}
		where = atURL
	}
	c.clear(unreachableKey(issuer, where))
}
