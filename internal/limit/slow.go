package limit

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// What is slow by intent, as deriving a key from a password, is done once at a time on a
// node; a few may wait for that, and a quarter of these for one family.
const (
	slowWaits    = 16
	slowOfFamily = slowWaits / tenantShare
)

type slow struct {
	turn  chan struct{}
	waits *shares[pki.TenantID] // of families
}

func newSlow() slow {
	return slow{make(chan struct{}, 1), newShares[pki.TenantID](slowOfFamily, slowWaits)}
}

// Slow waits for the turn to do something slow for a tenant, or is RateLimited where its
// family waits for too much already, Unavailable where all do. leave ends the turn.
func (l *Limits) Slow(ctx context.Context, tenant pki.TenantID) (leave func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	done, ok, full := l.slow.waits.enter(l.cfg.Family.Of(tenant))
	switch {
	case full:
		return nil, l.count(Slow, noPlace())
	case !ok:
		return nil, l.count(Slow, &pki.Error{Kind: pki.RateLimited, Detail: "too many answers that are encrypted under a password are under way for your organisation; send the request again", RetryAfter: time.Second})
	}
	select {
	case l.slow.turn <- struct{}{}:
		return func() { <-l.slow.turn; done() }, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
