package hierarchy_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// parents is a store of families that counts how often it is asked.
type parents struct {
	of    map[pki.TenantID]pki.TenantID
	asked int
	err   error
}

func (p *parents) Parent(_ context.Context, child pki.TenantID) (pki.TenantID, error) {
	p.asked++
	return p.of[child], p.err
}

func TestFamilies(t *testing.T) {
	store := &parents{of: map[pki.TenantID]pki.TenantID{"acme": "", "acme-oem": "acme"}, err: errors.New("the disk is slow")}
	families := hierarchy.NewFamilies(store)
	if got := families.Of("acme-oem"); got != "acme-oem" {
		t.Errorf("%s while the store does not answer", got)
	}
	store.err, store.asked = nil, 0
	for range 2 {
		for tenant, want := range map[pki.TenantID]pki.TenantID{"acme": "acme", "acme-oem": "acme", pki.Platform: pki.Platform} {
			if got := families.Of(tenant); got != want {
				t.Errorf("family of %q: %q, want %q", tenant, got, want)
			}
		}
	}
	if store.asked != 2 {
		t.Errorf("the store was asked %d times", store.asked)
	}
}
