package hierarchy

import (
	"context"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Families know which tenants belong together. A tenant's parent never changes, so
// that what was read once is remembered for good.
type Families struct {
	store Parents

	mu  sync.RWMutex
	top map[pki.TenantID]pki.TenantID // guarded by mu
}

// Parents is the store that Families ask.
type Parents interface {
	// Parent returns the tenant that made a tenant, "" for the platform; NotFound where
	// there is no such tenant.
	Parent(ctx context.Context, child pki.TenantID) (pki.TenantID, error)
}

// NewFamilies returns Families.
func NewFamilies(store Parents) *Families {
	return &Families{store: store, top: make(map[pki.TenantID]pki.TenantID)}
}

// familyPatience is how long the store may take to name a parent.
const familyPatience = time.Second

// Of is a pki.FamilyOf. Where the store does not answer in time a tenant counts as its
// own family, and is asked for again at the next request.
func (f *Families) Of(tenant pki.TenantID) pki.TenantID {
	if tenant == pki.Platform {
		return tenant
	}
	f.mu.RLock()
	top, known := f.top[tenant]
	f.mu.RUnlock()
	if known {
		return top
	}
	ctx, cancel := context.WithTimeout(context.Background(), familyPatience)
	defer cancel()
	top, err := f.store.Parent(ctx, tenant)
	if err != nil {
		return tenant
	}
	if top == pki.Platform {
		top = tenant
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.top[tenant] = top
	return top
}
