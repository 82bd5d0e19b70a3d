package pki_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-v]{26}$`)
	before := ""
	seen := make(map[string]bool)
	for i := range 1000 {
		id := pki.NewID(noon.Add(time.Duration(i) * time.Millisecond))
		if !form.MatchString(id) || id <= before {
			t.Fatalf("id %s after %s", id, before)
		}
		before = id
		for _, other := range []string{id, pki.NewID(noon), pki.NewOpaqueID()} {
			if seen[other] || !form.MatchString(other) {
				t.Fatalf("id %s is there twice, or has another form", other)
			}
			seen[other] = true
		}
	}
	// They sort across the whole range of their 48 bits.
	if a, b := pki.NewID(time.UnixMilli(0)), pki.NewID(time.UnixMilli(1<<48-1)); a >= before || b <= before {
		t.Errorf("ids do not sort by time: %s, %s, %s", a, before, b)
	}
}

func TestCheckSlug(t *testing.T) {
	for _, s := range []string{"a", "0", "demo", "a-b", "code-verification", "9-9", strings.Repeat("a", 40)} {
		if err := pki.CheckSlug("tenant", s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "-", "a-", "-a", "A", "a.b", "a b", "a_b", "ä", "a\n", "\na", "a/b", "a,b", "..", strings.Repeat("a", 41), strings.Repeat("\xe2", 1<<16)} {
		if err := pki.CheckSlug("tenant", s); pki.KindOf(err) != pki.Malformed || err == nil || len(err.Error()) > 1000 {
			t.Errorf("%.50q names a tenant: %.300v", s, err)
		}
	}
}

func TestCheckDevice(t *testing.T) {
	for _, id := range []string{"a", "SM-000001", "a b", "~!", `"`, "urn:dev:mac:0024befffe804ff1", strings.Repeat("x", 128)} {
		if err := pki.CheckDevice(pki.DeviceID(id)); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"", " ", " a", "a ", "a\tb", "a\n", "a\x00b", "a\x7f", "zähler", "\xff", strings.Repeat("x", 129), strings.Repeat("x", 1<<16)} {
		if err := pki.CheckDevice(pki.DeviceID(id)); pki.KindOf(err) != pki.Malformed || err == nil || len(err.Error()) > 300 {
			t.Errorf("%.50q names a device: %.300v", id, err)
		}
	}
}

func TestKeyKinds(t *testing.T) {
	for _, k := range pki.KeyKinds() {
		if got, err := pki.ParseKeyKind(string(k)); got != k || err != nil {
			t.Errorf("%s: %s, %v", k, got, err)
		}
	}
	for _, s := range []string{"", "P256", "rsa1024", "rsa", "ed448", strings.Repeat("\xe2", 1<<16)} {
		if got, err := pki.ParseKeyKind(s); pki.KindOf(err) != pki.Malformed || got != "" || len(err.Error()) > 1000 {
			t.Errorf("%.50q: %s, %.300v", s, got, err)
		}
	}
}

// TestReasons compares the codes with RFC 5280, 5.3.1.
func TestReasons(t *testing.T) {
	want := map[string]int{
		"unspecified": 0, "keyCompromise": 1, "cACompromise": 2, "affiliationChanged": 3, "superseded": 4,
		"cessationOfOperation": 5, "certificateHold": 6, "privilegeWithdrawn": 9, "aACompromise": 10,
	}
	for name, code := range want {
		r, err := pki.ParseReason(name)
		if int(r) != code || r.String() != name || err != nil {
			t.Errorf("%s: %d (%s), %v", name, r, r, err)
		}
	}
	for code := -1; code < 12; code++ {
		name := pki.Reason(code).String()
		if _, known := want[name]; !known && name != "unknown" && code != int(pki.RemoveFromCRL) {
			t.Errorf("reason %d is called %q", code, name)
		}
	}
	for _, name := range []string{"", "unknown", "KeyCompromise", "1", "removeFromCRL"} {
		if r, err := pki.ParseReason(name); pki.KindOf(err) != pki.Malformed || err == nil {
			t.Errorf("%q: %s, %v", name, r, err)
		}
	}
}

func TestLabel(t *testing.T) {
	if got := (pki.Endpoint{Tenant: "demo", Name: "meter"}).Label(); got != "demo.meter" {
		t.Errorf("label %q", got)
	}
}
