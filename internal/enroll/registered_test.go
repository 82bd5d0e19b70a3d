package enroll_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

func system(t *testing.T, tenant pki.TenantID) access.Permit {
	t.Helper()
	g, err := access.System(tenant, "server").Authorize(access.Enroll, tenant)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestResponder(t *testing.T) {
	h := newHouse(t)
	h.AddTenant(t, "globex")
	manage := h.grant(access.ManageAuthorities)
	long, umlauts := strings.Repeat("x", 64), strings.Repeat("ä", 32)
	for name, cn := range map[string]string{"long": long, "umlauts": umlauts} {
		_, err := h.Hierarchy.CreateAuthority(t.Context(), manage, hierarchy.NewAuthority{
			Name: name, CommonName: cn, Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL,
		})
		if err != nil {
			t.Fatal(err)
		}
		request, err := h.Hierarchy.Request(t.Context(), manage, name)
		if err != nil {
			t.Fatal(err)
		}
		h.Sign(t, "acme", request)
	}
	for authority, want := range map[string]string{
		"issuing": "Test issuing OCSP", "long": long[:59] + " OCSP", "umlauts": umlauts + " OCSP",
	} {
		view, err := h.Hierarchy.Authority(t.Context(), h.grant(access.ReadConfiguration), authority)
		if err != nil {
			t.Fatal(err)
		}
		issuer := view.Issuers[0].ID
		// What the request's subject says is nothing to a responder.
		csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "evil"}, "evil.example.com")
		got, err := h.Enroll.Own(t.Context(), system(t, "acme"), issuer, policy.ResponderProfile, csr)
		if err != nil {
			t.Fatal(err)
		}
		cert := pandotest.Parse(t, got.Certificate.DER)
		if cert.Subject.CommonName != want || len(cert.DNSNames) > 0 {
			t.Errorf("the responder of %s is called %q, %v", authority, cert.Subject.CommonName, cert.DNSNames)
		}
		if got.Certificate.Device != "" {
			t.Errorf("the responder of %s is the device %q", authority, got.Certificate.Device)
		}
		if len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning {
			t.Errorf("the responder of %s has the purposes %v", authority, cert.ExtKeyUsage)
		}
		for name, test := range map[string]struct {
			grant access.Permit
			want  pki.Kind
		}{
			"without a grant":    {access.Permit{}, pki.Forbidden},
			"by a token":         {h.grant(access.Enroll), pki.Forbidden},
			"for another tenant": {system(t, "globex"), pki.NotFound},
		} {
			_, err := h.Enroll.Own(t.Context(), test.grant, issuer, policy.ResponderProfile, csr)
			if err == nil || pki.KindOf(err) != test.want {
				t.Errorf("%s: %v, want %s", name, err, test.want)
			}
		}
	}
	_, err := h.Enroll.Own(t.Context(), system(t, "acme"), "nobody", policy.ResponderProfile, meterCSR(t, "SM-1"))
	refused(t, err, pki.NotFound)
}

// TestSubordinate: the authority's name is the registered one, and its parent one
// of the tenant's that has its key here.
func TestSubordinate(t *testing.T) {
	h := newHouse(t)
	csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "evil"})
	find := func(tenant pki.TenantID, name string) pki.AuthorityID {
		id, err := h.Hierarchy.FindAuthority(t.Context(), tenant, name)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	h.AddTenant(t, "globex")
	manage := h.grant(access.ManageAuthorities)
	view, err := h.Hierarchy.Authority(t.Context(), h.grant(access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	active := view.Active().ID
	for _, test := range []struct {
		name    string
		grant   access.Permit
		parent  pki.AuthorityID
		profile string
		want    pki.Kind
	}{
		{"without a grant", access.Permit{}, find("acme", "issuing"), "issuing-ca", pki.Forbidden},
		{"with a grant to enrol", h.grant(access.Enroll), find("acme", "issuing"), "issuing-ca", pki.Forbidden},
		{"below another tenant's", manage, find("globex", "issuing"), "issuing-ca", pki.NotFound},
		{"below the offline root", manage, find("acme", "root"), "issuing-ca", pki.NotReady},
		{"unknown profile", manage, find("acme", "issuing"), "none", pki.NotFound},
		// The issuing authority's path length is 0 (RFC 5280, 4.2.1.9).
		{"below the last of a path", manage, find("acme", "issuing"), "issuing-ca", pki.PolicyRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer := &pki.Issuer{ID: "next", Parent: active, Request: csr}
			_, err := h.Enroll.Subordinate(t.Context(), test.grant, test.parent, pki.ProfileRef{Tenant: "acme", Name: test.profile}, "Sub", issuer)
			refused(t, err, test.want)
			_, err = h.Enroll.Subordinated(t.Context(), "acme", issuer.ID)
			refused(t, err, pki.NotFound)
		})
	}
	// The authority above signs by another issuer than the one that was recorded.
	_, err = h.Enroll.Subordinate(t.Context(), manage, view.ID, pki.ProfileRef{Tenant: "acme", Name: "issuing-ca"}, "Sub", &pki.Issuer{ID: "next", Parent: "earlier", Request: csr})
	refused(t, err, pki.Conflict)
}
