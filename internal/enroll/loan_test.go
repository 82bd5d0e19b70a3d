package enroll_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// TestLentVersions: a child binds the version of a profile that was lent to it and later
// ones, and goes back to none from before.
func TestLentVersions(t *testing.T) {
	h := newHouse(t, "meter")
	ref := pki.ProfileRef{Tenant: "acme", Name: "meter"}
	publish := func() {
		t.Helper()
		v, err := h.Store.Profile(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		next := pki.ProfileVersion{ProfileRef: ref, Source: v.Source + "# mended\n", Created: time.Now()}
		next.Hash = sha256.Sum256([]byte(next.Source))
		if err := h.Store.PutProfile(t.Context(), &next, nil, pki.Event{Tenant: "acme", At: time.Now(), Action: "profile.publish"}); err != nil {
			t.Fatal(err)
		}
	}
	lend := func() {
		t.Helper()
		_, err := h.Hierarchy.Lend(t.Context(), h.grant(access.ManageChildren), "acme-oem", hierarchy.NewLoan{Name: "meters", Authority: "issuing", Profile: "meter", Limit: 9})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Hierarchy.CreateChild(t.Context(), h.grant(access.ManageChildren), "acme-oem", "Example OEM"); err != nil {
		t.Fatal(err)
	}
	publish()
	lend() // version 2
	g, err := access.Principal{Tenant: "acme-oem", ID: "token:oem", Grants: access.Given(access.TenantAdministrator)}.Authorize(access.ManageEndpoints, "acme-oem")
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string, version int) error {
		_, err := h.Enroll.CreateEndpoint(t.Context(), g, enroll.NewEndpoint{Name: name, Loan: "meters", Version: version})
		return err
	}
	update := func(n enroll.NewEndpoint) error {
		n.Name = "line"
		_, err := h.Enroll.UpdateEndpoint(t.Context(), g, n)
		return err
	}
	refused(t, create("old", 1), pki.PolicyRefused)
	for what, err := range map[string]error{"the lent one": create("line", 2), "the latest": create("latest", 0)} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused(t, update(enroll.NewEndpoint{Version: 1}), pki.PolicyRefused)
	publish()
	if err := update(enroll.NewEndpoint{Version: 3}); err != nil {
		t.Errorf("a later one: %v", err)
	}
	if err := update(enroll.NewEndpoint{Version: 2}); err != nil {
		t.Errorf("back to the lent one: %v", err)
	}
	lend() // version 3: what is bound stays, and can be switched off
	if err := update(enroll.NewEndpoint{Protocols: []pki.Protocol{}}); err != nil {
		t.Errorf("switching it off: %v", err)
	}
	refused(t, create("old", 2), pki.PolicyRefused)
	if err := h.Hierarchy.TakeBack(t.Context(), h.grant(access.ManageChildren), "acme-oem", "meters"); err != nil {
		t.Fatal(err)
	}
	refused(t, update(enroll.NewEndpoint{Version: 3}), pki.NotFound)
	refused(t, update(enroll.NewEndpoint{Protocols: []pki.Protocol{pki.ProtocolREST}, Version: 3}), pki.NotFound)
	if ep, err := h.Enroll.UpdateEndpoint(t.Context(), g, enroll.NewEndpoint{Name: "latest", Protocols: []pki.Protocol{}}); err != nil || len(ep.Protocols) > 0 {
		t.Errorf("switching off what is not lent any more: %v", err)
	}
}

// TestLentNames: whoever borrows a profile cannot have it say the lender's names,
// whatever version of it.
func TestLentNames(t *testing.T) {
	h := newHouse(t, "meter")
	if _, err := h.Hierarchy.CreateChild(t.Context(), h.grant(access.ManageChildren), "acme-oem", "Example OEM"); err != nil {
		t.Fatal(err)
	}
	first, err := h.Store.Profile(t.Context(), pki.ProfileRef{Tenant: "acme", Name: "meter"})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(entry string) {
		t.Helper()
		source := strings.Replace(first.Source, "  names:\n", "  names:\n    - "+entry+"\n", 1)
		next := pki.ProfileVersion{ProfileRef: pki.ProfileRef{Tenant: "acme", Name: "meter"}, Source: source, Hash: sha256.Sum256([]byte(source)), Created: time.Now()}
		if err := h.Store.PutProfile(t.Context(), &next, nil, pki.Event{Tenant: "acme", At: time.Now(), Action: "profile.publish"}); err != nil {
			t.Fatal(err)
		}
	}
	lend := func() error {
		_, err := h.Hierarchy.Lend(t.Context(), h.grant(access.ManageChildren), "acme-oem", hierarchy.NewLoan{Name: "meters", Authority: "issuing", Profile: "meter", Limit: 9})
		return err
	}
	g, err := access.Principal{Tenant: "acme-oem", ID: "token:oem", Grants: access.Given(access.TenantAdministrator)}.Authorize(access.ManageEndpoints, "acme-oem")
	if err != nil {
		t.Fatal(err)
	}
	if err := lend(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.CreateEndpoint(t.Context(), g, enroll.NewEndpoint{Name: "line", Loan: "meters"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		entry    string
		lendable bool
	}{
		{"{dns: {from: csr.san.dns, authorized: true}}", false},
		{"{uri: {from: csr.san.uri}}", false},
		{"{uri: {from: csr.san.uri, pattern: 'urn:oem:[0-9]+'}}", true},
		{"{dns: {from: \"csr.subject.cn + '.acme.example'\"}}", false},
		{"{dns: {from: \"'www' + '.oem.example'\"}}", true},
		{"{directoryName: [{type: CN, from: csr.subject.cn, check: name}]}", false},
		{"{upn: {from: request.attributes.user, check: name}}", false},
	} {
		publish(test.entry)
		_, bound := h.Enroll.CreateEndpoint(t.Context(), g, enroll.NewEndpoint{Name: "e" + pki.NewID(time.Now()), Loan: "meters"})
		for what, err := range map[string]error{"bound": bound, "lent": lend()} {
			if test.lendable != (err == nil) || err != nil && pki.KindOf(err) != pki.PolicyRefused {
				t.Errorf("%s, %s: %v", test.entry, what, err)
			}
		}
	}
}
