package restapi

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// TestAlarms: a tenant sees its own, the platform sees all, and no other role any.
func TestAlarms(t *testing.T) {
	s := serve(t)
	for _, k := range []alarm.Key{{Tenant: "demo", Name: "crl.stale"}, {Tenant: "other", Name: "crl.stale"}, {Name: "clock.wrong"}} {
		s.alarms.Raise(alarm.Alarm{Key: k, Severity: alarm.Critical, What: "it is wrong", Do: "mend it"})
	}
	for token, want := range map[string][]string{
		"admin": {"demo crl.stale"}, "auditor": {"demo crl.stale"},
		"operator": {" clock.wrong", "demo crl.stale", "other crl.stale"},
	} {
		alarms, err := s.client(t, token).Alarms(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, a := range alarms {
			if got = append(got, a.Tenant+" "+a.Name); a.Since.IsZero() || a.What != "it is wrong" || a.Do != "mend it" || a.Severity != "critical" {
				t.Errorf("%+v", a)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", token, diff)
		}
	}
	s.refused(t, http.StatusForbidden, pki.Forbidden, "factory", "GET", "/api/v1/alarms", "")
}
