package hierarchy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

// counted is a profile of which its tenant has so many certificates at most.
func counted(limit int, description string) []byte {
	text := "profile: counted\ndescription: " + description + "\n"
	if limit > 0 {
		text += fmt.Sprintf("quota: %d\n", limit)
	}
	return []byte(text + "keys: {allow: [p256]}\nvalidity: 1y\nsubject: [{type: serialNumber, from: device.id}]\nkeyIdentifiers: [authority]\n")
}

// TestProfileQuota: a published document sets the quota of its profile, lowers it, and
// never raises it.
func TestProfileQuota(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	publish := func(who access.Principal, document []byte) error {
		t.Helper()
		g, err := who.Authorize(access.ManageProfiles, "acme")
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Hierarchy.PublishProfile(t.Context(), g, document)
		return err
	}
	limit := func(want int64) {
		t.Helper()
		all, err := s.Quotas.Quotas(t.Context(), s.Permit(t, "acme", access.ReadQuotas))
		if err != nil {
			t.Fatal(err)
		}
		var is int64
		for _, q := range all {
			if q.Target == (quota.Target{Kind: quota.Profile, Name: "counted"}) {
				is = q.Limit
			}
		}
		if is != want {
			t.Fatalf("the quota is %d, not %d", is, want)
		}
	}
	admin := s.Appoint(t, "acme", "administrator", access.TenantAdministrator)
	publisher := s.Appoint(t, "acme", "publisher", access.PKIAdministrator)

	// Who may publish and set no quotas publishes what sets none.
	err := publish(publisher, counted(20, "one"))
	if lack := pki.DetailOf(err); pki.KindOf(err) != pki.Forbidden || !strings.Contains(lack, string(access.ManageQuotas)) {
		t.Fatal(err)
	}
	limit(0)
	for _, row := range []struct {
		who  access.Principal
		says int
		is   int64
	}{{admin, 20, 20}, {publisher, 20, 20}, {admin, 5, 5}, {publisher, 0, 5}, {publisher, 5, 5}} {
		if err := publish(row.who, counted(row.says, fmt.Sprint(row.who.ID, row.says))); err != nil {
			t.Fatal(err)
		}
		limit(row.is)
	}
	if err := publish(admin, counted(6, "more")); pki.KindOf(err) != pki.Conflict || !strings.Contains(pki.DetailOf(err), "pando quota set") {
		t.Fatal(err)
	}
	limit(5)
	v, err := s.Hierarchy.Profile(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "counted", 0)
	if err != nil || v.Version != 5 {
		t.Fatalf("version %+v, %v: a refused document was published", v, err)
	}
}
