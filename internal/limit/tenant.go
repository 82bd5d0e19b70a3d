package limit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pando-pki/pando/internal/pki"
)

// familyShare says how a family divides what it has: each child has one part in so
// many, and all children together leave one to their parent.
const familyShare = 4

// tenantRates are the rates of tenants: a family has that of the tenant at its top,
// and its children have theirs of it.
type tenantRates struct {
	deployment Rate
	family     pki.FamilyOf

	mu    sync.Mutex
	own   map[pki.TenantID]Rate // guarded by mu, as are the next
	whole map[pki.TenantID]*bucket
	kids  map[pki.TenantID]*bucket // of all children of a family together
	child map[pki.TenantID]*bucket
}

// A bucket remembers the rate that it was made with.
type bucket struct {
	rate Rate
	*rate.Limiter
}

func newTenantRates(deployment Rate, family pki.FamilyOf) *tenantRates {
	return &tenantRates{
		deployment: deployment, family: family, own: make(map[pki.TenantID]Rate),
		whole: make(map[pki.TenantID]*bucket), kids: make(map[pki.TenantID]*bucket), child: make(map[pki.TenantID]*bucket),
	}
}

// set replaces the rates of the tenants that have their own.
func (t *tenantRates) set(own map[pki.TenantID]Rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own = own
}

// take takes a request from what the tenant has and from what its family has, or from
// neither.
func (t *tenantRates) take(tenant pki.TenantID, now time.Time) error {
	family := t.family.Of(tenant)
	t.mu.Lock()
	r := t.of(family, t.deployment)
	whole := bucketOf(t.whole, family, r)
	var child, kids *bucket
	if tenant != family {
		child = bucketOf(t.child, tenant, t.of(tenant, partOf(r, 1)))
		kids = bucketOf(t.kids, family, partOf(r, familyShare-1))
	}
	t.mu.Unlock()
	if tenant == family {
		return take(whole.Limiter, now, "your organisation, with its children, sends more requests than it may; the platform operator sets the limit")
	}
	if err := take(child.Limiter, now, "your organisation sends more requests than it may; the platform operator sets the limit"); err != nil {
		return err
	}
	const together = "your organisation and the others under the same parent send more requests than they may together; the platform operator sets the limit"
	if err := take(kids.Limiter, now, together); err != nil {
		return err
	}
	return take(whole.Limiter, now, together)
}

// of returns a tenant's own rate, or else the one that it has otherwise. It needs mu.
func (t *tenantRates) of(tenant pki.TenantID, otherwise Rate) Rate {
	if own, ok := t.own[tenant]; ok {
		return own
	}
	return otherwise
}

// bucketOf returns the bucket of a tenant, a new one where it had none or one of
// another rate: what it has used stays used where its rate stays.
func bucketOf(all map[pki.TenantID]*bucket, tenant pki.TenantID, r Rate) *bucket {
	b := all[tenant]
	if b == nil || b.rate != r {
		b = &bucket{r, newBucket(r)}
		all[tenant] = b
	}
	return b
}

// partOf returns so many parts of a family's rate.
func partOf(r Rate, parts int) Rate {
	if r.PerSecond == 0 {
		return r
	}
	return Rate{max(r.PerSecond*parts/familyShare, 1), max(r.Burst*parts/familyShare, 1)}
}
