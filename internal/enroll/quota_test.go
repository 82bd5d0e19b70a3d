package enroll_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

// quotaOf returns what is used of the quota of an endpoint, and its limit.
func (b *board) quotaOf(tenant pki.TenantID, endpoint string) (used, limit int64) {
	b.t.Helper()
	all, err := b.Store.Quotas(b.t.Context(), tenant)
	b.ok(err)
	for _, q := range all {
		if q.Target == (quota.Target{Kind: quota.Endpoint, Name: endpoint}) {
			held, err := b.Store.QuotaHeld(b.t.Context(), q)
			b.ok(err)
			if held != q.Used {
				b.t.Errorf("%d are used of %s, and %d are held", q.Used, q.Target, held)
			}
			return q.Used, q.Limit
		}
	}
	b.t.Fatalf("no quota of the endpoint %s", endpoint)
	return 0, 0
}

// TestEndpointQuota: by an endpoint as many are issued as it has room for, of however many
// requests that come at once, and the refusal names the quota.
func TestEndpointQuota(t *testing.T) {
	b := newBoard(t)
	made, err := b.Enroll.CreateEndpoint(t.Context(), b.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "few", Authority: "issuing", Profile: "meter", Quota: new(int64(5))})
	b.ok(err)
	if made.Quota == nil || *made.Quota != 5 {
		t.Errorf("%+v", made.Quota)
	}
	var requests []enroll.Request
	for n := range 12 {
		requests = append(requests, b.request("few", meterCSR(t, "SM-"+string(rune('a'+n)))))
	}
	var issued atomic.Int64
	var done sync.WaitGroup
	for _, r := range requests {
		done.Go(func() {
			switch _, err := b.Enroll.Enroll(t.Context(), r); {
			case err == nil:
				issued.Add(1)
			case pki.KindOf(err) != pki.QuotaExceeded || !strings.Contains(pki.DetailOf(err), "the quota of endpoint:few, 5 certificates, is used up"):
				t.Error(err)
			}
		})
	}
	done.Wait()
	if used, _ := b.quotaOf("acme", "few"); issued.Load() != 5 || used != 5 {
		t.Errorf("%d are issued, %d are used", issued.Load(), used)
	}
	b.get(b.request("meter", meterCSR(t, "SM-z"))) // by another endpoint
}

// TestEndpointQuotaSet: an update lowers the quota of an endpoint and does not raise it, and
// whoever says one may set quotas.
func TestEndpointQuotaSet(t *testing.T) {
	b := newBoard(t)
	update := func(to int64) error {
		_, err := b.Enroll.UpdateEndpoint(t.Context(), b.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "meter", Quota: &to})
		return err
	}
	b.ok(update(9))
	b.ok(update(9))
	b.ok(update(4))
	err := update(5)
	refused(t, err, pki.Conflict)
	if !strings.Contains(pki.DetailOf(err), "raise it with 'pando quota set'") {
		t.Error(err)
	}
	refused(t, update(-1), pki.Malformed)
	b.appoint("pki", access.PKIAdministrator)
	g, err := b.who["pki"].Authorize(access.ManageEndpoints, "acme")
	b.ok(err)
	_, err = b.Enroll.UpdateEndpoint(t.Context(), g, enroll.NewEndpoint{Name: "meter", Quota: new(int64(1))})
	refused(t, err, pki.Forbidden)
	_, err = b.Enroll.UpdateEndpoint(t.Context(), g, enroll.NewEndpoint{Name: "meter", Quota: new(int64(4)), Networks: []string{"10.0.0.0/8"}}) // as it is
	b.ok(err)
	if _, limit := b.quotaOf("acme", "meter"); limit != 4 {
		t.Errorf("the limit is %d", limit)
	}
	// Under a rule for endpoints it is set with what was approved.
	b.SetRule(t, "acme", approval.Rule{Kind: approval.CreateEndpoint, Steps: []approval.Step{{Role: access.SecurityOfficer, N: 1}}, Life: time.Hour})
	b.appoint("admin", access.TenantAdministrator)
	g, err = b.who["admin"].Authorize(access.ManageEndpoints, "acme")
	b.ok(err)
	_, err = b.Enroll.CreateEndpoint(t.Context(), g, enroll.NewEndpoint{Name: "few", Authority: "issuing", Profile: "meter", Quota: new(int64(3))})
	refused(t, err, pki.Pending)
	waiting, _, err := b.Approvals.Changes(t.Context(), b.grant(access.ReadApprovals), approval.Pending, "", 10)
	b.ok(err)
	if got := b.decide("officer", waiting[0], approval.Approve, ""); got.State != approval.Executed || !strings.Contains(got.Summary, "for 3 certificates at most") {
		t.Fatalf("%s: %s, %s", got.State, got.Outcome, got.Summary)
	}
	if _, limit := b.quotaOf("acme", "few"); limit != 3 {
		t.Errorf("the limit is %d", limit)
	}
}

// TestEndpointQuotaOfPairs: a pair counts one at each of its endpoints, and finds room at
// both or at none.
func TestEndpointQuotaOfPairs(t *testing.T) {
	b := newBoard(t)
	for name, other := range map[string]string{"sign": "agree", "agree": "sign"} {
		b.endpoint(name, strings.NewReplacer("profile: guarded", "profile: "+name+"\npair: "+other, "approvals:\n  steps: [1 of ra-operator, 1 of security-officer]\n  expire: 1h\n", "").Replace(guarded))
	}
	b.update(enroll.NewEndpoint{Name: "sign", Quota: new(int64(9))})
	b.update(enroll.NewEndpoint{Name: "agree", Quota: new(int64(1))})
	ask := func(device string) enroll.Request {
		r := b.request("sign", meterCSR(t, device))
		r.Pair = &enroll.Pair{Endpoint: "agree", CSR: meterCSR(t, device)}
		return r
	}
	b.get(ask("SM-1"))
	b.says(ask("SM-2"), pki.QuotaExceeded, "the quota of endpoint:agree, 1 certificates, is used up")
	for _, name := range []string{"sign", "agree"} {
		if used, _ := b.quotaOf("acme", name); used != 1 {
			t.Errorf("%d are used at %s", used, name)
		}
	}
}

// TestEndpointQuotaOfLoan: an endpoint of a loan has a quota of its own tenant's.
func TestEndpointQuotaOfLoan(t *testing.T) {
	b := newBoard(t)
	_, err := b.Hierarchy.CreateChild(t.Context(), b.grant(access.ManageChildren), "acme-oem", "Example OEM")
	b.ok(err)
	_, err = b.Hierarchy.Lend(t.Context(), b.grant(access.ManageChildren), "acme-oem", hierarchy.NewLoan{Name: "meters", Authority: "issuing", Profile: "meter", Limit: 9})
	b.ok(err)
	admin := access.Principal{Tenant: "acme-oem", ID: "token:oem", Grants: access.Given(access.TenantAdministrator)}
	may := func(p access.Permission) access.Permit {
		g, err := admin.Authorize(p, "acme-oem")
		b.ok(err)
		return g
	}
	_, err = b.Enroll.CreateEndpoint(t.Context(), may(access.ManageEndpoints), enroll.NewEndpoint{Name: "meter", Loan: "meters", Quota: new(int64(1))})
	b.ok(err)
	b.get(b.request("meter", meterCSR(t, "SM-1"))) // the lender's endpoint of that name
	r := enroll.Request{Grant: may(access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: meterCSR(t, "SM-2")}}
	b.get(r)
	r.CSR = meterCSR(t, "SM-3")
	b.says(r, pki.QuotaExceeded, "the quota of endpoint:meter, 1 certificates, is used up")
	if used, _ := b.quotaOf("acme-oem", "meter"); used != 1 {
		t.Errorf("%d are used", used)
	}
}
