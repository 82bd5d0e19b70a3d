package enrolauth_test

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// TestSecretText: a random secret is its id and 160 random bits in characters of a
// PrintableString, and stands nowhere.
func TestSecretText(t *testing.T) {
	h := newHouse(t, "meter")
	h.clock.Advance(time.Second) // so that its event is the last
	made, text := h.secret(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-1", Once: true, Life: time.Hour})
	if !regexp.MustCompile(`^[0-9a-v]{26}-[0-9a-v]{32}$`).MatchString(text.Reveal()) || !strings.HasPrefix(text.Reveal(), string(made.ID)+"-") {
		t.Errorf("the text of %s has another form", made.ID)
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v", text, made, made), slog.AnyValue(made).String()} {
		if strings.Contains(printed, text.Reveal()[27:]) {
			t.Errorf("it prints: %s", printed)
		}
	}
	events, _, err := h.Store.Events(t.Context(), "acme", hierarchy.EventFilter{}, "", 1)
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	want := fmt.Sprintf(`endpoint meter, device "SM-1", one certificate, until %s`, made.Expires.Format(time.RFC3339))
	if e := events[0]; e.Action != "secret.create" || e.Target != "secret:"+string(made.ID) || e.Detail != want {
		t.Errorf("the event is %+v", e)
	}
}

func TestSecretsRefused(t *testing.T) {
	h := newHouse(t, "meter")
	g := h.Permit(t, "acme", access.ManageSecrets)
	random := pki.NewSecret(strings.Repeat("0", 26) + "-" + strings.Repeat("0", 32))
	for what, n := range map[string]enrolauth.NewSecret{
		"a name of two lines":    {Endpoint: "meter", Name: "a\nb"},
		"a device that is none":  {Endpoint: "meter", Device: " "},
		"a subject of two lines": {Endpoint: "meter", Subject: "CN=a\nb"},
		"a moment":               {Endpoint: "meter", Life: time.Second},
		"three years":            {Endpoint: "meter", Life: 3 * 365 * 24 * time.Hour},
		"a short text":           {Endpoint: "meter", Chosen: pki.NewSecret("short")},
		"a long text":            {Endpoint: "meter", Chosen: pki.NewSecret(strings.Repeat("a", enrolauth.MaxChosen+1))},
		"a text beyond ASCII":    {Endpoint: "meter", Chosen: pki.NewSecret("sechzehn Zeichen ä")},
		"a text of pando's form": {Endpoint: "meter", Chosen: random},
	} {
		_, _, err := h.Secrets.Create(t.Context(), g, n)
		h.is(what, err, pki.Malformed)
	}
	for what, name := range map[string]string{"no endpoint": "none", "another tenant's": "globex.meter"} {
		_, _, err := h.Secrets.Create(t.Context(), g, enrolauth.NewSecret{Endpoint: name})
		h.is(what, err, pki.NotFound)
	}
	h.plan("SM-1")
	if _, err := h.Registry.ChangeDevice(t.Context(), h.Permit(t, "acme", access.ManageDevices), "SM-1", registry.Decommission, ""); err != nil {
		t.Fatal(err)
	}
	_, _, err := h.Secrets.Create(t.Context(), g, enrolauth.NewSecret{Endpoint: "meter", Device: "SM-1"})
	h.is("a decommissioned device", err, pki.PolicyRefused)
	_, _, err = h.Secrets.Create(t.Context(), access.Permit{}, enrolauth.NewSecret{Endpoint: "meter"})
	h.is("no permit", err, pki.Forbidden)
}

// TestNobodyGivesMore: a secret is made, seen and revoked where somebody's grants are,
// and made by those alone who could enrol there themselves.
func TestNobodyGivesMore(t *testing.T) {
	h := newHouse(t, "meter", "tls-server")
	rows := strings.NewReader(`{"device": "SM-b", "site": "berlin"}` + "\n" + `{"device": "SM-m", "site": "munich"}` + "\n")
	if _, err := h.Registry.ImportDevices(t.Context(), h.Permit(t, "acme", access.ManageRegistry), registry.NDJSON, pki.Placement{}, rows); err != nil {
		t.Fatal(err)
	}
	permit := func(p access.Permission, role access.Role, scope access.Scope) access.Permit {
		g, err := access.Principal{Tenant: "acme", ID: "token:part", Grants: access.Given(role, scope)}.Authorize(p, "acme")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	meter, berlin, issuing := access.Scope{Endpoint: "meter"}, access.Scope{Site: "berlin"}, access.Scope{Authority: "issuing"}
	for _, test := range []struct {
		scope access.Scope
		n     enrolauth.NewSecret
		may   bool
	}{
		{access.Scope{}, enrolauth.NewSecret{Endpoint: "meter"}, true},
		{meter, enrolauth.NewSecret{Endpoint: "meter"}, true},
		{meter, enrolauth.NewSecret{Endpoint: "tls-server"}, false},
		{meter, enrolauth.NewSecret{Endpoint: "none"}, false},
		{issuing, enrolauth.NewSecret{Endpoint: "tls-server"}, true},
		{berlin, enrolauth.NewSecret{Endpoint: "meter"}, false},
		{berlin, enrolauth.NewSecret{Endpoint: "meter", Device: "SM-b"}, true},
		{berlin, enrolauth.NewSecret{Endpoint: "meter", Device: "SM-m"}, false},
		{berlin, enrolauth.NewSecret{Endpoint: "meter", Device: "SM-new"}, false},
	} {
		made, _, err := h.Secrets.Create(t.Context(), permit(access.ManageSecrets, access.FactoryOperator, test.scope), test.n)
		what := fmt.Sprintf("%s makes one for %q at %s", test.scope, test.n.Device, test.n.Endpoint)
		if !test.may {
			h.is(what, err, pki.Forbidden)
			if _, says := errors.AsType[*access.Refusal](err); !says {
				t.Errorf("%s: it does not say what is missing where", what)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for _, other := range []access.Scope{{Endpoint: "other"}, {Site: "munich"}, {Authority: "other"}} {
			_, _, err := h.Secrets.Secret(t.Context(), permit(access.ReadConfiguration, access.Auditor, other), made.ID)
			h.is(what+", seen from "+other.String(), err, pki.Forbidden)
			h.is(what+", revoked from "+other.String(), h.Secrets.Revoke(t.Context(), permit(access.ManageSecrets, access.RAOperator, other), made.ID), pki.Forbidden)
			all, _, err := h.Secrets.Secrets(t.Context(), permit(access.ReadConfiguration, access.Auditor, other), enrolauth.Filter{}, "", 100)
			if err != nil || len(all) > 0 {
				t.Errorf("%s: %s lists %d: %v", what, other, len(all), err)
			}
		}
		_, _, err = h.Secrets.Secret(t.Context(), permit(access.ReadConfiguration, access.Auditor, test.scope), made.ID)
		h.ok(what+", and sees it", err)
	}
	// Who has an own role that gives out secrets and does not enrol.
	own := []access.Grant{{Role: "clerk", Own: []access.Permission{access.ManageSecrets}}}
	g, err := access.Principal{Tenant: "acme", ID: "token:clerk", Grants: own}.Authorize(access.ManageSecrets, "acme")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.Secrets.Create(t.Context(), g, enrolauth.NewSecret{Endpoint: "meter"})
	h.is("who cannot enrol", err, pki.Forbidden)
}

// TestSecretsOfStrangers: another tenant neither sees a secret nor revokes it.
func TestSecretsOfStrangers(t *testing.T) {
	h := newHouse(t, "meter")
	h.AddTenant(t, "globex", "meter")
	made, text := h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	_, _, err := h.Secrets.Secret(t.Context(), h.Permit(t, "globex", access.ReadConfiguration), made.ID)
	h.is("seen", err, pki.NotFound)
	h.is("revoked", h.Secrets.Revoke(t.Context(), h.Permit(t, "globex", access.ManageSecrets), made.ID), pki.NotFound)
	all, _, err := h.Secrets.Secrets(t.Context(), h.Permit(t, "globex", access.ReadConfiguration), enrolauth.Filter{}, "", 100)
	if err != nil || len(all) > 0 {
		t.Errorf("listed: %d, %v", len(all), err)
	}
	_, err = h.prove("meter", enrolauth.Presented{Secret: text})
	h.ok("it holds", err)
}

func TestListPages(t *testing.T) {
	h := newHouse(t, "meter")
	g := h.Permit(t, "acme", access.ReadConfiguration)
	for range 5 {
		h.clock.Advance(time.Millisecond)
		h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	}
	var before pki.SecretID
	seen := 0
	for range 10 {
		all, next, err := h.Secrets.Secrets(t.Context(), g, enrolauth.Filter{Endpoint: "acme.meter"}, before, 2)
		if err != nil {
			t.Fatal(err)
		}
		seen += len(all)
		if before = next; next == "" {
			break
		}
	}
	if seen != 5 {
		t.Errorf("%d of 5 listed", seen)
	}
}
