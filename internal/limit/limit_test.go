package limit

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

type clock struct{ now time.Time }

func newLimits(cfg Config) (*Limits, *clock) {
	c := &clock{time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	cfg.Now = func() time.Time { return c.now }
	return New(cfg), c
}

// count returns how many of n calls are let through; the others are of the kind.
func count(t *testing.T, n int, kind pki.Kind, call func() error) (through int) {
	t.Helper()
	for range n {
		switch err := call(); {
		case err == nil:
			through++
		case pki.KindOf(err) != kind || err.(*pki.Error).RetryAfter < time.Second:
			t.Fatalf("%v, want %s with a time to come again", err, kind)
		}
	}
	return through
}

func TestTenant(t *testing.T) {
	l, c := newLimits(Config{Tenant: Rate{10, 20}})
	acme := func() error { return l.Tenant("acme") }
	if n := count(t, 50, pki.RateLimited, acme); n != 20 {
		t.Errorf("%d at once, want the burst", n)
	}
	c.now = c.now.Add(time.Second)
	if n := count(t, 50, pki.RateLimited, acme); n != 10 {
		t.Errorf("%d after a second", n)
	}
	if err := l.Tenant("other"); err != nil {
		t.Errorf("another tenant pays for it: %v", err)
	}
	if n := count(t, 100, 0, func() error { return l.Tenant(pki.Platform) }); n != 100 {
		t.Errorf("the platform is limited to %d", n)
	}
	l.SetTenants(map[pki.TenantID]Rate{"acme": {1, 2}})
	if n := count(t, 50, pki.RateLimited, acme); n != 2 {
		t.Errorf("%d of its own burst of 2", n)
	}
	l.SetTenants(map[pki.TenantID]Rate{"acme": {1, 2}})
	if n := count(t, 50, pki.RateLimited, acme); n != 0 {
		t.Errorf("%d more after the same limit was set again", n)
	}
	l.SetTenants(nil)
	if n := count(t, 50, pki.RateLimited, acme); n != 20 {
		t.Errorf("%d with the deployment's again", n)
	}
}

// family has a-1 and a-2 as children of a.
func family(t pki.TenantID) pki.TenantID {
	top, _, _ := strings.Cut(string(t), "-")
	return pki.TenantID(top)
}

// TestFamilyRate: a family with twenty children has the rate of one tenant, of which a
// child has a quarter and all children three; what the operator sets holds instead.
func TestFamilyRate(t *testing.T) {
	l, _ := newLimits(Config{Tenant: Rate{40, 80}, Family: family})
	asks := func(tenant pki.TenantID) int {
		return count(t, 200, pki.RateLimited, func() error { return l.Tenant(tenant) })
	}
	if n := asks("a-0"); n != 20 {
		t.Errorf("a child: %d at once, want a quarter", n)
	}
	sum := 0
	for n := range 20 {
		sum += asks(pki.TenantID("a-" + strconv.Itoa(n)))
	}
	if sum != 40 {
		t.Errorf("the other children: %d at once, want two quarters", sum)
	}
	if n := asks("a"); n != 20 {
		t.Errorf("their parent: %d at once, want a quarter", n)
	}
	if n := asks("b"); n != 80 {
		t.Errorf("a single tenant: %d at once", n)
	}
	l.SetTenants(map[pki.TenantID]Rate{"c": {8, 16}, "c-1": {5, 10}})
	if one, two, parent := asks("c-1"), asks("c-2"), asks("c"); one != 10 || two != 2 || parent != 4 {
		t.Errorf("%d, %d and %d with own rates, want the child's own, what that leaves of three quarters, and the parent's", one, two, parent)
	}
	l.SetTenants(map[pki.TenantID]Rate{"c": {80, 160}, "c-1": {5, 10}})
	if one, two := asks("c-1"), asks("c-2"); one != 0 || two != 40 {
		t.Errorf("%d and %d after the parent's was raised", one, two)
	}
}

func TestPlaces(t *testing.T) {
	l, _ := newLimits(Config{Requests: 2, Streams: 1, Answers: 1})
	leave, err := l.Request(false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Request(false); err != nil || !l.Full() {
		t.Fatal(err, l.Full())
	}
	if n := count(t, 5, pki.Unavailable, func() error { _, err := l.Request(false); return err }); n != 0 {
		t.Errorf("%d too many", n)
	}
	if _, err := l.Request(true); err != nil {
		t.Errorf("a stream has no place while single requests are many: %v", err)
	}
	if _, err := l.Request(true); err == nil {
		t.Error("a second stream")
	}
	leave()
	leave() // giving back twice gives back once
	if _, err := l.Request(false); err != nil || !l.Full() {
		t.Error(err, l.Full())
	}
	if _, err := l.Answer(""); err != nil {
		t.Error(err)
	}
	if _, err := l.Answer(""); pki.KindOf(err) != pki.Unavailable {
		t.Error(err)
	}
	var none *Limits
	if _, err := none.Request(true); err != nil || none.Tenant("acme") != nil || none.Failure("", 0) != nil {
		t.Error("nil limits something")
	}
}

// TestShares: a tenant, or a source, takes no more than its part of the places; all
// tenants together leave the platform its own.
func TestShares(t *testing.T) {
	l, _ := newLimits(Config{Requests: 8, Streams: 4, Answers: 32})
	share := func(tenant pki.TenantID, stream bool) func() error {
		return func() error { _, err := l.Share(tenant, stream); return err }
	}
	leave, err := l.Share("a", false)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, 5, pki.RateLimited, share("a", false)); n != 1 {
		t.Errorf("%d more of one tenant, want 2 in all", n)
	}
	if n := count(t, 5, pki.RateLimited, share("b", false)) + count(t, 5, pki.RateLimited, share("c", false)); n != 4 {
		t.Errorf("%d of two others", n)
	}
	if n := count(t, 5, pki.Unavailable, share("d", false)); n != 0 {
		t.Errorf("%d of a fourth, which leaves the platform nothing", n)
	}
	if n := count(t, 5, pki.Unavailable, share(pki.Platform, false)); n != 2 {
		t.Errorf("%d of the platform", n)
	}
	if n := count(t, 5, pki.RateLimited, share("d", true)); n != 1 {
		t.Errorf("%d streams", n)
	}
	leave()
	leave()
	if n := count(t, 5, pki.RateLimited, share("a", false)); n != 1 {
		t.Errorf("%d after one place was given back", n)
	}
	l2, _ := newLimits(Config{Requests: 64, Family: family})
	in := func(tenant pki.TenantID) (places int, leave []func()) {
		places = count(t, 20, pki.RateLimited, func() error {
			done, err := l2.Share(tenant, false)
			if err == nil {
				leave = append(leave, done)
			}
			return err
		})
		return places, leave
	}
	one, done := in("a-0")
	all := one
	for n := range 20 {
		more, _ := in(pki.TenantID("a-" + strconv.Itoa(n)))
		all += more
	}
	if parent, _ := in("a"); one != 4 || all != 12 || parent != 4 {
		t.Errorf("a child took %d places, all twenty %d and their parent %d, of a family's 16", one, all, parent)
	}
	if single, _ := in("b"); single != 16 {
		t.Errorf("a single tenant took %d places beside a family", single)
	}
	done[0]()
	if n, _ := in("a-7"); n != 1 {
		t.Errorf("%d places after one was given back", n)
	}
	answer := func(from string) func() error {
		return func() error { _, err := l.Answer(from); return err }
	}
	if n := count(t, 5, pki.RateLimited, answer("192.0.2.1:1")); n != 2 {
		t.Errorf("%d answers for one source", n)
	}
	if n := count(t, 5, pki.RateLimited, answer("192.0.2.2:1")); n != 2 {
		t.Errorf("%d answers for another source", n)
	}
	if n := count(t, 50, pki.Unavailable, answer("127.0.0.1:1")); n != 28 {
		t.Errorf("%d answers for this machine", n)
	}
	_, err = l.Answer("192.0.2.3:1") // finds none, and keeps nothing of its share
	if err == nil || len(l.answers.of.taken) != 2 {
		t.Error(err, l.answers.of.taken)
	}
}

func TestSource(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1000": "192.0.2.1", "[::ffff:192.0.2.1]:2": "192.0.2.1", "[2001:db8::1:2:3:4]:5": "2001:db8::",
		"[2001:db8:0:0:ffff::1]:5": "2001:db8::", "[fe80::1%eth0]:5": "fe80::", "127.0.0.1:5": "invalid IP", "[::1]:5": "invalid IP", "x": "invalid IP",
	} {
		if got := SourceOf(remote); got.String() != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

// TestTry: a source that failed too often is not heard, but for who proved themselves
// lately by a credential that has not failed since.
func TestTry(t *testing.T) {
	l, c := newLimits(Config{Failures: Rate{1, 2}})
	const from = "192.0.2.1:1"
	l.Proved(7)
	for range 2 {
		if err := errors.Join(l.Try(from, 1), l.Failure(from, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for credential, want := range map[uint64]pki.Kind{1: pki.RateLimited, 7: 0} {
		if err := l.Try(from, credential); want == 0 && err != nil || want != 0 && pki.KindOf(err) != want {
			t.Errorf("credential %d: %v", credential, err)
		}
	}
	if err := l.Try("192.0.2.2:1", 1); err != nil {
		t.Errorf("another source: %v", err)
	}
	l.Failure(from, 7)
	if l.Try(from, 7) == nil {
		t.Error("a credential that no longer holds is heard")
	}
	c.now = c.now.Add(time.Second)
	if err := l.Try(from, 1); err != nil {
		t.Errorf("after a second: %v", err)
	}
}

// TestDevice: one device takes no more than is a device's, and another none of its.
func TestDevice(t *testing.T) {
	l, _ := newLimits(Config{Device: Rate{1, 3}})
	for _, who := range []struct {
		tenant pki.TenantID
		id     pki.DeviceID
	}{{"a", "SM-1"}, {"a", "SM-2"}, {"b", "SM-1"}} {
		if n := count(t, 9, pki.RateLimited, func() error { return l.Device(who.tenant, who.id) }); n != 3 {
			t.Errorf("%v: %d", who, n)
		}
	}
	if err := l.Device("a", "SM-1"); !strings.Contains(pki.DetailOf(err), "SM-1") {
		t.Errorf("the refusal does not name the device: %v", err)
	}
	for i := range 3 * maxDevices {
		l.Device("a", pki.DeviceID(strconv.Itoa(i)))
	}
	if n := len(l.devices.young) + len(l.devices.old); n > maxDevices {
		t.Errorf("%d devices are remembered", n)
	}
}

// TestSourcesBounded: however many sources come, few are remembered, and one that
// keeps coming is not forgotten.
func TestSourcesBounded(t *testing.T) {
	l, c := newLimits(Config{Failures: Rate{1, 1}})
	steady := "192.0.2.1:1000"
	if err := l.Failure(steady, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 4 * maxSources {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i)+10<<24)
		if err := l.Failure(netip.AddrPortFrom(netip.AddrFrom4(b), 1).String(), 0); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 && l.Failure(steady, 0) == nil {
			t.Fatalf("a source has a new burst after %d others", i)
		}
	}
	if n := len(l.failures.seen.young) + len(l.failures.seen.old); n > maxSources {
		t.Errorf("%d sources are remembered", n)
	}
	c.now = c.now.Add(time.Second)
	if err := l.Failure(steady, 0); err != nil {
		t.Error(err)
	}
	if n := count(t, 9, 0, func() error { return l.Failure("127.0.0.1:1", 0) }); n != 9 {
		t.Error("this machine is limited")
	}
}
