package enrolauth_test

import (
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
)

// TestChosen: a text that somebody chose proves as a random one does, at its endpoint,
// with a user name or without.
func TestChosen(t *testing.T) {
	h := newHouse(t, "meter", "tls-server")
	text := pki.NewSecret("correct horse battery")
	made, _ := h.secret(enrolauth.NewSecret{Endpoint: "meter", Chosen: text})
	for name, user := range map[string]string{"alone": "", "with its id": string(made.ID)} {
		who, err := h.prove("meter", enrolauth.Presented{User: user, Secret: text})
		h.ok(name, err)
		if who.ID != made.Principal() {
			t.Errorf("%s: it proves %s", name, who.ID)
		}
	}
	for name, p := range map[string]enrolauth.Presented{
		"another text": {Secret: pki.NewSecret("correct horse battery ")},
		"another user": {User: "SM-1", Secret: text},
		"too short":    {Secret: pki.NewSecret("correct")},
	} {
		_, err := h.prove("meter", p)
		h.is(name, err, pki.Unauthenticated)
	}
	_, err := h.prove("tls-server", enrolauth.Presented{Secret: text})
	h.is("at another endpoint", err, pki.Unauthenticated)
	h.ok("revoking", h.Secrets.Revoke(t.Context(), h.Permit(t, "acme", access.ManageSecrets), made.ID))
	_, err = h.prove("meter", enrolauth.Presented{Secret: text})
	h.is("revoked, though it was right a moment ago", err, pki.Unauthenticated)

	for range 4 {
		made, _ = h.secret(enrolauth.NewSecret{Endpoint: "meter", Chosen: text})
	}
	_, _, err = h.Secrets.Create(t.Context(), h.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "meter", Chosen: text})
	h.is("a fifth", err, pki.Conflict)
	h.ok("revoking one", h.Secrets.Revoke(t.Context(), h.Permit(t, "acme", access.ManageSecrets), made.ID))
	h.secret(enrolauth.NewSecret{Endpoint: "meter", Chosen: text})
}
