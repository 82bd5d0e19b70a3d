package approval_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/tbs"
	"github.com/pando-pki/pando/internal/trust"
)

// newPKI is a house whose tenant has a root and an authority, from before it had rules.
func newPKI(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, ctx: t.Context(), clock: &clock{t: time.Now().UTC().Truncate(time.Second)}, ids: map[string]pki.TokenID{}, who: map[string]access.Principal{}}
	h.Stack = stack.New(t, stack.Config{Now: h.clock.now})
	h.AddTenant(t, acme, "meter")
	for _, r := range approval.Defaults() {
		r.Steps = []approval.Step{{Role: access.SecurityOfficer, N: 1}}
		h.SetRule(t, acme, r)
	}
	h.appoint("chief", access.TenantAdministrator)
	h.appoint("admin", access.TenantAdministrator)
	h.appoint("officer", access.SecurityOfficer)
	h.appoint("clerk", access.Auditor)
	return h
}

// TestActs: each act that a rule can be about waits, is not done before it is approved,
// and is done once then, under the change.
func TestActs(t *testing.T) {
	h := newPKI(t)
	manage := h.permit("admin", access.ManageAuthorities)
	answer := new(ceremony.Response)
	authority := func(name string) pki.AuthorityState {
		a, err := h.Store.AuthorityByName(h.ctx, acme, name)
		if pki.KindOf(err) == pki.NotFound {
			return ""
		}
		h.ok(err)
		return a.State
	}
	issuer := func(name string) *pki.Issuer { return h.issuers(name)[0] }
	root := pandotest.NewRoot(t, "Another Root", h.clock.now()).Certificate.Raw
	all := quota.Target{Kind: quota.Tenant}
	for _, lower := range []int64{50, 10} { // needs nobody
		_, err := h.Quotas.Set(h.ctx, h.permit("admin", access.ManageQuotas), all, lower)
		h.ok(err)
	}
	children := h.permit("admin", access.ManageChildren)
	_, err := h.Hierarchy.CreateChild(h.ctx, children, "acme-oem", "Example OEM")
	h.ok(err)
	limit := func() int64 {
		quotas, err := h.Store.Quotas(h.ctx, acme)
		h.ok(err)
		if len(quotas) == 0 {
			return -1
		}
		return quotas[0].Limit
	}
	endpoint := func(name string) *pki.Endpoint {
		ep, err := h.Store.Endpoint(h.ctx, acme, name)
		if pki.KindOf(err) == pki.NotFound {
			return &pki.Endpoint{Protocols: []pki.Protocol{pki.ProtocolREST}}
		}
		h.ok(err)
		return ep
	}
	anchors := func() []*trust.Anchor {
		all, err := h.Store.Anchors(h.ctx, acme)
		h.ok(err)
		return all
	}
	_, err = h.Office.CreateRole(h.ctx, h.permit("admin", access.ManageAccess), access.OwnRole{Name: "reader", Permissions: []access.Permission{access.ReadAlarms}})
	h.ok(err)
	ca := h.certificateOf("issuing")
	tried := map[approval.Kind]bool{approval.PublishProfile: true, approval.RunRevocation: true} // by the other tests
	for _, act := range []struct {
		kind   approval.Kind
		action string
		do     func() error
		done   func() bool
	}{
		{approval.CreateAuthority, "authority.create", func() error {
			_, err := h.Hierarchy.CreateAuthority(h.ctx, manage, hierarchy.NewAuthority{Name: "firmware", CommonName: "Firmware", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL})
			return err
		}, func() bool { return authority("firmware") == pki.AuthorityPending }},
		{approval.InstallAuthority, "authority.activate", func() error {
			if answer.Kind == "" {
				answer = h.sign("firmware")
			}
			_, err := h.Hierarchy.Install(h.ctx, manage, answer)
			return err
		}, func() bool { return authority("firmware") == pki.AuthorityActive }},
		{approval.RollAuthority, "authority.rollover", func() error {
			_, err := h.Hierarchy.Rollover(h.ctx, manage, "firmware", hierarchy.Rollover{})
			return err
		}, func() bool { return issuer("firmware").State == pki.IssuerPending }},
		{approval.SwitchAuthority, "authority.switch", func() error {
			if next := issuer("firmware"); next.State == pki.IssuerPending { // as installed: that waits, too, and was tried
				c := pandotest.Parse(h, h.sign("firmware").Certificate)
				h.ok(h.Store.InstallIssuer(h.ctx, acme, next.ID, c.Raw, pki.RootLinks{}, c.NotBefore, c.NotAfter, nil, pki.Event{Tenant: acme, At: h.clock.now(), Action: "authority.next"}))
			}
			_, err := h.Hierarchy.Switch(h.ctx, manage, "firmware")
			return err
		}, func() bool { return issuer("firmware").State == pki.IssuerActive && len(h.issuers("firmware")) == 2 }},
		{approval.RetireAuthority, "authority.retire", func() error { return h.Hierarchy.Retire(h.ctx, manage, "firmware") },
			func() bool { return authority("firmware") == pki.AuthorityRetired }},
		{approval.RollAuthority, "authority.rollover", func() error {
			_, err := h.Hierarchy.Rollover(h.ctx, manage, "root", hierarchy.Rollover{})
			return err
		}, func() bool { return issuer("root").State == pki.IssuerPending }},
		{approval.InstallAuthority, "authority.next", func() error {
			if answer.Kind != ceremony.KindRoot {
				answer = h.sign("root")
			}
			_, err := h.Hierarchy.Install(h.ctx, manage, answer)
			return err
		}, func() bool { return issuer("root").State == pki.IssuerNext && issuer("root").Links.OldWithNew != nil }},
		{approval.SwitchAuthority, "authority.switch", func() error {
			_, err := h.Hierarchy.Switch(h.ctx, manage, "root")
			return err
		}, func() bool { return issuer("root").State == pki.IssuerActive && len(h.issuers("root")) == 2 }},
		{approval.ImportRoot, "authority.import-root", func() error {
			_, err := h.Hierarchy.ImportRoot(h.ctx, manage, hierarchy.NewRoot{Name: "other", Mode: pki.Test, StatusURL: stack.StatusURL, Certificate: root})
			return err
		}, func() bool { return authority("other") == pki.AuthorityActive }},
		{approval.RaiseQuota, "quota.set", func() error {
			_, err := h.Quotas.Set(h.ctx, h.permit("admin", access.ManageQuotas), all, 20)
			return err
		}, func() bool { return limit() == 20 }},
		{approval.RaiseQuota, "quota.remove", func() error { return h.Quotas.Remove(h.ctx, h.permit("admin", access.ManageQuotas), all) },
			func() bool { return limit() < 0 }},
		{approval.Lend, "child.lend", func() error {
			_, err := h.Hierarchy.Lend(h.ctx, children, "acme-oem", hierarchy.NewLoan{Name: "meters", Authority: "issuing", Profile: "meter", Limit: 5})
			return err
		}, func() bool {
			loan, err := h.Hierarchy.Loan(h.ctx, "acme-oem", "meters")
			return err == nil && loan.Limit == 5
		}},
		{approval.ChangeRetention, "retention.change", func() error {
			_, err := h.Retention.Set(h.ctx, h.permit("admin", access.ManageRetention), 24*time.Hour)
			return err
		}, func() bool {
			keep, err := h.Store.Keep(h.ctx, acme)
			return err == nil && keep == 24*time.Hour
		}},
		{approval.CreateEndpoint, "endpoint.create", func() error {
			_, err := h.Enroll.CreateEndpoint(h.ctx, h.permit("admin", access.ManageEndpoints), enroll.NewEndpoint{Name: "gate", Authority: "issuing", Profile: "meter"})
			return err
		}, func() bool { return len(endpoint("gate").Protocols) == 2 }},
		{approval.UpdateEndpoint, "endpoint.update", func() error {
			_, err := h.Enroll.UpdateEndpoint(h.ctx, h.permit("admin", access.ManageEndpoints), enroll.NewEndpoint{Name: "gate", Protocols: []pki.Protocol{}})
			return err
		}, func() bool { return len(endpoint("gate").Protocols) == 0 }},
		{approval.AddTrust, "trust.add", func() error {
			_, err := h.Trust.Add(h.ctx, h.permit("admin", access.ManageTrust), trust.NewAnchor{Name: "plant", Authority: "issuing", Role: access.FactoryOperator})
			return err
		}, func() bool { return len(anchors()) == 1 }},
		{approval.UpdateTrust, "trust.update", func() error {
			_, err := h.Trust.Update(h.ctx, h.permit("admin", access.ManageTrust), "plant", []access.Scope{{Endpoint: "meter"}})
			return err
		}, func() bool { return anchors()[0].Grants[0].Scope.Endpoint == "meter" }},
		{approval.RemoveTrust, "trust.remove", func() error { return h.Trust.Remove(h.ctx, h.permit("admin", access.ManageTrust), "plant") },
			func() bool { return len(anchors()) == 0 }},
		{approval.GiveDecider, "grant.add", func() error {
			_, err := h.Office.Give(h.ctx, h.permit("admin", access.ManageAccess), h.who["clerk"].ID, access.RAOperator, access.Scope{Endpoint: "meter"})
			return err
		}, func() bool {
			all, err := h.Store.Grants(h.ctx, acme, h.who["clerk"].ID, access.RAOperator)
			h.ok(err)
			return len(all) == 1
		}},
		{approval.WidenRole, "role.change", func() error {
			_, err := h.Office.ChangeRole(h.ctx, h.permit("admin", access.ManageAccess), access.OwnRole{Name: "reader", Permissions: []access.Permission{access.ReadAlarms, access.DecideApprovals}})
			return err
		}, func() bool {
			all, err := h.Store.Roles(h.ctx, acme)
			h.ok(err)
			return len(all[0].Permissions) == 2
		}},
		{approval.RevokeAuthority, "certificate.revoke", func() error {
			_, err := h.Revocation.Revoke(h.ctx, h.permit("admin", access.Revoke), ca.Issuer, ca.Serial, pki.CACompromise)
			return err
		}, func() bool {
			status, err := h.Store.Status(h.ctx, ca.Issuer, ca.Serial)
			h.ok(err)
			return status.Revocation != nil
		}},
	} {
		tried[act.kind] = true
		t.Run(act.action, func(t *testing.T) {
			h.T = t
			var c *approval.Change
			for range 2 {
				w, ok := errors.AsType[*approval.Waiting](act.do())
				if !ok || c != nil && w.Change.ID != c.ID || w.Change.Kind != act.kind {
					t.Fatalf("it does not wait, or another change does: %+v", w)
				}
				c = w.Change
			}
			if act.done() {
				t.Fatal("it is done before it is approved")
			}
			h.clock.pass(time.Second)
			if got := h.approve("officer", c); got.State != approval.Executed || got.Outcome != "" {
				t.Errorf("it is %s: %s", got.State, got.Outcome)
			}
			if !act.done() {
				t.Error("it is not done")
			}
			count := 0
			events, _, err := h.Store.Events(h.ctx, acme, hierarchy.EventFilter{}, "", 100)
			h.ok(err)
			for _, e := range events {
				if e.Action == act.action && strings.Contains(e.Detail, string(c.ID)) {
					count++
				}
			}
			if count != 1 {
				t.Errorf("%d events of the act name its change", count)
			}
			if err := act.do(); pki.KindOf(err) == pki.Pending && err != nil {
				t.Errorf("what is done waits again: %v", err)
			}
		})
	}
	for _, kind := range approval.Kinds() {
		if !tried[kind] {
			t.Errorf("%s is not tried", kind)
		}
	}
}

// issuers returns an authority's issuers, newest first.
func (h *house) issuers(name string) []*pki.Issuer {
	h.Helper()
	a, err := h.Store.AuthorityByName(h.ctx, acme, name)
	h.ok(err)
	all, err := h.Store.Issuers(h.ctx, acme, a.ID)
	h.ok(err)
	return all
}

// sign has the root sign what an authority asks for.
func (h *house) sign(name string) *ceremony.Response {
	h.Helper()
	request, err := h.Hierarchy.Request(h.ctx, h.permit("admin", access.ManageAuthorities), name)
	h.ok(err)
	return h.Answer(h, acme, request)
}

// certificateOf returns the certificate of an authority.
func (h *house) certificateOf(name string) *pki.Certificate {
	h.Helper()
	a, err := h.Hierarchy.Authority(h.ctx, h.permit("admin", access.ReadConfiguration), name)
	h.ok(err)
	parsed, err := tbs.ParseCertificate(a.Issuers[0].Certificate)
	h.ok(err)
	return &pki.Certificate{Issuer: a.Issuers[0].Parent, Serial: parsed.Serial}
}

// TestAuthorityOfOneVersion: an authority is made by the version of its profile that was
// shown, or not at all.
func TestAuthorityOfOneVersion(t *testing.T) {
	h := newPKI(t)
	_, err := h.Hierarchy.CreateAuthority(h.ctx, h.permit("admin", access.ManageAuthorities), hierarchy.NewAuthority{Name: "firmware", CommonName: "Firmware", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL})
	w, ok := errors.AsType[*approval.Waiting](err)
	if !ok || !strings.Contains(w.Change.Summary, "issuing-ca version 1") {
		t.Fatalf("it waits for %+v: %v", w, err)
	}
	v, err := h.Store.Profile(h.ctx, pki.ProfileRef{Tenant: acme, Name: "issuing-ca"})
	h.ok(err)
	next := pki.ProfileVersion{ProfileRef: v.ProfileRef, Source: v.Source + "# changed\n", Created: h.clock.now()}
	next.Version, next.Hash = 0, sha256.Sum256([]byte(next.Source))
	h.ok(h.Store.PutProfile(h.ctx, &next, nil, pki.Event{Tenant: acme, At: h.clock.now(), Action: "profile.publish"}))
	h.clock.pass(time.Second)
	if got := h.approve("officer", w.Change); got.State != approval.Failed || !strings.Contains(got.Outcome, "something it builds on has changed") {
		t.Errorf("it is %s: %s", got.State, got.Outcome)
	}
}
