package trace_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestTraceAuthority: the certificate of an authority is traced with the authority's
// events; of a root, which nobody here issued, it is said whose it is. Both to who may
// see authorities.
func TestTraceAuthority(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	s.AddTenant(t, "globex")
	serials := make(map[string]string)
	all, err := s.Store.AuthorityCertificates(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		c, err := x509.ParseCertificate(a.DER)
		if err != nil {
			t.Fatal(err)
		}
		serials[a.Name] = fmt.Sprintf("%X", c.SerialNumber)
	}
	as := func(tenant pki.TenantID, scopes ...access.Scope) access.Permit {
		g, err := access.Principal{Tenant: tenant, ID: "token:1", Grants: access.Given(access.Auditor, scopes...)}.Authorize(access.ReadCertificates, tenant)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	got, err := s.Trace.Trace(t.Context(), as("acme"), "", serials["issuing"])
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"authority.create", "authority.activate"} {
		if !slices.ContainsFunc(got.Events, func(e pki.Event) bool { return e.Action == action && e.Actor != "" }) {
			t.Errorf("no event %s among %+v", action, got.Events)
		}
	}
	if got.Authority == nil || got.Authority.Name != "issuing" {
		t.Errorf("it is the certificate of %+v", got.Authority)
	}
	for _, test := range []struct {
		permit access.Permit
		told   bool
	}{{as("acme"), true}, {as("acme", access.Scope{ProductLine: "meters"}), false}, {as("globex"), false}} {
		_, err := s.Trace.Trace(t.Context(), test.permit, "", serials["root"])
		if pki.KindOf(err) != pki.NotFound || strings.Contains(pki.DetailOf(err), "'pando authority show root'") != test.told {
			t.Errorf("%v, where told should be %t", err, test.told)
		}
	}
}
