package issuance_test

import (
	"context"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// A secret for one certificate whose request was lost with its process, before anything
// was signed, is good for one still, and then used up.
func TestOnceAfterCrash(t *testing.T) {
	s, d := start(t)
	_, text, err := s.Secrets.Create(t.Context(), s.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "meter", Once: true})
	if err != nil {
		t.Fatal(err)
	}
	request := func(device string) enroll.Request {
		t.Helper()
		who, err := s.Secrets.Prove(t.Context(), "acme.meter", enrolauth.Presented{Secret: text})
		if err != nil {
			t.Fatal(err)
		}
		r := meter(t, s, device)
		if r.Grant, err = who.Authorize(access.Enroll, "acme"); err != nil {
			t.Fatal(err)
		}
		return r
	}
	go s.Enroll.Enroll(context.Background(), request("SM-1"))
	<-d.dead
	reborn(t, s)
	again := enroll.New(enroll.Config{Store: s.Store, Directory: s.Hierarchy, CA: alive(t, s, "another"), Registry: s.Registry, Gate: s.Approvals, Keys: s.Keypool, Now: time.Now})
	if _, err := again.Enroll(t.Context(), request("SM-2")); err != nil {
		t.Fatalf("after the crash: %v", err)
	}
	if _, err := again.Enroll(t.Context(), request("SM-3")); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a second certificate: %v", err)
	}
	if n := count(t, s); n != 1 {
		t.Errorf("%d certificates", n)
	}
}
