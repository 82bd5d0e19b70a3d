package issuance_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// An approved enrolment whose process died between intent and record is approved still,
// with nothing issued; what comes after it issues one certificate, once.
func TestRecoverApproved(t *testing.T) {
	s, d := start(t)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const document = `profile: guarded
approvals: {steps: [1 of security-officer]}
keys: {allow: [p256]}
validity: 1y
subject: [{type: serialNumber, from: device.id}]
keyIdentifiers: [subject, authority]
`
	_, err := s.Hierarchy.PublishProfile(t.Context(), s.Permit(t, "acme", access.ManageProfiles), []byte(document))
	ok(err)
	_, err = s.Enroll.CreateEndpoint(t.Context(), s.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Authority: "issuing", Profile: "guarded"})
	ok(err)
	r := meter(t, s, "SM-1")
	r.Endpoint = "guarded"
	r.Grant, err = s.Appoint(t, "acme", "asks", access.FactoryOperator).Authorize(access.Enroll, "acme")
	ok(err)
	decides, err := s.Appoint(t, "acme", "officer", access.SecurityOfficer).Authorize(access.DecideApprovals, "acme")
	ok(err)
	_, err = s.Enroll.Enroll(t.Context(), r)
	w, waits := errors.AsType[*approval.Waiting](err)
	if !waits {
		t.Fatal(err)
	}
	go s.Approvals.Decide(context.Background(), decides, w.Change.ID, approval.Approve, w.Change.Hash, "")
	<-d.dead
	reborn(t, s)
	is := func(want approval.State, certificates int) bool {
		c, err := s.Store.Change(t.Context(), "acme", w.Change.ID)
		ok(err)
		return c.State == want && len(c.Certificates) == certificates && count(t, s) == certificates
	}
	if !is(approval.Approved, 0) {
		t.Fatal("something is issued, or the change is not approved any more")
	}

	again := enroll.New(enroll.Config{Store: s.Store, Directory: s.Hierarchy, CA: alive(t, s, "another"), Registry: s.Registry, Gate: s.Approvals, Keys: s.Keypool, Now: time.Now})
	for range 2 {
		node := approval.New(approval.Config{Store: s.Store, Principals: s.Tokens, Certificates: s.Trust, Alarms: s.Alarms, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		node.Serve(again.Executors())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- node.Run(ctx) }()
		for !is(approval.Executed, 1) {
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		ok(<-ended)
	}
	got, err := again.Enroll(t.Context(), r)
	if err != nil || !got.Repeated || got.Certificate.Device != pki.DeviceID("SM-1") {
		t.Errorf("%+v, %v", got, err)
	}
}
