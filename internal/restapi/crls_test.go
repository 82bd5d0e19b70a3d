package restapi

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

func TestCRLs(t *testing.T) {
	s := serve(t)
	crls, err := s.client(t, "auditor").CRLs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []client.CRL{{Issuer: "issuer", Shard: 7, Number: 3, ThisUpdate: day, NextUpdate: day.AddDate(0, 0, 1), Pending: true}}
	if diff := cmp.Diff(want, crls); diff != "" {
		t.Errorf("CRLs (-want +got):\n%s", diff)
	}
	seven := 7
	for _, shard := range []*int{nil, &seven} {
		if err := s.client(t, "admin").RenewCRLs(t.Context(), "issuer", shard); err != nil {
			t.Error(err)
		}
	}
	s.refused(t, http.StatusForbidden, pki.Forbidden, "auditor", "POST", "/api/v1/crls/issuer/renew", "{}")
	s.refused(t, http.StatusNotFound, pki.NotFound, "admin", "POST", "/api/v1/crls/issuer/renew", `{"shard":8}`)
	responders, err := s.client(t, "auditor").Responders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]client.Responder{{Issuer: "issuer", Problem: "no profile"}}, responders); diff != "" {
		t.Errorf("responders (-want +got):\n%s", diff)
	}
}
