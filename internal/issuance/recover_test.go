package issuance_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// dying is a store whose process dies after its first commit of intents: the
// intents are stored, and nothing is ever said or done after it. With signed it dies when
// what was signed is to be recorded.
type dying struct {
	issuance.Store
	dead    chan struct{}
	intents []*issuance.Intent
	signed  bool
}

func (d *dying) Commit(ctx context.Context, now time.Time, records, intents []*issuance.Intent) error {
	if d.signed && len(records) > 0 {
		close(d.dead)
		select {} // the process is no more
	}
	if len(intents) == 0 {
		return d.Store.Commit(ctx, now, records, intents)
	}
	if err := d.Store.Commit(ctx, now, records, intents); err != nil {
		return err
	}
	d.intents = intents
	if d.signed {
		return nil
	}
	close(d.dead)
	select {} // the process is no more
}

// reborn runs issuance anew on the stack's store, as after a restart.
func reborn(t *testing.T, s *stack.Stack) {
	t.Helper()
	svc := alive(t, s, "test")
	if err := svc.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// start returns a stack whose issuance dies at its first intent.
func start(t *testing.T) (*stack.Stack, *dying) {
	t.Helper()
	d := &dying{dead: make(chan struct{})}
	s := stack.New(t, stack.Config{Stopped: true, WrapStore: func(st issuance.Store) issuance.Store { d.Store = st; return d }})
	s.AddTenant(t, "acme", "meter")
	go s.Issuance.Run(context.Background())
	return s, d
}

// A single request whose process died gets no certificate: its serial counts as
// revoked, and the same request sent again gets one certificate.
func TestRecoverSingle(t *testing.T) {
	s, d := start(t)
	r := meter(t, s, "SM-1")
	r.Idempotency = "key"
	go s.Enroll.Enroll(context.Background(), r)
	<-d.dead
	lost := d.intents[0]
	reborn(t, s)

	if n := count(t, s); n != 0 {
		t.Errorf("%d certificates of a request that nobody waits for", n)
	}
	status, err := s.Store.Status(t.Context(), lost.Issuer, lost.Items[0].Serial)
	if err != nil || !status.Known || status.Revocation == nil {
		t.Errorf("the void serial: %+v, %v", status, err)
	}
	again := enroll.New(enroll.Config{Store: s.Store, Directory: s.Hierarchy, CA: alive(t, s, "another"), Registry: s.Registry, Gate: s.Approvals, Keys: s.Keypool, Now: time.Now})
	got, err := again.Enroll(t.Context(), r)
	if err != nil || got.Certificate.Serial == lost.Items[0].Serial {
		t.Fatalf("again: %+v, %v", got, err)
	}
}

// A pair whose process died between intent and record is issued whole or not at all:
// here both become void, and the request sent again gets both.
func TestRecoverPair(t *testing.T) {
	s, d := start(t)
	s.AddPair(t, "acme")
	r := meter(t, s, "SM-1")
	r.Endpoint, r.Idempotency = "acme.sign", "key"
	r.Pair = &enroll.Pair{Endpoint: "acme.agree", CSR: meter(t, s, "SM-1").CSR}
	go s.Enroll.Enroll(context.Background(), r)
	<-d.dead
	lost := d.intents[0]
	if len(lost.Items) != 2 {
		t.Fatalf("an intent of %d", len(lost.Items))
	}
	reborn(t, s)
	if n := count(t, s); n != 0 {
		t.Errorf("%d certificates of a request that nobody waits for", n)
	}
	for _, item := range lost.Items {
		status, err := s.Store.Status(t.Context(), lost.Issuer, item.Serial)
		if err != nil || !status.Known || status.Revocation == nil {
			t.Errorf("the void serial: %+v, %v", status, err)
		}
	}
	again := enroll.New(enroll.Config{Store: s.Store, Directory: s.Hierarchy, CA: alive(t, s, "another"), Registry: s.Registry, Gate: s.Approvals, Keys: s.Keypool, Now: time.Now})
	got, err := again.Enroll(t.Context(), r)
	if err != nil || got.Pair == nil || got.Repeated {
		t.Fatalf("again: %+v, %v", got, err)
	}
	if n := count(t, s); n != 2 {
		t.Errorf("%d certificates of a pair", n)
	}
}

// alive returns an issuance service of a node that runs until the test ends.
func alive(t *testing.T, s *stack.Stack, node string) *issuance.Service {
	t.Helper()
	svc, err := issuance.New(t.Context(), issuance.Config{
		Store: s.Store, Signer: s.Signer, Issuers: s.Store, Node: node, Now: time.Now, Alarms: s.Alarms, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return svc
}

// The rows of a running batch are completed from the intent's own bytes; those of
// a paused one become void, and their rows wait for the batch to go on.
func TestRecoverBatch(t *testing.T) {
	for _, paused := range []bool{false, true} {
		t.Run(map[bool]string{false: "running", true: "paused"}[paused], func(t *testing.T) {
			s, d := start(t)
			ctx, stop := context.WithCancel(t.Context())
			go s.Batch.Run(ctx)
			b, err := s.Batch.Submit(t.Context(), s.Permit(t, "acme", access.ManageBatches),
				batch.Submission{Endpoint: "meter", Format: batch.PEM}, pandotest.PEMRequests(t, "SM-", 5))
			if err != nil {
				t.Fatal(err)
			}
			<-d.dead
			stop()
			if paused {
				if _, err := s.Batch.Pause(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID); err != nil {
					t.Fatal(err)
				}
			}
			lost := d.intents[0]
			reborn(t, s)
			var issued int
			for _, item := range lost.Items {
				status, err := s.Store.Status(t.Context(), lost.Issuer, item.Serial)
				if err != nil || (status.Revocation != nil) != paused {
					t.Errorf("status of %s: %+v, %v", item.Serial, status, err)
				}
				c, err := s.Store.Certificate(t.Context(), "acme", lost.Issuer, item.Serial)
				if err != nil {
					continue
				}
				issued++
				if tbs := pandotest.Parse(t, c.DER).RawTBSCertificate; !bytes.Equal(tbs, item.TBS) {
					t.Errorf("row %d was signed with other bytes than were intended", c.Row)
				}
			}
			if want := map[bool]int{false: 5, true: 0}[paused]; issued != want {
				t.Errorf("%d of 5 rows were completed, not %d", issued, want)
			}
			chunks, err := s.Store.PendingChunks(t.Context(), "acme", b.ID, 0, 10)
			if err != nil || (len(chunks) > 0) != paused {
				t.Errorf("%d chunks wait, %v", len(chunks), err)
			}
		})
	}
}

// A chunk of pairs whose process died between intent and record, before or after it
// signed, is completed whole, or where its batch was paused given up whole, so that no
// device has one certificate.
func TestRecoverPairsOfBatch(t *testing.T) {
	for _, c := range []struct {
		name           string
		signed, paused bool
	}{{"intended, running", false, false}, {"intended, paused", false, true}, {"signed, running", true, false}, {"signed, paused", true, true}} {
		paused := c.paused
		t.Run(c.name, func(t *testing.T) {
			s, d := start(t)
			d.signed = c.signed
			s.AddPair(t, "acme")
			ctx, stop := context.WithCancel(t.Context())
			go s.Batch.Run(ctx)
			var file bytes.Buffer
			for i := range 5 {
				fmt.Fprintf(&file, "{\"device\":\"P-%d\",\"csr\":%q,\"pair_csr\":%q}\n", i,
					base64.StdEncoding.EncodeToString(meter(t, s, "").CSR), base64.StdEncoding.EncodeToString(meter(t, s, "").CSR))
			}
			b, err := s.Batch.Submit(t.Context(), s.Permit(t, "acme", access.ManageBatches),
				batch.Submission{Endpoint: "sign", Pair: "agree", Format: batch.NDJSON}, &file)
			if err != nil {
				t.Fatal(err)
			}
			<-d.dead
			stop()
			if paused {
				if _, err := s.Batch.Pause(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID); err != nil {
					t.Fatal(err)
				}
			}
			reborn(t, s)
			issued := make(map[pki.DeviceID][]string)
			for _, item := range d.intents[0].Items {
				c, err := s.Store.Certificate(t.Context(), "acme", d.intents[0].Issuer, item.Serial)
				if err == nil {
					issued[c.Device] = append(issued[c.Device], c.Profile.Name)
				}
			}
			want := make(map[pki.DeviceID][]string)
			for i := range 5 {
				if !paused {
					want[pki.DeviceID(fmt.Sprint("P-", i))] = []string{"sign", "agree"}
				}
			}
			if diff := cmp.Diff(want, issued); diff != "" {
				t.Errorf("certificates by device (-want +got):\n%s", diff)
			}
			if chunks, err := s.Store.PendingChunks(t.Context(), "acme", b.ID, 0, 10); err != nil || (len(chunks) > 0) != paused {
				t.Errorf("%d chunks wait, %v", len(chunks), err)
			}
		})
	}
}

// A key that cannot sign loses nothing: singles are told and become void, the
// batch's rows wait.
func TestKeyFails(t *testing.T) {
	k := &failingKeys{}
	s := stack.New(t, stack.Config{WrapKeys: k.wrap})
	s.AddTenant(t, "acme", "meter")
	k.fail.Store(true)
	r := meter(t, s, "SM-1")
	r.Idempotency = "key"
	if _, err := s.Enroll.Enroll(t.Context(), r); pki.KindOf(err) != pki.Unavailable {
		t.Errorf("with a key that fails: %v", err)
	}
	if n := count(t, s); n != 0 {
		t.Errorf("%d certificates", n)
	}
	v, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	states, err := s.Store.Shards(t.Context(), v.Issuers[0].ID)
	if err != nil || newest(states) == 0 {
		t.Errorf("the intended serial is not revoked: %+v, %v", states, err)
	}
	had := k.failed.Load()
	b, err := s.Batch.Submit(t.Context(), s.Permit(t, "acme", access.ManageBatches),
		batch.Submission{Endpoint: "meter", Format: batch.PEM}, pandotest.PEMRequests(t, "B-", 3))
	if err != nil {
		t.Fatal(err)
	}
	k.fails(had)
	k.fail.Store(false)
	for b, err = range s.Batch.Watch(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if b.State != batch.Done || b.Issued != 3 {
		t.Errorf("once the key signs again: %+v", b)
	}
	if _, err := s.Enroll.Enroll(t.Context(), r); err != nil {
		t.Errorf("the same request again: %v", err)
	}
}

func newest(states []revocation.ShardState) (seq int64) {
	for _, st := range states {
		seq = max(seq, st.Newest)
	}
	return seq
}

// A slow key delays only itself.
func TestSlowKey(t *testing.T) {
	k := &failingKeys{}
	s := stack.New(t, stack.Config{WrapKeys: k.wrap})
	s.AddTenant(t, "acme", "meter")
	s.AddTenant(t, "globex", "meter")
	slow := &slowTenant{"globex", make(chan struct{})}
	k.slow.Store(slow)
	waiting := meter(t, s, "SM-1")
	waiting.Grant, waiting.Endpoint = s.Permit(t, "globex", access.Enroll), "globex.meter"
	ended := make(chan error)
	go func() {
		_, err := s.Enroll.Enroll(context.Background(), waiting)
		ended <- err
	}()
	for i := range 20 {
		if _, err := s.Enroll.Enroll(t.Context(), meter(t, s, fmt.Sprintf("SM-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the slow key's request ended: %v", err)
	default:
	}
	close(slow.release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A panic in a key's driver is a failure like any other: it holds up neither the
// others of the group, nor the same request again, nor the shutdown, and a batch
// does not take the process down.
func TestKeyPanics(t *testing.T) {
	k := &failingKeys{}
	s := stack.New(t, stack.Config{WrapKeys: k.wrap})
	s.AddTenant(t, "acme", "meter")
	k.bang.Store(true)
	var wg sync.WaitGroup
	requests := make([]enroll.Request, 5)
	for i := range requests {
		requests[i] = meter(t, s, fmt.Sprintf("SM-%d", i))
		requests[i].Idempotency = fmt.Sprintf("key %d", i)
		wg.Go(func() {
			if _, err := s.Enroll.Enroll(t.Context(), requests[i]); pki.KindOf(err) != pki.Unavailable {
				t.Errorf("request %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	had := k.failed.Load()
	b, err := s.Batch.Submit(t.Context(), s.Permit(t, "acme", access.ManageBatches),
		batch.Submission{Endpoint: "meter", Format: batch.PEM}, pandotest.PEMRequests(t, "B-", 3))
	if err != nil {
		t.Fatal(err)
	}
	k.fails(had)
	k.bang.Store(false)
	for i, r := range requests {
		if _, err := s.Enroll.Enroll(t.Context(), r); err != nil {
			t.Errorf("request %d again: %v", i, err)
		}
	}
	for b, err = range s.Batch.Watch(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if b.Issued != 3 {
		t.Errorf("batch %+v", b)
	}
}
