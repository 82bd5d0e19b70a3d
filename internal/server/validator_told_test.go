package server

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/scep"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/trust"
)

// TestValidatorIsAskedOnce: a message that is sent again gets the same certificate without
// that the validator is asked, which takes its challenge no more, and is told once.
func TestValidatorIsAskedOnce(t *testing.T) {
	cfg := newConfig(t)
	f := withFake(t, &cfg)
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	validates(t, s, st, "device")
	f.Take("good-challenge-of-intune", "Success")
	c := newSCEP(t, s, "acme.device")
	csr := scepclient.CSR(t, c.Key, "laptop-1", "good-challenge-of-intune")
	first := c.Ask(scep.PKCSReq, csr)
	if first.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", first.PKIStatus, first.FailInfo)
	}
	toldOf(t, f, 1)
	noneLeft(t, s)
	f.Take("good-challenge-of-intune", "ChallengeExpired")
	second := c.Ask(scep.PKCSReq, csr)
	if second.PKIStatus != scep.SUCCESS || second.Certificate.SerialNumber.Cmp(first.Certificate.SerialNumber) != 0 || f.Asked() != 1 {
		t.Errorf("status %s, failInfo %q, asked %d times", second.PKIStatus, second.FailInfo, f.Asked())
	}
	noneLeft(t, s)
	toldOf(t, f, 1)
	refusedBy(t, c.Ask(scep.PKCSReq, scepclient.CSR(t, c.Key, "laptop-2", "good-challenge-of-intune")), scep.BadMessageCheck)
	if f.Asked() != 2 {
		t.Errorf("of another request it was asked %d times", f.Asked()-1)
	}
}

// TestValidatorIsToldOfAll: what a validator took and what is refused before it comes to the
// profile is told, too, and why; and devices with different challenges are told apart, so that
// none takes another's transaction.
func TestValidatorIsToldOfAll(t *testing.T) {
	cfg := newConfig(t)
	f := withFake(t, &cfg)
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	validates(t, s, st, "device")
	f.Take("challenge-of-one", "Success")
	f.Take("challenge-of-two", "Success")
	for c, challenge := range map[*scepclient.Client]string{newSCEP(t, s, "acme.device"): "challenge-of-one", newSCEP(t, s, "acme.device"): "challenge-of-two"} {
		got := c.Post(c.Message(19, "SAME", scepclient.Nonce(), c.Seal(scepclient.CSR(t, c.Key, "laptop", challenge))))
		if got.PKIStatus != scep.SUCCESS {
			t.Errorf("%s: status %s, failInfo %q", challenge, got.PKIStatus, got.FailInfo)
		}
	}
	toldOf(t, f, 2)
	// With a challenge that somebody has used the transaction's name for another key with.
	c := newSCEP(t, s, "acme.device")
	refusedBy(t, c.Post(c.Message(19, "SAME", scepclient.Nonce(), c.Seal(scepclient.CSR(t, c.Key, "laptop-3", "challenge-of-one")))), scep.BadRequest)
	if told := toldOf(t, f, 3)[2]; told.Action != "failureNotification" || !strings.Contains(told.Description, "transaction") {
		t.Errorf("told %+v", told)
	}
	who := make(map[string]bool)
	for v := range s.visits.Watch(t.Context(), "acme.device", false) {
		if v.Serial != "" {
			who[v.Who] = true
		}
	}
	if len(who) != 2 {
		t.Errorf("they are %v", who)
	}
	for id := range who {
		if !strings.HasPrefix(id, "challenge:device/intune/") || strings.Contains(id, "challenge-of") {
			t.Errorf("one is %q", id)
		}
	}
}

// TestFalseFailure: whoever has the envelope of another's message, and signs it as their own,
// has nobody told that the other's enrolment failed, nor kept from hearing that it did not:
// neither with a key of their own making nor by a certificate that they have.
func TestFalseFailure(t *testing.T) {
	cfg := newConfig(t)
	f := withFake(t, &cfg)
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	validates(t, s, st, "device")
	for _, challenge := range []string{"challenge-of-mallory", "challenge-of-alice", "challenge-of-bob"} {
		f.Take(challenge, "Success")
	}
	stranger, mallory := newSCEP(t, s, "acme.device"), newSCEP(t, s, "acme.device")
	got := mallory.Ask(scep.PKCSReq, scepclient.CSR(t, mallory.Key, "laptop-m", "challenge-of-mallory"))
	if got.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
	mallory.Signer = got.Certificate
	caller{t: t, s: s}.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	toldOf(t, f, 1)
	for no, name := range []string{"alice", "bob"} {
		c := newSCEP(t, s, "acme.device")
		envelope := c.Seal(scepclient.CSR(t, c.Key, "laptop-"+name, "challenge-of-"+name))
		if got := c.Post(c.Message(19, name, scepclient.Nonce(), envelope)); got.PKIStatus != scep.SUCCESS {
			t.Fatalf("%s: status %s, failInfo %q", name, got.PKIStatus, got.FailInfo)
		}
		if name == "alice" { // the other time they come before anybody is told
			toldOf(t, f, no+2)
		}
		for _, by := range []*scepclient.Client{stranger, mallory} {
			for _, kind := range []int{19, 17} {
				if got := by.Post(by.Message(kind, name, scepclient.Nonce(), envelope)); got.PKIStatus != scep.FAILURE {
					t.Errorf("of %s: status %s", name, got.PKIStatus)
				}
			}
		}
		noneLeft(t, s)
		told := toldOf(t, f, no+2)
		if last := told[no+1]; last.Action != "successNotification" || last.Transaction != name {
			t.Errorf("of %s told %+v", name, last)
		}
	}
}

// TestValidatorIsGone: what waits for approval is not done, and not answered, when the operator
// has taken the validator out of the configuration that took it; the change and the trace of
// the endpoint say why.
func TestValidatorIsGone(t *testing.T) {
	cfg := newConfig(t)
	f := withFake(t, &cfg)
	s := open(t, cfg, time.Now)
	stop := run(t, s)
	st := furnishGuarded(t, s)
	name := "intune"
	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Validator: &name}); err != nil {
		t.Fatal(err)
	}
	f.Take("good-challenge-of-intune", "Success")
	c := newSCEP(t, s, "acme.guarded")
	csr := scepclient.CSR(t, c.Key, "gateway-1", "good-challenge-of-intune")
	for range 2 { // while it waits, nobody is asked again
		if asked := c.Ask(scep.PKCSReq, csr); asked.PKIStatus != scep.PENDING || f.Asked() != 1 {
			t.Fatalf("status %s, failInfo %q, asked %d times", asked.PKIStatus, asked.FailInfo, f.Asked())
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	cfg.SCEP.Validators = nil
	next := openOn(t, cfg, machine{now: time.Now})
	run(t, next)
	c.URL = next.URL("http") + "/scep/acme.guarded"
	refusedBy(t, c.Ask(scep.PKCSReq, csr), scep.BadMessageCheck)

	officer := by(t, next, &stack.Stack{Store: next.store, Tokens: next.tokens, Hierarchy: next.hierarchy, Enroll: next.enroll, Now: next.now}, access.SecurityOfficer)
	waiting, err := officer.Changes(t.Context(), "pending", "", 10)
	if err != nil || len(waiting.Items) != 1 {
		t.Fatalf("%+v, %v", waiting, err)
	}
	change, err := officer.Change(t.Context(), waiting.Items[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	hash := approval.HashOf("acme", approval.Kind(change.Kind), change.Target, []byte(change.Payload))
	done, err := officer.Approve(t.Context(), change.ID, client.NewDecision{Hash: hex.EncodeToString(hash[:])})
	const why = "the validator intune, which took the request, is not in this server's configuration any more"
	if err != nil || done.State != string(approval.Failed) || !strings.Contains(done.Outcome, why) {
		t.Errorf("%+v, %v", done, err)
	}
	var seen []string
	for v := range next.visits.Watch(t.Context(), "acme.guarded", false) {
		if v.Refused && strings.Contains(v.Why, why) {
			seen = append(seen, v.Who)
		}
	}
	if len(seen) != 2 || !strings.HasPrefix(seen[1], "challenge:guarded/intune/") {
		t.Errorf("the trace has %q", seen)
	}
}
