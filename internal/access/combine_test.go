package access_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// TestCombine: two proofs together may do what each of them may, and are of one device.
func TestCombine(t *testing.T) {
	at := func(text string) access.Scope {
		s, err := access.ParseScope(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sooner, later := time.Unix(1, 0), time.Unix(2, 0)
	secret := func(device pki.DeviceID) access.Principal {
		role := access.Enroller
		if device != "" {
			role = access.Device
		}
		return access.Principal{Tenant: "acme", ID: "secret:1", Device: device, Grants: access.Given(role, at("endpoint:meter")), Proofs: pki.BySecret, Expires: later, Once: "once"}
	}
	certificate := func(device pki.DeviceID, grants []access.Grant) access.Principal {
		return access.Principal{Tenant: "acme", ID: "certificate:1/2", Device: device, Grants: grants, Proofs: pki.ByCertificate, Expires: sooner, Presented: [][]byte{{1}}, Foreign: true}
	}
	device := access.Given(access.Device, at("endpoint:meter"))
	for _, test := range []struct {
		name    string
		p, c    access.Principal
		device  pki.DeviceID
		role    access.Role
		where   string // "" is nowhere
		foreign bool
	}{
		{"both of the device", secret("SM-1"), certificate("SM-1", device), "SM-1", access.Device, "endpoint:meter", false},
		{"a secret of any", secret(""), certificate("SM-1", device), "SM-1", access.Device, "endpoint:meter", true},
		{"a device at another endpoint", secret("SM-1"), certificate("SM-1", access.Given(access.Device, at("endpoint:door"))), "SM-1", "", "", false},
		{"a plant at one site", secret(""), certificate("", access.Given(access.FactoryOperator, at("site:berlin"))), "", access.Enroller, "site:berlin+endpoint:meter", true},
		{"an auditor", secret(""), certificate("", access.Given(access.Auditor)), "", "", "", true},
		{"a device's role without a device", secret("SM-1"), certificate("", device), "SM-1", "", "", false},
	} {
		got, err := access.Combine(test.p, test.c)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.Device != test.device || got.Foreign != test.foreign || got.ID != "secret:1" || got.Once != "once" || !got.Expires.Equal(sooner) ||
			got.Proofs != pki.BySecret|pki.ByCertificate || len(got.Presented) != 1 {
			t.Errorf("%s: %+v", test.name, got)
		}
		g, err := got.Authorize(access.Enroll, "acme")
		if test.where == "" {
			if pki.KindOf(err) != pki.Forbidden {
				t.Errorf("%s: enrols: %v", test.name, err)
			}
			continue
		}
		if err != nil || g.Role() != test.role || g.Whole() {
			t.Errorf("%s: role %q, %v", test.name, g.Role(), err)
		}
		if diff := cmp.Diff([]access.Scope{at(test.where)}, g.Scopes()); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if _, err := got.Authorize(access.ManageBatches, "acme"); pki.KindOf(err) != pki.Forbidden {
			t.Errorf("%s: does more than enrol: %v", test.name, err)
		}
	}
	theirs := certificate("SM-1", device)
	theirs.Tenant = "globex"
	for name, c := range map[string]access.Principal{"another device": certificate("SM-2", device), "another tenant": theirs, "pando": access.System("acme", "x")} {
		if _, err := access.Combine(secret("SM-1"), c); pki.KindOf(err) != pki.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}
