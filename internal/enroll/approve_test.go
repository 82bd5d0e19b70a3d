package enroll_test

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trust"
)

// guarded is a profile whose enrolments wait for two steps.
const guarded = `profile: guarded
approvals:
  steps: [1 of ra-operator, 1 of security-officer]
  expire: 1h
keys: {allow: [p256]}
validity: 1y
subject: [{type: serialNumber, from: device.id}]
extendedKeyUsage: {use: [clientAuth]}
keyIdentifiers: [subject, authority]
`

// A board is a house whose endpoint "guarded" wants approval, with people who hold
// tokens: "asks" and "other" enrol, "ra", "officer" and "deputy" decide.
type board struct {
	*house
	who map[string]access.Principal
}

func newBoard(t *testing.T) *board {
	t.Helper()
	return boardOf(newHouse(t, "meter"))
}

// boardOf makes a board of a house.
func boardOf(h *house) *board {
	b := &board{h, make(map[string]access.Principal)}
	b.endpoint("guarded", guarded)
	for name, role := range map[string]access.Role{"asks": access.FactoryOperator, "other": access.FactoryOperator,
		"ra": access.RAOperator, "officer": access.SecurityOfficer, "deputy": access.SecurityOfficer} {
		b.appoint(name, role)
	}
	return b
}

func (b *board) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// endpoint publishes a profile, and binds it at an endpoint of its name.
func (b *board) endpoint(name, document string) {
	b.t.Helper()
	_, err := b.Hierarchy.PublishProfile(b.t.Context(), b.grant(access.ManageProfiles), []byte(document))
	b.ok(err)
	_, err = b.Enroll.CreateEndpoint(b.t.Context(), b.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: name, Authority: "issuing", Profile: name})
	b.ok(err)
}

func (b *board) appoint(name string, role access.Role) {
	b.t.Helper()
	b.who[name] = b.Appoint(b.t, "acme", name, role)
}

// dismiss revokes somebody's token.
func (b *board) dismiss(name string) {
	b.t.Helper()
	id := pki.TokenID(strings.TrimPrefix(b.who[name].ID, "token:"))
	b.ok(b.Tokens.Revoke(b.t.Context(), b.grant(access.ManageTokens), id))
}

// by returns a request of somebody's at the endpoint that wants approval.
func (b *board) by(name string, csr []byte) enroll.Request {
	b.t.Helper()
	g, err := b.who[name].Authorize(access.Enroll, "acme")
	b.ok(err)
	return enroll.Request{Grant: g, Endpoint: "guarded", Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr}}
}

// waits sends a request, which waits, and returns its change.
func (b *board) waits(r enroll.Request) *approval.Change {
	b.t.Helper()
	got, err := b.Enroll.Enroll(b.t.Context(), r)
	w, ok := errors.AsType[*approval.Waiting](err)
	e, has := errors.AsType[*pki.Error](err)
	if got != nil || !ok || !has || e.Kind != pki.Pending || e.RetryAfter <= 0 || w.RetryAfter != e.RetryAfter {
		b.t.Fatalf("it does not wait: %+v, %v", got, err)
	}
	return w.Change
}

func (b *board) decide(name string, c *approval.Change, v approval.Verdict, comment string) *approval.Change {
	b.t.Helper()
	g, err := b.who[name].Authorize(access.DecideApprovals, "acme")
	b.ok(err)
	got, err := b.Approvals.Decide(b.t.Context(), g, c.ID, v, c.Hash, comment)
	b.ok(err)
	return got
}

// approve has a change approved by both steps, and holds its state after them.
func (b *board) approve(c *approval.Change, want approval.State) *approval.Change {
	b.t.Helper()
	b.decide("ra", c, approval.Approve, "")
	got := b.decide("officer", c, approval.Approve, "")
	if got.State != want {
		b.t.Fatalf("the change is %s: %s, want %s", got.State, got.Outcome, want)
	}
	return got
}

// certificates returns how many a device has.
func (b *board) certificates(device string) int {
	b.t.Helper()
	found, err := b.Registry.Certificates(b.t.Context(), b.grant(access.ReadCertificates), registry.Query{Device: pki.DeviceID(device)}, registry.Paging{Limit: 100})
	b.ok(err)
	return len(found.Items)
}

// says reports an error unless a request is refused for a reason.
func (b *board) says(r enroll.Request, kind pki.Kind, text string) {
	b.t.Helper()
	_, err := b.Enroll.Enroll(b.t.Context(), r)
	if pki.KindOf(err) != kind || !strings.Contains(pki.DetailOf(err), text) {
		b.t.Errorf("%v (%s), want %s with %q", err, pki.KindOf(err), kind, text)
	}
}

// TestWaits: nothing is issued before the last approval; the same request is the change
// that waits and then its certificate, with an idempotency key and without.
func TestWaits(t *testing.T) {
	for _, key := range []string{"", "order 1"} {
		t.Run("key "+key, func(t *testing.T) {
			b := newBoard(t)
			r := b.by("asks", meterCSR(t, "SM-1"))
			r.Idempotency = key
			c := b.waits(r)
			if !strings.Contains(c.Summary, `device "SM-1" under guarded version 1`) {
				t.Error(c.Summary)
			}
			b.decide("ra", c, approval.Approve, "")
			if again := b.waits(r); again.ID != c.ID || b.certificates("SM-1") != 0 {
				t.Fatalf("another change, or a certificate after one step: %+v", again)
			}
			theirs := r
			theirs.Grant = b.by("other", nil).Grant
			if another := b.waits(theirs); another.ID == c.ID {
				t.Error("another's request is the same change")
			}
			done := b.decide("officer", c, approval.Approve, "")
			if done.State != approval.Executed || len(done.Certificates) != 1 {
				t.Fatalf("%+v", done)
			}
			for range 2 {
				got, _ := b.get(r)
				if !got.Repeated || got.Certificate.Serial != done.Certificates[0].Serial || got.Certificate.Device != "SM-1" || len(got.Chain) == 0 {
					t.Errorf("%+v", got)
				}
			}
			if n := b.certificates("SM-1"); n != 1 {
				t.Errorf("%d certificates", n)
			}
			if key != "" {
				other := b.by("asks", meterCSR(t, "SM-2"))
				other.Idempotency = key
				b.says(other, pki.Conflict, "used for another request")
			}
			if key == "" { // under one idempotency key it is the tenant's certificate
				b.approve(b.waits(theirs), approval.Failed)
				b.says(theirs, pki.PolicyRefused, "the key has a certificate already")
			}
		})
	}
}

// TestNotApproved: a request that was not approved is refused, with the reason, until it
// is asked for anew.
func TestNotApproved(t *testing.T) {
	b := newBoard(t)
	r := b.by("asks", meterCSR(t, "SM-1"))
	b.decide("ra", b.waits(r), approval.Refuse, "not on the list")
	for range 2 {
		b.says(r, pki.PolicyRefused, "was refused: not on the list (change ")
	}
	withdrawn := b.by("asks", meterCSR(t, "SM-1"))
	_, err := b.Approvals.Withdraw(t.Context(), b.who["asks"], b.waits(withdrawn).ID, "")
	b.ok(err)
	b.says(withdrawn, pki.PolicyRefused, "was withdrawn")
	r.Idempotency = "again"
	b.approve(b.waits(r), approval.Executed)
	b.get(r)
}

// TestNothingKept: what is refused is refused before it waits.
func TestNothingKept(t *testing.T) {
	b := newBoard(t)
	b.get(b.request("meter", meterCSR(t, "SM-9")))
	key := pandotest.Key(t, pki.P256)
	b.get(b.request("meter", pandotest.CSR(t, key, pkix.Name{SerialNumber: "SM-8"})))
	b.says(b.by("asks", pandotest.CSR(t, key, pkix.Name{SerialNumber: "SM-1"})), pki.DuplicateKey, "belongs to another device")
	b.says(b.by("asks", pandotest.CSR(t, pandotest.Key(t, pki.P384), pkix.Name{SerialNumber: "SM-1"})), pki.BadKey, "not allowed")
	b.says(b.by("asks", []byte("no request")), pki.Malformed, "")
	lead := strings.NewReplacer("profile: guarded", "profile: lead", "ra-operator", "line-lead").Replace(guarded)
	_, err := b.Hierarchy.PublishProfile(t.Context(), b.grant(access.ManageProfiles), []byte(lead))
	refused(t, err, pki.Malformed)
	role := access.OwnRole{Name: "line-lead", Permissions: []access.Permission{access.DecideApprovals}}
	_, err = b.Office.CreateRole(t.Context(), b.grant(access.ManageAccess), role)
	b.ok(err)
	b.endpoint("lead", lead)
	role.Permissions = []access.Permission{access.ReadApprovals}
	_, err = b.Office.ChangeRole(t.Context(), b.grant(access.ManageAccess), role)
	b.ok(err)
	r := b.by("asks", meterCSR(t, "SM-1"))
	r.Endpoint = "lead"
	b.says(r, pki.PolicyRefused, "nobody could approve")
	changes, _, err := b.Approvals.Changes(t.Context(), b.grant(access.ReadApprovals), "", "", 10)
	if err != nil || len(changes) > 0 {
		t.Errorf("%d changes, %v", len(changes), err)
	}
}

// TestOwnRole: a step may be for a role of the tenant's own.
func TestOwnRole(t *testing.T) {
	b := newBoard(t)
	_, err := b.Office.CreateRole(t.Context(), b.grant(access.ManageAccess), access.OwnRole{Name: "line-lead", Permissions: []access.Permission{access.DecideApprovals}})
	b.ok(err)
	b.endpoint("lead", strings.NewReplacer("profile: guarded", "profile: lead", "1 of ra-operator, 1 of security-officer", "1 of line-lead").Replace(guarded))
	b.appoint("lead", "line-lead")
	r := b.by("asks", meterCSR(t, "SM-1"))
	r.Endpoint = "lead"
	if c := b.decide("lead", b.waits(r), approval.Approve, ""); c.State != approval.Executed {
		t.Errorf("%s: %s", c.State, c.Outcome)
	}
	b.get(r)
}

// TestCheckedAtIssuance: what was lost between request and last approval ends the
// change, and nothing is issued.
func TestCheckedAtIssuance(t *testing.T) {
	key := pandotest.Key(t, pki.P256)
	csr := pandotest.CSR(t, key, pkix.Name{SerialNumber: "SM-1"})
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		between func(b *board)
		text    string
	}{
		"the requester's token is revoked":      {func(b *board) { b.dismiss("asks") }, "the requester may not do this any more"},
		"the first approver's token is revoked": {func(b *board) { b.dismiss("ra") }, "the approver"},
		"the device is suspended": {func(b *board) {
			_, err := b.Registry.ChangeDevice(t.Context(), b.grant(access.ManageDevices), "SM-1", registry.Suspend, "")
			b.ok(err)
		}, "suspended"},
		"the key is blocked": {func(b *board) {
			g, err := access.Principal{Tenant: pki.Platform, ID: "token:operator", Grants: access.Given(access.PlatformOperator)}.Authorize(access.ManageBlocklist, pki.Platform)
			b.ok(err)
			_, err = b.Enroll.BlockKeys(t.Context(), g, [][32]byte{sha256.Sum256(spki)})
			b.ok(err)
		}, "block list"},
		"the endpoint has another version": {func(b *board) {
			_, err := b.Hierarchy.PublishProfile(t.Context(), b.grant(access.ManageProfiles), []byte(guarded+"# more\n"))
			b.ok(err)
			_, err = b.Enroll.UpdateEndpoint(t.Context(), b.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Profile: "guarded"})
			b.ok(err)
		}, "not what was approved"},
		"the endpoint has a profile without approvals": {func(b *board) {
			_, err := b.Enroll.UpdateEndpoint(t.Context(), b.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Profile: "meter"})
			b.ok(err)
		}, "does not want approval any more"},
		"the endpoint is off": {func(b *board) {
			_, err := b.Enroll.UpdateEndpoint(t.Context(), b.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Protocols: []pki.Protocol{}})
			b.ok(err)
		}, "switched off"},
		"the quota is used up": {func(b *board) {
			_, err := b.Quotas.Set(t.Context(), b.grant(access.ManageQuotas), quota.Target{Kind: quota.Profile, Name: "guarded"}, 0)
			b.ok(err)
		}, "quota"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t)
			b.t = t
			b.get(b.request("meter", meterCSR(t, "SM-1"))) // the device is registered
			r := b.by("asks", csr)
			c := b.waits(r)
			b.decide("ra", c, approval.Approve, "")
			test.between(b)
			got := b.decide("officer", c, approval.Approve, "")
			if got.State != approval.Failed || !strings.Contains(got.Outcome, test.text) || b.certificates("SM-1") != 1 {
				t.Errorf("%s: %s, %d certificates", got.State, got.Outcome, b.certificates("SM-1"))
			}
		})
	}
}

// TestPairWaits: a pair is one change, and both certificates are issued with it.
func TestPairWaits(t *testing.T) {
	b := newBoard(t)
	for name, other := range map[string]string{"sign": "agree", "agree": "sign"} {
		b.endpoint(name, strings.NewReplacer("profile: guarded", "profile: "+name+"\npair: "+other).Replace(guarded))
	}
	r := b.by("asks", meterCSR(t, "SM-1"))
	r.Endpoint, r.Pair = "sign", &enroll.Pair{Endpoint: "agree", CSR: pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"},
		pandotest.Attribute{OID: der.OIDChallengePassword, Value: der.Append(nil, asn1.UTF8String, []byte("a challenge"))})}
	c := b.waits(r)
	for _, shown := range []string{string(approval.Shown(c.Payload)), c.Summary} {
		if strings.Contains(shown, base64.StdEncoding.EncodeToString(r.Pair.CSR)) || strings.Contains(shown, "withheld") {
			t.Errorf("the challenge is shown: %s", shown)
		}
	}
	if c.Place.Endpoint != "" || len(c.Steps) != 2 {
		t.Errorf("%+v", c)
	}
	done := b.approve(c, approval.Executed)
	got, _ := b.get(r)
	if len(done.Certificates) != 2 || got.Pair == nil || got.Certificate.Serial != done.Certificates[0].Serial || got.Pair.Serial != done.Certificates[1].Serial {
		t.Errorf("%+v, %+v", done.Certificates, got)
	}
	if n := b.certificates("SM-1"); n != 2 {
		t.Errorf("%d certificates", n)
	}
}

// TestApprovedAtOnce: two who approve at the same moment have one certificate issued.
func TestApprovedAtOnce(t *testing.T) {
	b := newBoard(t)
	for n := range 5 {
		device := fmt.Sprint("SM-", n)
		c := b.waits(b.by("asks", meterCSR(t, device)))
		b.decide("ra", c, approval.Approve, "")
		var done sync.WaitGroup
		for _, name := range []string{"officer", "deputy"} {
			g, err := b.who[name].Authorize(access.DecideApprovals, "acme")
			b.ok(err)
			done.Go(func() {
				if _, err := b.Approvals.Decide(t.Context(), g, c.ID, approval.Approve, c.Hash, ""); err != nil && pki.KindOf(err) != pki.Conflict {
					t.Error(err)
				}
			})
		}
		done.Wait()
		if n := b.certificates(device); n != 1 {
			t.Errorf("%d certificates", n)
		}
	}
}

// TestNoCertificateWithoutChange: whatever is asked and decided in whatever order, there
// is a certificate for each executed change, and no other.
func TestNoCertificateWithoutChange(t *testing.T) {
	b := newBoard(t)
	r := pandotest.Seeded(t)
	var requests []enroll.Request
	var changes []pki.ChangeID
	people := []string{"ra", "officer", "deputy", "asks"}
	for n := range 150 {
		switch act := r.IntN(10); {
		case act < 3 || len(requests) == 0:
			request := b.by([]string{"asks", "ra"}[r.IntN(2)], meterCSR(t, fmt.Sprint("SM-", n)))
			if r.IntN(2) == 0 {
				request.Idempotency = fmt.Sprint("order ", n)
			}
			requests = append(requests, request)
			changes = append(changes, b.waits(request).ID)
		case act == 3:
			_, _ = b.Enroll.Enroll(t.Context(), requests[r.IntN(len(requests))])
		default:
			g, err := b.who[people[r.IntN(len(people))]].Authorize(access.DecideApprovals, "acme")
			if err != nil {
				continue
			}
			verdict := approval.Approve
			if r.IntN(8) == 0 {
				verdict = approval.Refuse
			}
			c, err := b.Store.Change(t.Context(), "acme", changes[r.IntN(len(changes))])
			b.ok(err)
			_, _ = b.Approvals.Decide(t.Context(), g, c.ID, verdict, c.Hash, "")
		}
	}
	executed := make(map[pki.Serial]bool)
	for _, id := range changes {
		c, err := b.Store.Change(t.Context(), "acme", id)
		b.ok(err)
		for _, x := range c.Certificates {
			executed[x.Serial] = true
		}
		if (c.State == approval.Executed) != (len(c.Certificates) == 1) {
			t.Errorf("%s with %d certificates", c.State, len(c.Certificates))
		}
	}
	found, err := b.Registry.Certificates(t.Context(), b.grant(access.ReadCertificates), registry.Query{Profile: "guarded"}, registry.Paging{Limit: 1000})
	b.ok(err)
	t.Logf("%d changes, %d certificates", len(changes), len(found.Items))
	if len(found.Items) != len(executed) {
		t.Errorf("%d certificates, and %d of executed changes", len(found.Items), len(executed))
	}
	for _, f := range found.Items {
		if !executed[f.Serial] {
			t.Errorf("certificate %s has no change", f.Serial)
		}
	}
}

// TestDeviceWaits: a device asks by its certificate, and is proved by it again when the
// last approval comes.
func TestDeviceWaits(t *testing.T) {
	for name, test := range map[string]struct {
		between func(b *board, c *pki.Certificate)
		want    approval.State
		text    string
	}{
		"nothing happens": {func(*board, *pki.Certificate) {}, approval.Executed, ""},
		"its certificate is revoked": {func(b *board, c *pki.Certificate) {
			_, err := b.Revocation.Revoke(t.Context(), b.grant(access.Revoke), c.Issuer, c.Serial, pki.KeyCompromise)
			b.ok(err)
		}, approval.Failed, "may not do this any more"},
		"its authority is not trusted": {func(b *board, _ *pki.Certificate) {
			b.ok(b.Trust.Remove(t.Context(), b.grant(access.ManageTrust), "devices"))
		},
			approval.Failed, "may not do this any more"},
		"it is suspended": {func(b *board, _ *pki.Certificate) {
			_, err := b.Registry.ChangeDevice(t.Context(), b.grant(access.ManageDevices), "SM-1", registry.Suspend, "")
			b.ok(err)
		}, approval.Failed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t)
			b.t = t
			_, err := b.Trust.Add(t.Context(), b.grant(access.ManageTrust), trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: at("guarded")})
			b.ok(err)
			first := b.by("asks", meterCSR(t, "SM-1"))
			b.approve(b.waits(first), approval.Executed)
			own, leaf := b.get(first)
			who, r := b.itself(leaf)
			c := b.waits(r)
			if c.Requester.ID != who.ID || b.waits(r).ID != c.ID {
				t.Errorf("%+v", c)
			}
			test.between(b, own.Certificate)
			b.decide("ra", c, approval.Approve, "")
			got := b.decide("officer", c, approval.Approve, "")
			if got.State != test.want || !strings.Contains(got.Outcome, test.text) {
				t.Errorf("%s: %s", got.State, got.Outcome)
			}
			if test.want == approval.Executed {
				if again, _ := b.get(r); again.Certificate.Serial == own.Certificate.Serial {
					t.Error("the certificate that it had")
				}
			}
		})
	}
}

// itself returns whom a device's certificate proves, and a request by it.
func (b *board) itself(leaf *x509.Certificate) (access.Principal, enroll.Request) {
	b.t.Helper()
	who, err := b.Trust.Authenticate(b.t.Context(), []*x509.Certificate{leaf}, "")
	b.ok(err)
	g, err := who.Authorize(access.Enroll, "acme")
	b.ok(err)
	return who, enroll.Request{Grant: g, Endpoint: "guarded", Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: meterCSR(b.t, "SM-1")}}
}

// TestAskerDoesNotApprove: whoever asked for a certificate does not approve what is
// asked for by it; and a device has few requests that wait.
func TestAskerDoesNotApprove(t *testing.T) {
	b := newBoard(t)
	_, err := b.Trust.Add(t.Context(), b.grant(access.ManageTrust), trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: at("guarded")})
	b.ok(err)
	first := b.by("ra", meterCSR(t, "SM-1"))
	first.Endpoint = "meter"
	_, leaf := b.get(first)
	_, r := b.itself(leaf)
	c := b.waits(r)
	decides, err := b.who["ra"].Authorize(access.DecideApprovals, "acme")
	b.ok(err)
	_, err = b.Approvals.Decide(t.Context(), decides, c.ID, approval.Approve, c.Hash, "")
	refused(t, err, pki.Forbidden)
	for range 7 {
		r.CSR = meterCSR(t, "SM-1")
		b.waits(r)
	}
	r.CSR = meterCSR(t, "SM-1")
	b.says(r, pki.RateLimited, "that you asked for")
}

// TestEnrolmentExpires: what nobody decided in time is over, and the request says so.
func TestEnrolmentExpires(t *testing.T) {
	b := newBoard(t)
	r := b.by("asks", meterCSR(t, "SM-1"))
	c := b.waits(r)
	e := pki.Event{Tenant: "acme", At: time.Now(), Action: "change.expire"}
	b.ok(b.Store.EndChange(t.Context(), "acme", c.ID, approval.Pending, approval.Expired, "", e.At, e))
	b.says(r, pki.PolicyRefused, "was not approved in its time")
}

// TestTheLogSaysWho: the events of an enrolment that waited tell its whole story.
func TestTheLogSaysWho(t *testing.T) {
	b := newBoard(t)
	c := b.approve(b.waits(b.by("asks", meterCSR(t, "SM-1"))), approval.Executed)
	events, _, err := b.Store.Events(t.Context(), "acme", hierarchy.EventFilter{Target: "change:" + string(c.ID)}, "", 10)
	b.ok(err)
	var story []string
	for _, e := range events {
		story = append(story, e.Action+" "+strings.TrimSuffix(strings.SplitAfter(e.Actor, "(")[1], ")"))
	}
	if got := strings.Join(story, ", "); got != "change.execute asks, change.approve officer, change.approve ra, change.request asks" {
		t.Error(got)
	}
	if !strings.Contains(events[0].Detail, c.Certificates[0].Serial.String()) {
		t.Error(events[0].Detail)
	}
}
