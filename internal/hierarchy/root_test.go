package hierarchy_test

import (
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestImportRootAgain: a root is one authority of a tenant's, in one mode.
func TestImportRootAgain(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	s.AddTenant(t, "globex")
	root := func(tenant pki.TenantID) []byte {
		v, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, tenant, access.ReadConfiguration), "root")
		if err != nil {
			t.Fatal(err)
		}
		return v.Issuers[0].Certificate
	}
	if err := s.Hierarchy.Retire(t.Context(), s.Permit(t, "globex", access.ManageAuthorities), "root"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name        string
		tenant      pki.TenantID
		as          string
		mode        pki.Mode
		certificate []byte
		want        pki.Kind // Internal is none
	}{
		{"under its name", "acme", "root", pki.Test, root("acme"), pki.Conflict},
		{"under another name", "acme", "again", pki.Test, root("acme"), pki.Conflict},
		{"in another mode", "acme", "again", pki.Production, root("acme"), pki.Conflict},
		{"after it was retired", "globex", "again", pki.Test, root("globex"), pki.Conflict},
		{"under a name that is taken", "acme", "issuing", pki.Test, root("globex"), pki.Conflict},
		{"another tenant's", "acme", "theirs", pki.Production, root("globex"), pki.Internal},
		{"another tenant's again", "acme", "again", pki.Test, root("globex"), pki.Conflict},
	} {
		_, err := s.Hierarchy.ImportRoot(t.Context(), s.Permit(t, c.tenant, access.ManageAuthorities),
			hierarchy.NewRoot{Name: c.as, Mode: c.mode, StatusURL: "http://pki.example.com", Certificate: c.certificate})
		if c.want == pki.Internal && err != nil || c.want != pki.Internal && (err == nil || pki.KindOf(err) != c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
