package statuscheck

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// objectEvery is how often the object that a list's pointer was moved to is looked at, where
// nothing moves: relying parties fetch the pointer.
const objectEvery = 5 * time.Minute

// An objectSight is what was last found of the object of a list's latest CRL at a target.
type objectSight struct {
	number int64
	well   time.Time // when it was last as it is to be; zero where it was not
}

// checkObject looks at the object of the store's latest CRL at a target, once the pointer
// is there: such an object never changes.
func (c *patrol) checkObject(ctx context.Context, issuer *pki.Issuer, pointer place) error {
	before, now, number := c.objects[pointer], c.cfg.Now(), c.seen[pointer].number
	if before.number == number && now.Sub(before.well) < objectEvery || c.skips(issuer.ID, pointer.where) {
		return nil
	}
	crl, err := c.stored(ctx, pointer.list)
	if crl == nil || err != nil || crl.Number != number {
		return err
	}
	at := place{pointer.list, pointer.where, pointer.list.ObjectPath(number)}
	body, _, _, err := c.read(ctx, issuer, at, "", func() ([]byte, error) { return crl.DER, nil })
	if ctx.Err() != nil || errors.Is(err, errStore) {
		return err
	}
	if before.number != number { // what was wrong with the one before is past
		c.tellObject(issuer, place{at.list, at.where, at.list.ObjectPath(before.number)}, finding{})
	}
	c.objects[pointer] = objectSight{number: number}
	switch {
	case errors.Is(err, errUnreachable):
		c.withhold(kept{issuer: issuer, at: at, err: err, name: "crl.wrong", tell: c.tellObject})
		return nil
	case err == nil && bytes.Equal(body, crl.DER):
		c.objects[pointer] = objectSight{number, now}
		c.tellObject(issuer, at, finding{})
		return nil
	}
	// The publisher removes it when there are two newer ones.
	if latest, err := c.stored(ctx, at.list); latest == nil || err != nil || latest.Number != number {
		return err
	}
	found := finding{name: "crl.wrong", what: "what is there is not the CRL that was written, which never changes"}
	if err != nil {
		found.what = "the CRL that was written is not there: " + err.Error()
	}
	c.tellObject(issuer, at, found)
	return nil
}

// tellObject raises or clears the alarm about an object, and has its list be published
// again where it is wrong.
func (c *patrol) tellObject(issuer *pki.Issuer, at place, found finding) {
	if !found.none() {
		c.cfg.Publisher.Again(at.where, at.list)
	}
	c.show(issuer, at, found, alarm.Alarm{Severity: alarm.Warning,
		Do: "Relying parties fetch the latest CRL by another name, which is looked at by itself. pando writes this one anew; where it comes back, something else writes to the target."}, "crl.wrong")
}
