package statuscheck_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

// wrong makes a round and compares the alarms, by their whole targets, and what the
// publisher was asked for.
func (h *house) wrong(when string, again []string, want ...string) {
	h.Helper()
	h.again = nil
	if err := h.checker.Round(h.Context()); err != nil {
		h.Fatal(err)
	}
	got := []string{}
	for _, a := range h.Alarms.All() {
		got = append(got, a.Name+" "+a.Target)
	}
	slices.Sort(got)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		h.Errorf("%s: alarms (-want +got):\n%s", when, diff)
	}
	slices.Sort(h.again)
	if diff := cmp.Diff(again, slices.Compact(h.again)); diff != "" {
		h.Errorf("%s: repairs (-want +got):\n%s", when, diff)
	}
}

// TestUnreadable: one object that a target does not give is told of by its name, for as
// long as it is so, and what is wrong with the others is found, too.
func TestUnreadable(t *testing.T) {
	h := newHouse(t, false, 4)
	h.make()
	const name = "crl/issuer/1.crl"
	refuse := func(kind pki.Kind) func() {
		return func() { h.refused = map[string]error{name: pki.Errorf(kind, "the target does not give it")} }
	}
	for what, spoil := range map[string]func(){
		"forbidden": refuse(pki.Forbidden), "500": refuse(pki.Unavailable), "may not be read": refuse(pki.Conflict),
		"a link that leads out": func() {
			if err := os.Remove(filepath.Join(h.web.String(), name)); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/etc/passwd", filepath.Join(h.web.String(), name)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		spoil()
		h.wrong(what, []string{"web " + name}, "crl.wrong crl/issuer/1.crl at the web")
		since := h.Alarms.All()[0].Since
		h.put("crl/issuer/3.crl", []byte("<html>"))
		h.put("ca/issuer.cer", []byte("<html>"))
		h.Clock.Advance(time.Minute)
		h.wrong(what+", and others are wrong", []string{"web ca/issuer", "web " + name, "web crl/issuer/3.crl"},
			"ca.wrong ca/issuer.cer at the web", "crl.wrong crl/issuer/1.crl at the web", "crl.wrong crl/issuer/3.crl at the web")
		for _, a := range h.Alarms.All() {
			if strings.Contains(a.Target, name) && (!a.Since.Equal(since) || a.Severity != "critical") {
				t.Errorf("%s: since %s it is %+v", what, since, a)
			}
		}
		h.refused = nil
		if err := h.web.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		h.make()
		h.wrong("well again", nil)
	}
	h.refused = map[string]error{"": pki.Errorf(pki.Forbidden, "the credentials ended")}
	h.wrong("the whole target", nil, "status.unreachable issuer:issuer at the web")
}

// TestUnreadableURL: the same of the status URL, where one object is answered with 500.
func TestUnreadableURL(t *testing.T) {
	h := newHouse(t, false, 4)
	h.make()
	own := h.ocsp(nil)
	spoiled := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/crl/issuer/1.crl":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/crl/issuer/2.crl":
			panic(http.ErrAbortHandler) // no answer
		case "/crl/issuer/3.crl":
			w.Write([]byte("<html>"))
		default:
			own(w, r)
		}
	})
	h.answer.Store(&spoiled)
	for range 3 {
		h.wrong("three of four", nil, "crl.wrong crl/issuer/1.crl at the status URL", "crl.wrong crl/issuer/2.crl at the status URL", "crl.wrong crl/issuer/3.crl at the status URL")
	}
	h.answer.Store(nil)
	h.wrong("well again", nil)
}

// TestChain: certificates of an authority that are wrong or gone are told of, and published
// again; a new authority's need not be there at once.
func TestChain(t *testing.T) {
	h := newHouse(t, false, 1)
	h.wrong("a new authority", []string{"web ca/issuer"})
	h.Clock.Advance(3 * time.Minute)
	h.make()
	h.wrong("published", nil)
	for _, form := range []string{"cer", "p7c", "pem"} {
		name := "ca/issuer." + form
		good := h.get(name)
		h.put(name, good[:len(good)-1])
		h.wrong("cut short", []string{"web ca/issuer"}, "ca.wrong "+name+" at the web")
		h.put(name, good)
		h.wrong("well again", nil)
		if err := h.web.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		h.wrong("gone", []string{"web ca/issuer"}, "ca.wrong "+name+" at the web")
		h.put(name, good)
		h.wrong("well again", nil)
	}
	own := h.ocsp(nil)
	other := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/ca/") {
			w.Write(h.Root.Certificate.Raw)
			return
		}
		own(w, r)
	})
	h.answer.Store(&other)
	h.wrong("another certificate at the status URL", nil, "ca.wrong ca/issuer.cer at the status URL")
	h.answer.Store(nil)
	h.wrong("well again", nil)
}

// TestObject: the object that the pointer was moved to is looked at, too.
func TestObject(t *testing.T) {
	for _, deltas := range []bool{false, true} {
		h := newHouse(t, deltas, 1)
		h.make()
		h.wrong("well", nil)
		list, name := "web crl/issuer/0.crl", "crl/issuer/0/1.crl"
		if deltas {
			list, name = "web crl/issuer/0-delta.crl", "crl/issuer/0-delta/2.crl"
		}
		h.put(name, []byte("<html>"))
		h.Clock.Advance(6 * time.Minute)
		for range 2 {
			h.wrong("something else", []string{list}, "crl.wrong "+name+" at the web")
		}
		h.make()
		h.wrong("written anew", nil)
		if err := h.web.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		h.Clock.Advance(6 * time.Minute)
		h.wrong("gone", []string{list}, "crl.wrong "+name+" at the web")
		h.revoke()
		h.make()
		h.wrong("the next one", nil)
	}
}
