package statuscheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// ownForm is the issuer's certificate alone, which those that it signed name (caIssuers;
// RFC 5280, 4.2.2.1). The others are for people.
const ownForm = "cer"

// checkChain looks at an issuer's certificates: at the targets in all forms, and at the
// status URL in the one that certificates name.
func (c *patrol) checkChain(ctx context.Context, issuer *pki.Issuer) error {
	chain, err := c.cfg.Chains.Chain(ctx, issuer.ID)
	if err != nil {
		return err
	}
	for _, form := range revocation.ChainForms() {
		_, want, err := revocation.EncodeChain(form, chain)
		if err != nil {
			return err
		}
		for _, where := range c.places() {
			if where == atURL && form != ownForm || c.skips(issuer.ID, where) || c.over() {
				continue
			}
			at := place{revocation.List{Issuer: issuer.ID}, where, revocation.ChainPath(issuer.ID, form)}
			found, err := c.compareChain(ctx, issuer, at, want)
			if errors.Is(err, errUnreachable) && ctx.Err() == nil {
				c.withhold(kept{issuer: issuer, at: at, err: err, name: "ca.wrong", tell: c.tellChain})
				continue
			}
			if err != nil {
				return err
			}
			c.tellChain(issuer, at, found)
		}
	}
	return nil
}

// compareChain compares what is at a place with what is to be there. It never changes, so
// that an ETag that was right is right for ever.
func (c *patrol) compareChain(ctx context.Context, issuer *pki.Issuer, at place, want []byte) (finding, error) {
	s, now := c.seen[at], c.cfg.Now()
	body, etag, same, err := c.read(ctx, issuer, at, s.etag, func() ([]byte, error) { return want, nil })
	switch {
	case errors.Is(err, errUnreachable), ctx.Err() != nil:
		return finding{}, err
	case same, err == nil && bytes.Equal(body, want):
		s.etag, s.well = etag, true
		c.seen[at] = s
		return finding{}, nil
	}
	if s.missed.IsZero() {
		s.missed = now
	}
	s.etag = ""
	c.seen[at] = s
	switch {
	case err == nil:
		return finding{name: "ca.wrong", what: fmt.Sprintf("what is there, %d bytes, is not the authority's certificate, or not the way to its root", len(body))}, nil
	case !s.well && now.Sub(s.missed) < behind: // a new issuer's is being published
		if at.where != atURL {
			c.cfg.Publisher.AgainChain(at.where, issuer.ID)
		}
		return finding{}, nil
	}
	return finding{name: "ca.wrong", what: "the authority's certificate is not there: " + err.Error()}, nil
}

// tellChain raises or clears the alarm about an issuer's certificates at a place, and has
// them be published there again where they are wrong.
func (c *patrol) tellChain(issuer *pki.Issuer, at place, found finding) {
	do := "Relying parties that fetch the authority's certificate from its status URL find no way to their root. See what answers there; it is looked at again by itself."
	if at.where != atURL {
		do = "pando publishes it anew, and looks at it again by itself, within a minute or, where there are many CRLs, a few. Where it comes back, something else writes to the target."
		if !found.none() {
			c.cfg.Publisher.AgainChain(at.where, issuer.ID)
		}
	}
	c.show(issuer, at, found, alarm.Alarm{Severity: alarm.Critical, Do: do}, "ca.wrong")
}
