package restapi

import (
	"crypto/x509/pkix"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// TestEndedElsewhere: an authority that is trusted no more, and a child that is
// suspended, end at once on the node that is asked, and within five seconds on another
// one that knew both a moment before.
func TestEndedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stack.New(t, stack.Config{})
		s.AddTenant(t, "demo", "meter")
		here := newNode(s, s.Tokens, s.Trust)
		another := &stack.Stack{
			Hierarchy: hierarchy.New(hierarchy.Config{Store: s.Store, Revocations: s.Store, CRLs: s.Revocation, Keys: s.Signer, RA: s.Enroll, CA: s.Issuance, Gate: s.Approvals, Now: time.Now}),
			Enroll:    s.Enroll, Batch: s.Batch, Registry: s.Registry, Trace: s.Trace, LotReports: s.LotReports, Office: s.Office, Revocation: s.Revocation, Store: s.Store,
		}
		there := newNode(another, access.NewTokens(s.Store, time.Now), trust.New(trust.Config{Store: s.Store, Directory: another.Hierarchy, Gate: s.Approvals, Now: time.Now}))

		admin := access.Principal{Tenant: pki.Platform, ID: "token:operator", Grants: access.Given(access.PlatformOperator)}
		g := must(admin.Authorize(access.ManageTokens, "demo"))(t)
		_, secret, err := s.Tokens.Create(t.Context(), g, access.NewToken{Name: "admin", Role: access.TenantAdministrator})
		if err != nil {
			t.Fatal(err)
		}
		byAdmin := proof{token: secret.Reveal()}
		must(s.Hierarchy.CreateChild(t.Context(), s.Permit(t, "demo", access.ManageChildren), "demo-oem", "Example OEM"))(t)
		if _, secret, err = s.Tokens.Appoint(t.Context(), s.Permit(t, "demo", access.ManageChildren), "demo-oem", "oem", time.Hour); err != nil {
			t.Fatal(err)
		}
		proofs := map[string]proof{"child": {token: secret.Reveal()}}
		must(s.Trust.Add(t.Context(), s.Permit(t, "demo", access.ManageTrust), trust.NewAnchor{Name: "plant", Authority: "issuing", Role: access.FactoryOperator}))(t)
		got := must(s.Enroll.Enroll(t.Context(), enroll.Request{Grant: s.Permit(t, "demo", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
			Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})}}))(t)
		var certified proof
		for _, der := range append([][]byte{got.Certificate.DER}, got.Chain...) {
			certified.chain = append(certified.chain, pandotest.Parse(t, der))
		}
		proofs["certificate"] = certified
		want := map[string]int{"child": http.StatusForbidden, "certificate": http.StatusUnauthorized}

		for who, p := range proofs {
			if status, text := there.ask(p, "GET", "/batches", ""); status != http.StatusOK {
				t.Fatalf("%s: before: %d %s", who, status, text)
			}
		}
		if status, text := here.ask(byAdmin, "DELETE", "/trust/plant", ""); status >= 300 {
			t.Fatalf("%d %s", status, text)
		}
		if status, text := here.ask(byAdmin, "POST", "/children/demo-oem/suspend", ""); status >= 300 {
			t.Fatalf("%d %s", status, text)
		}
		for who, p := range proofs {
			if status, text := here.ask(p, "GET", "/batches", ""); status != want[who] {
				t.Errorf("%s: at once: %d %s", who, status, text)
			}
		}
		time.Sleep(takenWithin)
		for who, p := range proofs {
			if status, text := there.ask(p, "GET", "/batches", ""); status != want[who] {
				t.Errorf("%s: on another node after five seconds: %d %s", who, status, text)
			}
		}
	})
}
