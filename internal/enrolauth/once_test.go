package enrolauth_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
)

// TestOnce: a secret for one certificate gets one; the same request gets it again.
func TestOnce(t *testing.T) {
	h := newHouse(t, "meter")
	made, text := h.secret(enrolauth.NewSecret{Endpoint: "meter", Once: true})
	p := enrolauth.Presented{Secret: text}
	csr := meterCSR(t, "SM-1")
	_, err := h.ask("meter", p, []byte("no request"))
	h.is("garbage", err, pki.Malformed)
	_, use, err := h.Secrets.Secret(t.Context(), h.Permit(t, "acme", access.ReadConfiguration), made.ID)
	h.ok("looking at it", err)
	if use != nil {
		t.Error("garbage used it up")
	}
	first, err := h.ask("meter", p, csr)
	h.ok("the first", err)
	again, err := h.ask("meter", p, csr)
	h.ok("the same again", err)
	if !again.Repeated || !bytes.Equal(first.Certificate.DER, again.Certificate.DER) {
		t.Errorf("the same request got another certificate, %s", again.Certificate.Serial)
	}
	_, err = h.ask("meter", p, meterCSR(t, "SM-1"))
	h.is("another key", err, pki.Conflict)
	_, err = h.ask("meter", p, meterCSR(t, "SM-2"))
	h.is("another device", err, pki.Conflict)
	_, use, err = h.Secrets.Secret(t.Context(), h.Permit(t, "acme", access.ReadConfiguration), made.ID)
	h.ok("looking at it", err)
	if use == nil || use.Issuer != first.Certificate.Issuer || use.Serial != first.Certificate.Serial {
		t.Errorf("it was used for %+v", use)
	}
	_, reusable := h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	for _, device := range []string{"SM-3", "SM-4"} {
		_, err := h.ask("meter", enrolauth.Presented{Secret: reusable}, meterCSR(t, device))
		h.ok("a reusable one for "+device, err)
	}
}

// TestOnceRaced: of many requests at once, of different keys and devices, under a secret
// for one certificate, exactly one is issued.
func TestOnceRaced(t *testing.T) {
	h := newHouse(t, "meter")
	_, text := h.secret(enrolauth.NewSecret{Endpoint: "meter", Once: true})
	const n = 64
	requests := make([][]byte, n)
	for i := range requests {
		requests[i] = meterCSR(t, fmt.Sprintf("SM-%d", i/2))
	}
	certificates, errs := make([]*pki.Enrollment, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { certificates[i], errs[i] = h.ask("meter", enrolauth.Presented{Secret: text}, requests[i]) })
	}
	all.Wait()
	issued := 0
	for i, err := range errs {
		switch {
		case err == nil:
			issued++
			if certificates[i].Repeated {
				t.Error("the one is not the first")
			}
		case pki.KindOf(err) != pki.Conflict:
			t.Errorf("request %d: %v", i, err)
		}
	}
	if issued != 1 {
		t.Errorf("%d certificates", issued)
	}
}

// TestOnceOutlivesPurge: what a secret for one certificate was used for is not forgotten
// while it holds, however short idempotency keys are kept.
func TestOnceOutlivesPurge(t *testing.T) {
	h := newHouse(t, "meter")
	made, text := h.secret(enrolauth.NewSecret{Endpoint: "meter", Once: true})
	_, err := h.ask("meter", enrolauth.Presented{Secret: text}, meterCSR(t, "SM-1"))
	h.ok("the first", err)
	h.clock.Advance(made.Expires.Sub(h.Now()) - time.Second)
	if _, err := h.Store.PurgeIdempotency(t.Context(), h.Now(), 1000); err != nil {
		t.Fatal(err)
	}
	_, err = h.ask("meter", enrolauth.Presented{Secret: text}, meterCSR(t, "SM-2"))
	h.is("another, a moment before it ends", err, pki.Conflict)
	h.clock.Advance(2 * time.Second)
	purged, err := h.Store.PurgeIdempotency(t.Context(), h.Now(), 1000)
	if err != nil || purged != 1 {
		t.Errorf("afterwards %d are purged: %v", purged, err)
	}
}
