package enroll_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// approvedBy returns approvals by one holder of each role, one after another.
func approvedBy(roles ...string) *pki.Approvals {
	a := new(pki.Approvals)
	for _, role := range roles {
		a.Steps = append(a.Steps, pki.ApprovalStep{Role: role, N: 1})
	}
	return a
}

// update changes an endpoint.
func (b *board) update(n enroll.NewEndpoint) {
	b.t.Helper()
	_, err := b.Enroll.UpdateEndpoint(b.t.Context(), b.grant(access.ManageEndpoints), n)
	b.ok(err)
}

// steps returns the roles of a change's steps.
func steps(c *approval.Change) string {
	var roles []string
	for _, s := range c.Steps {
		roles = append(roles, string(s.Role))
	}
	return strings.Join(roles, ", ")
}

// TestEndpointApprovals: an enrolment waits for those whom the profile names and then for
// those whom the endpoint does, no longer than either lets it.
func TestEndpointApprovals(t *testing.T) {
	b := newBoard(t)
	at := func(endpoint, device string) enroll.Request {
		r := b.by("asks", meterCSR(t, device))
		r.Endpoint = endpoint
		return r
	}
	b.update(enroll.NewEndpoint{Name: "meter", Approvals: approvedBy("security-officer")})
	r := at("meter", "SM-1")
	c := b.waits(r)
	if steps(c) != "security-officer" || c.Expires.Sub(c.Created) != approval.DefaultLife {
		t.Errorf("%s for %s", steps(c), c.Expires.Sub(c.Created))
	}
	if got := b.decide("officer", c, approval.Approve, ""); got.State != approval.Executed {
		t.Fatalf("%s: %s", got.State, got.Outcome)
	}
	if got, _ := b.get(r); !got.Repeated || b.certificates("SM-1") != 1 {
		t.Errorf("%+v, %d certificates", got, b.certificates("SM-1"))
	}
	for life, want := range map[time.Duration]time.Duration{2 * time.Minute: 2 * time.Minute, 2 * time.Hour: time.Hour} {
		wants := approvedBy("security-officer", "ra-operator")
		wants.Life = life
		b.update(enroll.NewEndpoint{Name: "guarded", Approvals: wants})
		if c = b.waits(at("guarded", "SM-2")); c.Expires.Sub(c.Created) != want {
			t.Errorf("it waits for %s, want %s", c.Expires.Sub(c.Created), want)
		}
	}
	if steps(c) != "ra-operator, security-officer, security-officer, ra-operator" {
		t.Error(steps(c))
	}
	b.update(enroll.NewEndpoint{Name: "meter", Approvals: new(pki.Approvals)})
	b.get(at("meter", "SM-3"))
}

// TestEndpointApprovalsChange: what waits was approved for the endpoint as it was. Once its
// approvals have changed it is not done any more, and the same request is asked for anew.
func TestEndpointApprovalsChange(t *testing.T) {
	for name, test := range map[string]struct {
		after *pki.Approvals
		text  string
	}{
		"others": {approvedBy("security-officer", "ra-operator"), "not what was approved"},
		"fewer":  {approvedBy("ra-operator"), "not what was approved"},
		"longer": {&pki.Approvals{Steps: approvedBy("security-officer").Steps, Life: 30 * 24 * time.Hour}, "not what was approved"},
		"nobody": {new(pki.Approvals), "does not want approval any more"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t)
			b.update(enroll.NewEndpoint{Name: "meter", Approvals: approvedBy("security-officer")})
			r := b.by("asks", meterCSR(t, "SM-1"))
			r.Endpoint = "meter"
			c := b.waits(r)
			b.update(enroll.NewEndpoint{Name: "meter", Approvals: test.after})
			got := b.decide("officer", c, approval.Approve, "")
			if got.State != approval.Failed || !strings.Contains(got.Outcome, test.text) || b.certificates("SM-1") != 0 {
				t.Errorf("%s: %s, %d certificates", got.State, got.Outcome, b.certificates("SM-1"))
			}
			if len(test.after.Steps) == 0 {
				b.get(r)
			} else if again := b.waits(r); again.ID == c.ID {
				t.Error("the same change still waits")
			}
		})
	}
}

// TestEndpointApprovalsRefused: an endpoint has no approvals that nobody could give, or that
// do not go with its profile, now or when it is bound to another.
func TestEndpointApprovalsRefused(t *testing.T) {
	b := newBoard(t)
	five := []string{"security-officer", "ra-operator", "security-officer", "ra-operator", "security-officer"}
	long := approvedBy("security-officer")
	long.Life = 91 * 24 * time.Hour
	short := approvedBy("security-officer")
	short.Life = time.Second
	many := approvedBy("security-officer")
	many.Steps[0].N = 11
	for name, test := range map[string]struct {
		endpoint string
		a        *pki.Approvals
		kind     pki.Kind
		text     string
	}{
		"a role that does not decide":    {"meter", approvedBy("auditor"), pki.Malformed, "includes approvals.decide"},
		"a role that there is not":       {"meter", approvedBy("line-lead"), pki.Malformed, "includes approvals.decide"},
		"too long":                       {"meter", long, pki.Malformed, "90 days"},
		"too short":                      {"meter", short, pki.Malformed, "from 1m"},
		"too many":                       {"meter", many, pki.Malformed, "from 1 to 10"},
		"too many steps":                 {"meter", approvedBy(append(five, "ra-operator")...), pki.Malformed, "5 at most"},
		"too many with the profile's":    {"guarded", approvedBy(five[:4]...), pki.PolicyRefused, "6 steps: there are 5 at most"},
		"a profile whose keys come from": {"made", approvedBy("security-officer"), pki.PolicyRefused, "keys made here"},
	} {
		if test.endpoint == "made" {
			b.endpoint("made", strings.NewReplacer("profile: guarded", "profile: made", "approvals:\n  steps: [1 of ra-operator, 1 of security-officer]\n  expire: 1h", "serverKeys: {for: [factory-operator]}").Replace(guarded))
		}
		_, err := b.Enroll.UpdateEndpoint(t.Context(), b.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: test.endpoint, Approvals: test.a})
		if pki.KindOf(err) != test.kind || !strings.Contains(pki.DetailOf(err), test.text) {
			t.Errorf("%s: %v (%s)", name, err, pki.KindOf(err))
		}
	}
	b.update(enroll.NewEndpoint{Name: "meter", Approvals: approvedBy(five[:4]...)})
	for _, profile := range []string{"guarded", "made"} {
		_, err := b.Enroll.UpdateEndpoint(t.Context(), b.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "meter", Profile: profile})
		refused(t, err, pki.PolicyRefused)
	}
}

// TestUpdatesAreApproved: where the tenant has a rule for it a change of an endpoint waits,
// and then does what was said and nothing else: what is left as it was is not held to what
// it builds on, which may be gone.
func TestUpdatesAreApproved(t *testing.T) {
	b := newBoard(t)
	b.SetRule(t, "acme", approval.Rule{Kind: approval.UpdateEndpoint, Steps: []approval.Step{{Role: access.SecurityOfficer, N: 1}}, Life: time.Hour})
	b.appoint("admin", access.PKIAdministrator)
	want, err := b.Enroll.Endpoint(t.Context(), b.grant(access.ReadConfiguration), "meter")
	b.ok(err)
	for _, step := range []struct {
		says enroll.NewEndpoint
		does func()
	}{
		{enroll.NewEndpoint{Approvals: approvedBy("ra-operator")}, func() {
			want.Approvals = approvedBy("ra-operator")
			want.Approvals.Life = approval.DefaultLife
		}},
		{enroll.NewEndpoint{Auth: []pki.Proofs{pki.BySecret}}, func() { want.Auth = []pki.Proofs{pki.BySecret} }},
		{enroll.NewEndpoint{Networks: []string{"10.0.0.0/8"}, Names: &pki.Names{DNS: []string{"a.example.com"}}}, func() {
			want.Networks, want.Names = []string{"10.0.0.0/8"}, pki.Names{DNS: []string{"a.example.com"}}
		}},
		{enroll.NewEndpoint{Profile: "guarded"}, func() { want.Profile.Name = "guarded" }},
		{enroll.NewEndpoint{Profile: "meter", Approvals: new(pki.Approvals), Auth: []pki.Proofs{}}, func() { want.Profile.Name, want.Approvals, want.Auth = "meter", nil, nil }},
		{enroll.NewEndpoint{Protocols: []pki.Protocol{}}, func() { want.Protocols = nil }},
	} {
		if step.says.Protocols != nil {
			b.ok(b.Hierarchy.Retire(t.Context(), b.grant(access.ManageAuthorities), "issuing"))
		}
		step.says.Name = "meter"
		step.does()
		g, err := b.who["admin"].Authorize(access.ManageEndpoints, "acme")
		b.ok(err)
		_, err = b.Enroll.UpdateEndpoint(t.Context(), g, step.says)
		refused(t, err, pki.Pending)
		waiting, _, err := b.Approvals.Changes(t.Context(), b.grant(access.ReadApprovals), approval.Pending, "", 10)
		b.ok(err)
		if got := b.decide("officer", waiting[0], approval.Approve, ""); got.State != approval.Executed {
			t.Fatalf("%s: %s", got.State, got.Outcome)
		}
		got, err := b.Enroll.Endpoint(t.Context(), b.grant(access.ReadConfiguration), "meter")
		b.ok(err)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
}

// TestPairOfGuardedEndpoints: a pair waits for those whom either endpoint names, once where
// both say the same.
func TestPairOfGuardedEndpoints(t *testing.T) {
	b := newBoard(t)
	for name, other := range map[string]string{"sign": "agree", "agree": "sign"} {
		b.endpoint(name, strings.NewReplacer("profile: guarded", "profile: "+name+"\npair: "+other, "approvals:\n  steps: [1 of ra-operator, 1 of security-officer]\n  expire: 1h\n", "").Replace(guarded))
	}
	ask := func(device string) enroll.Request {
		r := b.by("asks", meterCSR(t, device))
		r.Endpoint, r.Pair = "sign", &enroll.Pair{Endpoint: "agree", CSR: meterCSR(t, device)}
		return r
	}
	b.update(enroll.NewEndpoint{Name: "agree", Approvals: approvedBy("security-officer")})
	r := ask("SM-1")
	c := b.waits(r)
	if steps(c) != "security-officer" {
		t.Error(steps(c))
	}
	if got := b.decide("officer", c, approval.Approve, ""); got.State != approval.Executed || len(got.Certificates) != 2 {
		t.Fatalf("%+v", got)
	}
	b.get(r)
	b.update(enroll.NewEndpoint{Name: "sign", Approvals: approvedBy("security-officer")})
	if c := b.waits(ask("SM-2")); steps(c) != "security-officer" {
		t.Error(steps(c))
	}
	b.update(enroll.NewEndpoint{Name: "sign", Approvals: approvedBy("ra-operator")})
	c = b.waits(ask("SM-3"))
	if steps(c) != "ra-operator, security-officer" {
		t.Error(steps(c))
	}
	b.update(enroll.NewEndpoint{Name: "agree", Approvals: new(pki.Approvals)})
	if got := b.decide("ra", c, approval.Approve, ""); got.State != approval.Pending {
		t.Fatalf("%s", got.State)
	}
	if got := b.decide("officer", c, approval.Approve, ""); got.State != approval.Failed || b.certificates("SM-3") != 0 {
		t.Errorf("%s: %s", got.State, got.Outcome)
	}
}

// TestLoanApprovals: an endpoint of a loan wants the approval of its own tenant's people.
func TestLoanApprovals(t *testing.T) {
	b := newBoard(t)
	_, err := b.Hierarchy.CreateChild(t.Context(), b.grant(access.ManageChildren), "acme-oem", "Example OEM")
	b.ok(err)
	_, err = b.Hierarchy.Lend(t.Context(), b.grant(access.ManageChildren), "acme-oem", hierarchy.NewLoan{Name: "meters", Authority: "issuing", Profile: "meter", Limit: 9})
	b.ok(err)
	admin := access.Principal{Tenant: "acme-oem", ID: "token:oem", Grants: access.Given(access.TenantAdministrator)}
	may := func(who access.Principal, p access.Permission) access.Permit {
		g, err := who.Authorize(p, "acme-oem")
		b.ok(err)
		return g
	}
	_, err = b.Office.CreateRole(t.Context(), may(admin, access.ManageAccess), access.OwnRole{Name: "line-lead", Permissions: []access.Permission{access.DecideApprovals}})
	b.ok(err)
	_, err = b.Enroll.CreateEndpoint(t.Context(), may(admin, access.ManageEndpoints), enroll.NewEndpoint{Name: "line", Loan: "meters", Approvals: approvedBy("line-lead")})
	b.ok(err)
	asks, lead := b.Appoint(t, "acme-oem", "asks", access.OEMPartner), b.Appoint(t, "acme-oem", "lead", "line-lead")
	r := enroll.Request{Grant: may(asks, access.Enroll), Endpoint: "line", Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: meterCSR(t, "SM-1")}}
	c := b.waits(r)
	theirs, err := b.who["officer"].Authorize(access.DecideApprovals, "acme")
	b.ok(err)
	_, err = b.Approvals.Decide(t.Context(), theirs, c.ID, approval.Approve, c.Hash, "")
	refused(t, err, pki.NotFound)
	if got, err := b.Approvals.Decide(t.Context(), may(lead, access.DecideApprovals), c.ID, approval.Approve, c.Hash, ""); err != nil || got.State != approval.Executed {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, _ := b.get(r); pandotest.Parse(t, got.Certificate.DER) == nil {
		t.Error("no certificate")
	}
}
