package publish_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/publish"
	"github.com/pando-pki/pando/internal/revocation"
)

// publisher returns a publisher that runs.
func (h *house) publisher(m publish.Target) (p *publish.Publisher, stop func()) {
	p = publish.New(publish.Config{Targets: map[string]publish.Target{"web": m}, Source: h.va, Chains: chains{h.va}, Alarms: h.alarms, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(h.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	return p, func() {
		cancel()
		if err := <-done; err != nil {
			h.Error(err)
		}
	}
}

// TestUnreadable: a pointer that cannot be read is replaced by who left one there that was
// no later, and by nobody else; certificates and the objects of CRLs are in any case.
func TestUnreadable(t *testing.T) {
	for _, kind := range []pki.Kind{pki.Conflict, pki.Forbidden, pki.Unavailable} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			h := newHouse(t, map[string]publish.Target{"web": m})
			h.make()
			p, stop := h.publisher(m)
			synctest.Wait()
			odd := pki.Errorf(kind, "it cannot be read")
			m.spoil("crl/issuer/0.crl", odd)
			p.Again("web", revocation.List{Issuer: "issuer"})
			synctest.Wait()
			if got := h.number(m); got != 1 {
				t.Errorf("%s: number %d after something that cannot be read", kind, got)
			}
			m.spoil("ca/issuer.pem", odd)
			p.AgainChain("other", "issuer")
			synctest.Wait()
			if got := m.get("ca/issuer.pem"); string(got) != "odd" {
				t.Errorf("%s: certificates were published though nobody asked: %s", kind, got)
			}
			p.AgainChain("web", "issuer")
			synctest.Wait()
			if got := m.get("ca/issuer.pem"); !bytes.HasPrefix(got, []byte("-----BEGIN")) {
				t.Errorf("%s: certificates are %s", kind, got)
			}
			if got := h.names(); len(got) > 0 {
				t.Errorf("%s: alarms %v", kind, got)
			}
			stop()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		m.spoil("crl/issuer/0.crl", pki.Errorf(pki.Conflict, "it cannot be read"))
		_, stop := h.publisher(m)
		defer stop()
		synctest.Wait()
		if got := m.get("crl/issuer/0.crl"); string(got) != "odd" {
			t.Error("a pointer that may have been a later one was replaced")
		}
		if diff := cmp.Diff([]string{"publish.refused web crl/issuer/0.crl"}, h.names()); diff != "" {
			t.Errorf("alarms (-want +got):\n%s", diff)
		}
		if m.get("ca/issuer.cer") == nil {
			t.Error("the certificates were not published")
		}
	})
}

// TestUnreadableForNow: what a target does not give for a while is not removed where nobody
// has seen that others can be read, be it a certificate, a CRL's object or a pointer that
// somebody else moved.
func TestUnreadableForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		silent := pki.Errorf(pki.Unavailable, "no answer")
		m.spoil("ca/issuer.cer", silent)
		m.spoil("crl/issuer/0/1.crl", silent)
		p, stop := h.publisher(m)
		defer stop()
		time.Sleep(5 * time.Second)
		for _, name := range []string{"ca/issuer.cer", "crl/issuer/0/1.crl"} {
			if got := m.get(name); string(got) != "odd" {
				t.Errorf("%s was removed, is %.10q", name, got)
			}
			m.mend(name, nil)
		}
		time.Sleep(5 * time.Minute)
		if h.number(m) != 1 || m.get("ca/issuer.cer") == nil {
			t.Errorf("number %d, certificate %.10q after the target gives all", h.number(m), m.get("ca/issuer.cer"))
		}
		m.before = func(name string) {
			if name == "crl/issuer/0.crl" {
				m.spoil(name, silent)
			}
		}
		h.make()
		p.Published(revocation.List{Issuer: "issuer"})
		time.Sleep(5 * time.Minute)
		if got := m.get("crl/issuer/0.crl"); string(got) != "odd" {
			t.Errorf("a pointer that somebody else moved was removed, is %.10q", got)
		}
	})
}

// TestCertificatesRaced: what another process writes at the same time, or this one did
// without an answer, is read again.
func TestCertificatesRaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		raced := false
		m.before = func(name string) {
			if name == "ca/issuer.pem" && !raced {
				raced = true
				m.set(name, []byte("another"))
			}
		}
		defer h.run()()
		synctest.Wait()
		if got := m.get("ca/issuer.pem"); !raced || !bytes.HasPrefix(got, []byte("-----BEGIN")) {
			t.Errorf("raced %t: certificates are %.20q", raced, got)
		}
		if got := h.names(); len(got) > 0 {
			t.Errorf("alarms %v", got)
		}
	})
}

// TestRefusedIsLookedAtAgain: what was refused is well again once it is mended, though the
// list has no new CRL.
func TestRefusedIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		p, stop := h.publisher(m)
		defer stop()
		synctest.Wait()
		const name = "crl/issuer/0/1.crl"
		object := m.get(name)
		m.fixed = name
		m.spoil(name, pki.Errorf(pki.Conflict, "it cannot be read"))
		p.Again("web", revocation.List{Issuer: "issuer"})
		synctest.Wait()
		if diff := cmp.Diff([]string{"publish.refused web crl/issuer/0.crl"}, h.names()); diff != "" {
			t.Errorf("alarms (-want +got):\n%s", diff)
		}
		m.mend(name, object)
		time.Sleep(11 * time.Minute)
		if got := h.names(); len(got) > 0 {
			t.Errorf("alarms %v after it was mended", got)
		}
	})
}

// TestObjects: what stands in the place of a CRL's object is written over, also when the
// pointer was put back to an earlier one.
func TestObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		p, stop := h.publisher(m)
		defer stop()
		synctest.Wait()
		first := m.get("crl/issuer/0.crl")
		h.make()
		p.Published(revocation.List{Issuer: "issuer"})
		synctest.Wait()
		second := m.get("crl/issuer/0.crl")
		const name = "crl/issuer/0/2.crl"
		for what, spoil := range map[string]func(){
			"something else":    func() { m.set(name, []byte("<html>")) },
			"an earlier CRL":    func() { m.set(name, first) },
			"what is not read":  func() { m.spoil(name, pki.Errorf(pki.Conflict, "it cannot be read")) },
			"gone":              func() { m.Remove(t.Context(), name) },
			"and a put-back":    func() { m.set(name, []byte("<html>")); m.set("crl/issuer/0.crl", first) },
			"and a pointer odd": func() { m.set(name, nil); m.spoil("crl/issuer/0.crl", pki.Errorf(pki.Conflict, "odd")) },
		} {
			spoil()
			p.Again("web", revocation.List{Issuer: "issuer"})
			synctest.Wait()
			if !bytes.Equal(m.get(name), second) || !bytes.Equal(m.get("crl/issuer/0.crl"), second) {
				t.Errorf("%s: the object is %.10q, the pointer is of number %d", what, m.get(name), h.number(m))
			}
			if got := h.names(); len(got) > 0 {
				t.Errorf("%s: alarms %v", what, got)
			}
		}
	})
}
