package server

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/scep"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/fakeintune"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// withFake has a server ask a fake of Intune.
func withFake(t *testing.T, cfg *Config) *fakeintune.Service {
	t.Helper()
	f := fakeintune.New(t)
	if err := os.WriteFile(filepath.Join(cfg.Data, "intune.secret"), []byte(fakeintune.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.SCEP.Validators = []Validator{{Name: "intune", Tenants: []pki.TenantID{"acme"}, Client: fakeintune.Client, Secret: "file:intune.secret",
		Token: f.URL + "/tenant/oauth2/v2.0/token", Scope: fakeintune.Scope, Discovery: f.URL + "/graph/endpoints", DiscoveryScope: fakeintune.Graph,
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	return f
}

// statusOf sends a request and returns the status of HTTP alone.
func statusOf(t *testing.T, c *scepclient.Client, csr []byte) int {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		t.Error(err)
		return 0
	}
	message, err := scep.NewCSRRequest(request, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: c.Recipient(), SignerKey: c.Key, SignerCert: c.Signer})
	if err != nil {
		t.Error(err)
		return 0
	}
	answer, err := http.Post(c.URL+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(message.Raw))
	if err != nil {
		t.Error(err)
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// validates has an endpoint take SCEP with challenges that the fake checks.
func validates(t *testing.T, s *Server, st *stack.Stack, endpoint string) {
	t.Helper()
	name := "intune"
	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: endpoint, Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolSCEP}, Validator: &name}); err != nil {
		t.Fatal(err)
	}
}

// toldOf waits until the fake was told so much.
func toldOf(t *testing.T, f *fakeintune.Service, count int) []fakeintune.Told {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if told := f.Told(); len(told) >= count || time.Since(begun) > time.Minute {
			if len(told) != count {
				t.Fatalf("told %+v, want %d", told, count)
			}
			return told
		}
	}
}

// noneLeft waits until no notice is left: the fake has heard one before it is dropped.
func noneLeft(t *testing.T, s *Server) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		left, err := s.store.DueNotices(t.Context(), "intune", time.Now().Add(time.Hour), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("%d notices are left", len(left))
		}
	}
}

// TestValidator: a device enrols by a challenge that the validator takes, and by no other; the
// validator is told of what was issued and of what was refused; the trace has its words and
// the device does not; challenges are not in the store.
func TestValidator(t *testing.T) {
	cfg := newConfig(t)
	f := withFake(t, &cfg)
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device", "meter")
	validates(t, s, st, "device")
	f.Take("good-challenge-of-intune", "Success")
	f.Take("late", "ChallengeExpired")
	f.Take("other", "SubjectNameMismatch")

	c := newSCEP(t, s, "acme.device")
	csr := scepclient.CSR(t, c.Key, "laptop-1", "good-challenge-of-intune")
	got := c.Ask(scep.PKCSReq, csr)
	if got.PKIStatus != scep.SUCCESS || got.Certificate.Subject.CommonName != "laptop-1" {
		t.Fatalf("status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
	told := toldOf(t, f, 1)[0]
	serial := strings.ToUpper(got.Certificate.SerialNumber.Text(16))
	if told.Action != "successNotification" || strings.TrimLeft(told.Serial, "0") != serial || len(told.Thumbprint) != 40 || told.Transaction == "" || told.Issuer == "" ||
		told.Expires != got.Certificate.NotAfter.UTC().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("told %+v, serial %s", told, serial)
	}
	_, secret, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for challenge, want := range map[string]scep.FailInfo{"late": scep.BadMessageCheck, "other": scep.BadRequest, "unknown": scep.BadMessageCheck, secret.Reveal(): scep.BadMessageCheck} {
		one := newSCEP(t, s, "acme.device")
		refusedBy(t, one.Ask(scep.PKCSReq, scepclient.CSR(t, one.Key, "laptop-2", challenge)), want)
	}
	var whys []string
	for v := range s.visits.Watch(t.Context(), "acme.device", false) {
		whys = append(whys, v.Why)
	}
	if all := strings.Join(whys, "\n"); !strings.Contains(all, "the validator intune says ChallengeExpired: as the fake was told") || !strings.Contains(all, "says SubjectNameMismatch") || strings.Contains(all, "good-challenge") {
		t.Errorf("the trace says %s", all)
	}

	// A request that it takes, and the RA does not: the key is another device's.
	refusedBy(t, c.Ask(scep.PKCSReq, scepclient.CSR(t, c.Key, "laptop-9", "good-challenge-of-intune")), scep.BadRequest)
	if told := toldOf(t, f, 2)[1]; told.Action != "failureNotification" || told.Result != 0x80004005 || told.Description == "" {
		t.Errorf("told %+v", told)
	}
	noneLeft(t, s)
	for _, name := range []string{"pando.db", "pando.db-wal"} {
		content, err := os.ReadFile(filepath.Join(cfg.Data, name))
		if err == nil && (bytes.Contains(content, []byte("good-challenge-of-intune")) || bytes.Contains(content, []byte(fakeintune.Secret))) {
			t.Errorf("%s has a challenge or the client's secret", name)
		}
	}
}

// TestValidatorIsSilent: where it gives no answer nothing is issued, the device is to come
// again, an alarm stands until it answers, and requests of other endpoints go on meanwhile.
func TestValidatorIsSilent(t *testing.T) {
	cfg := newConfig(t)
	f := withFake(t, &cfg)
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device", "meter")
	validates(t, s, st, "device")
	f.Take("good-challenge-of-intune", "Success")
	f.Fail(http.StatusInternalServerError)
	c := newSCEP(t, s, "acme.device")
	csr := scepclient.CSR(t, c.Key, "laptop-1", "good-challenge-of-intune")
	for _, name := range []string{"laptop-1", "laptop-2", "laptop-3"} { // one that it cannot cope with is no alarm
		if status := statusOf(t, c, scepclient.CSR(t, c.Key, name, "good-challenge-of-intune")); status != http.StatusServiceUnavailable {
			t.Fatalf("status %d", status)
		}
	}
	unreachable := func() bool {
		for _, a := range s.alarms.Of(pki.Platform) {
			if a.Name == "validator.unreachable" {
				return true
			}
		}
		return false
	}
	if !unreachable() {
		t.Error("no alarm")
	}
	f.Fail(0)
	other := enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})}}
	release := f.Hold()
	slow := make(chan int, 1)
	go func() { slow <- statusOf(t, c, csr) }()
	for begun := time.Now(); f.Waiting() == 0 && time.Since(begun) < time.Minute; time.Sleep(time.Millisecond) {
	}
	if _, err := s.enroll.Enroll(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	select {
	case status := <-slow:
		t.Errorf("the slow one was done first, with %d", status)
	default:
	}
	release()
	if status := <-slow; status != http.StatusOK || unreachable() {
		t.Errorf("status %d, alarm %t", status, unreachable())
	}
	toldOf(t, f, 1)
}

// TestValidatorIsToldAfterCrash: what was issued before the process ended is told by the next.
func TestValidatorIsToldAfterCrash(t *testing.T) {
	cfg := newConfig(t)
	f := withFake(t, &cfg)
	clock := pandotest.NewClock(time.Now())
	s := open(t, cfg, clock.Now)
	stop := run(t, s)
	st := furnish(t, s, "acme", "device")
	validates(t, s, st, "device")
	f.Take("good-challenge-of-intune", "Success")
	who, err := s.secrets.Prove(t.Context(), "acme.device", enrolauth.Presented{Protocol: pki.ProtocolSCEP, Secret: pki.NewSecret("good-challenge-of-intune"),
		Request: scepclient.CSR(t, pandotest.Key(t, pki.RSA2048), "laptop-1", "good-challenge-of-intune"), Transaction: "1"})
	if err != nil {
		t.Fatal(err)
	}
	issue := func(transaction string, enrols bool) {
		t.Helper()
		csr := scepclient.CSR(t, pandotest.Key(t, pki.RSA2048), "laptop-"+transaction, "good-challenge-of-intune")
		if _, err := s.secrets.Await(t.Context(), who, enrolauth.Awaited{Label: "acme.device", Transaction: transaction, Request: csr, Own: true, Protocol: pki.ProtocolSCEP, Idempotency: "key-" + transaction}); err != nil {
			t.Fatal(err)
		}
		if !enrols {
			return
		}
		g, err := who.Authorize(access.Enroll, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.enroll.Enroll(t.Context(), enroll.Request{Grant: g, Endpoint: "acme.device", Protocol: pki.ProtocolSCEP, Idempotency: "key-" + transaction, Subject: enroll.Subject{CSR: csr}}); err != nil {
			t.Fatal(err)
		}
	}
	issue("1", true)
	issue("2", false)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	clock.Advance(30 * time.Minute)
	next := openOn(t, cfg, machine{now: clock.Now})
	run(t, next)
	told := make(map[string]string) // by transaction: a server that ends between telling and dropping has it told again
	for begun := time.Now(); len(told) < 2 && time.Since(begun) < time.Minute; time.Sleep(20 * time.Millisecond) {
		for _, one := range f.Told() {
			told[one.Transaction] = one.Action
		}
	}
	if want := map[string]string{"1": "successNotification", "2": "failureNotification"}; !maps.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
