package server

import (
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/scep"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/trust"
)

const usedUp = "the quota of endpoint:few, 1 certificates, is used up"

// raise gives the endpoint few of acme another quota.
func raise(t *testing.T, s *Server, st *stack.Stack, to int64) {
	t.Helper()
	if _, err := s.quotas.Set(t.Context(), st.Permit(t, "acme", access.ManageQuotas), quota.Target{Kind: quota.Endpoint, Name: "few"}, to); err != nil {
		t.Fatal(err)
	}
}

// approveAll has an officer approve what waits, and returns what became of each.
func approveAll(t *testing.T, s *Server, st *stack.Stack, officer access.Principal) (became map[approval.State]int) {
	t.Helper()
	g, err := officer.Authorize(access.DecideApprovals, "acme")
	if err != nil {
		t.Fatal(err)
	}
	waiting, _, err := s.approvals.Changes(t.Context(), st.Permit(t, "acme", access.ReadApprovals), approval.Pending, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	became = make(map[approval.State]int)
	for _, c := range waiting {
		done, err := s.approvals.Decide(t.Context(), g, c.ID, approval.Approve, c.Hash, "")
		if err != nil {
			t.Fatal(err)
		}
		became[done.State]++
	}
	return became
}

// TestESTQuota: at an endpoint whose quota is used up EST answers 403 and issues nothing,
// also of what was approved meanwhile; a repeat takes nothing of it, and neither does what
// another endpoint issues under the profile.
func TestESTQuota(t *testing.T) {
	s, st, meter, _ := trusting(t)
	meter.publish(st, "profile: few\n"+askedRules)
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "many", Authority: "issuing", Profile: "few", Protocols: []pki.Protocol{pki.ProtocolEST}}); err != nil {
		t.Fatal(err)
	}
	update := func(n enroll.NewEndpoint) {
		t.Helper()
		n.Name = "few"
		if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), n); err != nil {
			t.Fatal(err)
		}
	}
	update(enroll.NewEndpoint{Quota: new(int64(1))})
	meter.trust("acme", trust.NewAnchor{Name: "ours", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "few"}, {Endpoint: "many"}}})
	request := func() []byte { return []byte(csrOf(t, pandotest.Key(t, pki.P256), "SM-1")) }
	few, many := estPath("acme.few", "simpleenroll"), estPath("acme.many", "simpleenroll")
	full := func(path string, body []byte) {
		t.Helper()
		stored := certificatesStored(t, s)
		answer := meter.est("POST", path, body)
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusForbidden || !strings.Contains(string(text), usedUp) {
			t.Errorf("%s: %s, %v", answer.Status, text, err)
		}
		if now := certificatesStored(t, s); now != stored {
			t.Errorf("%d certificates, %d before", now, stored)
		}
	}
	certificates(t, meter.est("POST", many, request()))
	body := request()
	first := certificates(t, meter.est("POST", few, body))[0]
	if again := certificates(t, meter.est("POST", few, body))[0]; !again.Equal(first) {
		t.Error("the same request again got another certificate")
	}
	late := request()
	endpoint := &watched{t: t, s: s, label: "acme.few"}
	endpoint.next()
	full(few, late)
	endpoint.refused(pki.ProtocolEST, pki.QuotaExceeded, "SM-1", usedUp, "\x00")
	certificates(t, meter.est("POST", many, request()))
	raise(t, s, st, 2)
	certificates(t, meter.est("POST", few, late))

	// Of two that wait where there is room for one, the other is refused once both are approved.
	update(enroll.NewEndpoint{Approvals: &pki.Approvals{Steps: []pki.ApprovalStep{{Role: "security-officer", N: 1}}}})
	raise(t, s, st, 3)
	officer := st.Appoint(t, "acme", "officer", access.SecurityOfficer)
	waiting := [][]byte{request(), request()}
	for _, body := range waiting {
		if answer := meter.est("POST", few, body); answer.StatusCode != http.StatusAccepted || answer.Header.Get("Retry-After") == "" {
			t.Fatalf("%s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
		}
	}
	if became := approveAll(t, s, st, officer); became[approval.Executed] != 1 || became[approval.Failed] != 1 {
		t.Errorf("became %v", became)
	}
	status := make(map[int]int)
	for _, body := range waiting {
		status[meter.est("POST", few, body).StatusCode]++
	}
	if status[http.StatusOK] != 1 || status[http.StatusForbidden] != 1 {
		t.Errorf("answered by %v", status)
	}
}

// TestSCEPQuota: likewise by SCEP, whose answer is badRequest, also of a poll.
func TestSCEPQuota(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st, officer := furnishFree(t, s)
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "few", Authority: "issuing", Profile: "free", Protocols: []pki.Protocol{pki.ProtocolSCEP}, Quota: new(int64(1))}); err != nil {
		t.Fatal(err)
	}
	_, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "few", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	// A gateway is a client with its request.
	type gateway struct {
		*scepclient.Client
		csr []byte
	}
	fresh := func(name string) gateway {
		c := newSCEP(t, s, "acme.few")
		return gateway{c, scepclient.CSR(t, c.Key, name, text.Reveal())}
	}
	first := fresh("gateway-1")
	got := first.Ask(scep.PKCSReq, first.csr)
	if got.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
	stored := certificatesStored(t, s)
	if again := first.Ask(scep.PKCSReq, first.csr); again.PKIStatus != scep.SUCCESS || !again.Certificate.Equal(got.Certificate) {
		t.Errorf("the same again: status %s, failInfo %q", again.PKIStatus, again.FailInfo)
	}
	second := fresh("gateway-2")
	endpoint := &watched{t: t, s: s, label: "acme.few"}
	endpoint.next()
	refusedBy(t, second.Ask(scep.PKCSReq, second.csr), scep.BadRequest)
	endpoint.refused(pki.ProtocolSCEP, pki.QuotaExceeded, "gateway-2", usedUp, text.Reveal())
	if now := certificatesStored(t, s); now != stored {
		t.Errorf("%d certificates, %d before", now, stored)
	}
	raise(t, s, st, 2)
	if got := second.Ask(scep.PKCSReq, second.csr); got.PKIStatus != scep.SUCCESS {
		t.Errorf("with more room: status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}

	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "few", Approvals: &pki.Approvals{Steps: []pki.ApprovalStep{{Role: "security-officer", N: 1}}}}); err != nil {
		t.Fatal(err)
	}
	raise(t, s, st, 3)
	waiting := []gateway{fresh("gateway-3"), fresh("gateway-4")}
	var transactions []string
	for _, w := range waiting {
		asked := w.Ask(scep.PKCSReq, w.csr)
		if asked.PKIStatus != scep.PENDING {
			t.Fatalf("status %s, failInfo %q", asked.PKIStatus, asked.FailInfo)
		}
		transactions = append(transactions, string(asked.TransactionID))
	}
	if became := approveAll(t, s, st, officer); became[approval.Executed] != 1 || became[approval.Failed] != 1 {
		t.Errorf("became %v", became)
	}
	answered := make(map[scep.PKIStatus]int)
	for i, w := range waiting {
		request, err := x509.ParseCertificateRequest(w.csr)
		if err != nil {
			t.Fatal(err)
		}
		polled, _ := w.Query(certPoll, transactions[i], named(w.Client, request.RawSubject))
		if answered[polled.PKIStatus]++; polled.PKIStatus != scep.SUCCESS {
			refusedBy(t, polled, scep.BadRequest)
		}
	}
	if answered[scep.SUCCESS] != 1 || answered[scep.FAILURE] != 1 {
		t.Errorf("answered by %v", answered)
	}
}
