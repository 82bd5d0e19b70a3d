package retention_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
)

const day = 24 * time.Hour

// A place is the place of the archives, which can fail.
type place struct {
	retention.Objects
	create, read error
	created      int
	after        func() // Create succeeded
}

func (p *place) Create(ctx context.Context, name string, content []byte, kind string) error {
	if p.create != nil {
		return p.create
	}
	p.created++
	err := p.Objects.Create(ctx, name, content, kind)
	if p.after != nil {
		p.after()
	}
	return err
}

func (p *place) Read(ctx context.Context, name string, limit int64) ([]byte, string, error) {
	if p.read != nil {
		return nil, "", p.read
	}
	return p.Objects.Read(ctx, name, limit)
}

// A plant is a tenant whose certificates expire.
type plant struct {
	*testing.T
	*stack.Stack
	clock *pandotest.Clock
	place *place
	log   *auditlog.Service
	certs []*pki.Certificate
}

// newPlant issues n certificates of devices, one more that stays the last one of the
// store, and lets all but that expire.
func newPlant(t *testing.T, n int) *plant {
	t.Helper()
	return newPlantIn(t, n, "")
}

func newPlantIn(t *testing.T, n int, dir string) *plant {
	t.Helper()
	p := &plant{T: t, clock: pandotest.NewClock(time.Now()), place: new(place)}
	p.Stack = stack.New(t, stack.Config{Dir: dir, Now: p.clock.Now, WrapArchives: func(o retention.Objects) retention.Objects {
		p.place.Objects = o
		return p.place
	}})
	p.AddTenant(t, "acme", "tls-server", "device")
	p.AddTenant(t, "other", "tls-server")
	p.log = p.NewLog(t)
	for i := range n {
		p.certs = append(p.certs, p.issue("tls-server", fmt.Sprintf("a%d.example.com", i)))
	}
	p.issue("device", "last")
	p.anchor()
	p.clock.Advance(p.certs[0].NotAfter.Sub(p.clock.Now()) + 40*day)
	return p
}

func (p *plant) issue(endpoint, name string) *pki.Certificate {
	p.Helper()
	got, err := p.Enroll.Enroll(p.Context(), enroll.Request{Grant: p.Permit(p, "acme", access.Enroll), Endpoint: endpoint, Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{Placement: pki.Placement{ProductLine: "line-1"}, CSR: pandotest.CSR(p, pandotest.Key(p, pki.P256), pkix.Name{CommonName: name}, name)}})
	if err != nil {
		p.Fatal(err)
	}
	return got.Certificate
}

func (p *plant) anchor() {
	p.Helper()
	if err := p.log.Finish(p.Context()); err != nil {
		p.Fatal(err)
	}
}

func (p *plant) set(keep time.Duration) {
	p.Helper()
	if _, err := p.Retention.Set(p.Context(), p.Permit(p, "acme", access.ManageRetention), keep); err != nil {
		p.Fatal(err)
	}
}

func (p *plant) archives() []*retention.Archive {
	p.Helper()
	all, err := p.Retention.Archives(p.Context(), p.Permit(p, "acme", access.ReadEvents), "", 100)
	if err != nil {
		p.Fatal(err)
	}
	return all
}

// inStore returns how many of the certificates that expired are in the store, and
// sees that each that is not is archived, once.
func (p *plant) inStore() int {
	p.Helper()
	n := 0
	for _, c := range p.certs {
		_, err := p.Store.Certificate(p.Context(), "acme", c.Issuer, c.Serial)
		switch {
		case err == nil:
			n++
		case pki.KindOf(err) != pki.NotFound || !strings.Contains(pki.DetailOf(err), "archived"):
			p.Error(err)
		}
	}
	return n
}

// export exports acme's log and verifies it.
func (p *plant) export(since ...string) *audit.Report {
	p.Helper()
	r, err := audit.Verify(bytes.NewReader(p.exported()), audit.VerifyConfig{Since: since})
	if err != nil {
		p.Fatal(err)
	}
	return r
}

func (p *plant) exported() []byte {
	p.Helper()
	p.anchor()
	e, err := p.log.Export(p.Context(), p.Permit(p, "acme", access.ReadEvents), time.Time{}, time.Time{})
	if err != nil {
		p.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.Write(p.Context(), &b); err != nil {
		p.Fatal(err)
	}
	return b.Bytes()
}

// renew has a service without memory.
func (p *plant) renew() {
	p.Retention = retention.New(retention.Config{Store: p.Store, Objects: p.place, Hashes: p.log.Hashes, Requests: p.Batch.Requests, Gate: p.Approvals, Time: p.Issuance.Time,
		Alarms: p.Alarms, Now: p.clock.Now, Log: slog.New(slog.DiscardHandler)})
}

func (p *plant) check() *check.Report {
	p.Helper()
	r, err := check.Run(p.Context(), check.Config{Store: p.Store, Archives: p.Archives, Now: p.clock.Now})
	if err != nil {
		p.Fatal(err)
	}
	return r
}

// sound sees that nothing is lost, and nothing there twice.
func (p *plant) sound(archived int64) {
	p.Helper()
	if r := p.check(); !r.OK() || r.Archived != archived {
		p.Errorf("check: %d archived, want %d; %v", r.Archived, archived, r.Findings)
	}
	if r := p.export(); !r.OK() || r.Archived != archived {
		p.Errorf("export: %d archived, want %d; %v", r.Archived, archived, r.Findings)
	}
}

// TestArchive follows certificates from their end into an archive.
func TestArchive(t *testing.T) {
	p := newPlant(t, 5)
	ctx := t.Context()
	older, _, err := p.log.Checkpoint(ctx, p.Permit(t, "acme", access.ReadEvents))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Revocation.Revoke(ctx, p.Permit(t, "acme", access.Revoke), p.certs[1].Issuer, p.certs[1].Serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Revocation.Revoke(ctx, p.Permit(t, "acme", access.Revoke), p.certs[2].Issuer, p.certs[2].Serial, pki.CertificateHold); err != nil {
		t.Fatal(err)
	}
	p.anchor()

	// For good is the default.
	if err := p.Retention.Round(ctx, "acme"); err != nil || p.inStore() != 5 || len(p.archives()) != 0 {
		t.Fatalf("without a setting: %v", err)
	}
	p.set(50 * day)
	if err := p.Retention.Round(ctx, "acme"); err != nil || p.inStore() != 5 {
		t.Fatalf("too early: %v", err)
	}
	p.set(30 * day)
	events, _, err := p.Hierarchy.Events(ctx, p.Permit(t, "acme", access.ReadEvents), hierarchy.EventFilter{}, "", 10)
	if err != nil || !slices.ContainsFunc(events, func(e pki.Event) bool {
		return e.Action == "retention.change" && strings.Contains(e.Detail, "before 1200h0m0s, after 720h0m0s")
	}) {
		t.Errorf("%+v, %v", events, err)
	}
	due, err := p.Retention.Preview(ctx, p.Permit(t, "acme", access.ManageRetention))
	if err != nil || due.Expired != 5 || due.InOpenLots != 0 || due.Unanchored != 0 {
		t.Errorf("%+v, %v", due, err)
	}
	if err := p.Retention.Round(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if n := p.inStore(); n != 1 { // the one on hold
		t.Errorf("%d are in the store", n)
	}
	all := p.archives()
	if len(all) != 1 || all[0].State != retention.Done || all[0].Removed != 4 || all[0].Manifest.Certificates != 4 {
		t.Fatalf("%+v", all)
	}
	p.sound(4)
	if r := p.export(older); !r.OK() || len(r.Since) != 1 {
		t.Errorf("with an older checkpoint: %v", r.Findings)
	}

	// The status is what it was.
	for i, want := range []bool{false, true, true} {
		st, err := p.Store.Status(ctx, p.certs[i].Issuer, p.certs[i].Serial)
		if err != nil || !st.Known || (st.Revocation != nil) != want || !st.NotAfter.Equal(p.certs[i].NotAfter) {
			t.Errorf("status %d: %+v, %v", i, st, err)
		}
	}
	if st, err := p.Store.Status(ctx, p.certs[0].Issuer, pki.Serial{0x41, 1}); err != nil || st.Known {
		t.Errorf("a serial that was never issued: %+v, %v", st, err)
	}
	// It is not found any more, and who asks for it is told where it is; a stranger
	// is not.
	found, err := p.Registry.Certificates(ctx, p.Permit(t, "acme", access.ReadCertificates), registry.Query{Serial: p.certs[0].Serial.String()}, registry.Paging{Limit: 10})
	if err != nil || len(found.Items) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
	_, err = p.Trace.Trace(ctx, p.Permit(t, "acme", access.ReadCertificates), "", p.certs[0].Serial.String())
	if pki.KindOf(err) != pki.NotFound || !strings.Contains(pki.DetailOf(err), all[0].Manifest.Object) {
		t.Error(err)
	}
	_, err = p.Revocation.Revoke(ctx, p.Permit(t, "acme", access.Revoke), p.certs[0].Issuer, p.certs[0].Serial, pki.Superseded)
	if pki.KindOf(err) != pki.Conflict || !strings.Contains(pki.DetailOf(err), all[0].Manifest.Object) {
		t.Error(err)
	}
	_, err = p.Revocation.Revoke(ctx, p.Permit(t, "other", access.Revoke), p.certs[0].Issuer, p.certs[0].Serial, pki.Superseded)
	if pki.KindOf(err) != pki.NotFound || strings.Contains(pki.DetailOf(err), "archive") {
		t.Error(err)
	}
	_, err = p.Trace.Trace(ctx, p.Permit(t, "other", access.ReadCertificates), "", p.certs[0].Serial.String())
	if pki.KindOf(err) != pki.NotFound || strings.Contains(pki.DetailOf(err), "archive") {
		t.Error(err)
	}
	if _, err := p.Retention.Archive(ctx, p.Permit(t, "other", access.ReadEvents), all[0].ID); pki.KindOf(err) != pki.NotFound {
		t.Error(err)
	}
	// A second round has nothing to do; the next certificate gets a row of its own.
	if err := p.Retention.Round(ctx, "acme"); err != nil || len(p.archives()) != 1 {
		t.Errorf("%v", err)
	}
	p.issue("device", "one-more")
	p.anchor()
	p.sound(4)
}

// TestFailingPlace: where the archive cannot be written, or is not what was written,
// nothing is taken away, and the alarm stands until it is well again.
func TestFailingPlace(t *testing.T) {
	p := newPlant(t, 3)
	p.set(30 * day)
	failed := func(what string) {
		t.Helper()
		if err := p.Retention.Round(t.Context(), "acme"); err == nil || p.inStore() != 3 {
			t.Errorf("%s: %v, %d in the store", what, err, p.inStore())
		}
		if all := p.Alarms.Of("acme"); len(all) != 1 || all[0].Name != "archive.failing" {
			t.Errorf("%s: %+v", what, all)
		}
	}
	p.place.create = errors.New("the disk is full")
	failed("cannot be written")
	p.place.create, p.place.read = nil, pki.Errorf(pki.NotFound, "there is no object")
	failed("is not there")
	p.place.read = nil
	if err := p.Retention.Round(t.Context(), "acme"); err != nil || p.inStore() != 0 || len(p.Alarms.Of("acme")) != 0 {
		t.Errorf("%v, %+v", err, p.Alarms.Of("acme"))
	}
	if all := p.archives(); len(all) != 1 {
		t.Errorf("%d archives", len(all))
	}
	p.sound(3)
}

// TestHeldMeanwhile: a certificate that is put on hold while its archive is written
// stays until the hold is over, and blocks nothing.
func TestHeldMeanwhile(t *testing.T) {
	p := newPlant(t, 3)
	ctx := t.Context()
	p.set(30 * day)
	p.place.after = func() {
		if _, err := p.Revocation.Revoke(ctx, p.Permit(t, "acme", access.Revoke), p.certs[1].Issuer, p.certs[1].Serial, pki.CertificateHold); err != nil {
			t.Error(err)
		}
	}
	if err := p.Retention.Round(ctx, "acme"); err != nil || p.inStore() != 1 {
		t.Fatalf("%v, %d in the store", err, p.inStore())
	}
	if all := p.archives(); len(all) != 1 || all[0].State != retention.Written || all[0].Removed != 2 {
		t.Errorf("%+v", all)
	}
	p.sound(2)
	if _, err := p.Revocation.Release(ctx, p.Permit(t, "acme", access.Revoke), p.certs[1].Issuer, p.certs[1].Serial); err != nil {
		t.Fatal(err)
	}
	if err := p.Retention.Round(ctx, "acme"); err != nil || p.inStore() != 0 || p.archives()[0].State != retention.Done {
		t.Errorf("%v, %d in the store, %+v", err, p.inStore(), p.archives()[0])
	}
	p.sound(3)
}

// large has one certificate's line be longer than an archive takes.
type large struct {
	retention.Store
	serial pki.Serial
}

func (l large) Expired(ctx context.Context, q retention.Search) ([]retention.Entry, error) {
	entries, err := l.Store.Expired(ctx, q)
	for i := range entries {
		if pki.Serial(entries[i].Leaf.Serial) == l.serial {
			entries[i].Request = make([]byte, 800_000) // a MiB in base64
		}
	}
	return entries, err
}

// TestOversized: a certificate that no archive takes stays, with an alarm, and the
// others go.
func TestOversized(t *testing.T) {
	p := newPlant(t, 3)
	p.set(30 * day)
	s := retention.New(retention.Config{Store: large{p.Store, p.certs[1].Serial}, Objects: p.place, Hashes: p.log.Hashes, Requests: p.Batch.Requests, Time: p.Issuance.Time,
		Alarms: p.Alarms, Now: p.clock.Now, Log: slog.New(slog.DiscardHandler)})
	for range 2 {
		if err := s.Round(t.Context(), "acme"); err != nil || p.inStore() != 1 {
			t.Errorf("%v, %d in the store", err, p.inStore())
		}
		if all := p.Alarms.Of("acme"); len(all) != 1 || all[0].Name != "archive.oversized" || !strings.Contains(all[0].What, p.certs[1].Serial.String()) {
			t.Errorf("%+v", all)
		}
	}
	p.sound(2)
	p.renew() // a store as it is
	if err := p.Retention.Round(t.Context(), "acme"); err != nil || p.inStore() != 0 || len(p.Alarms.Of("acme")) != 0 {
		t.Errorf("%v, %d in the store, %+v", err, p.inStore(), p.Alarms.Of("acme"))
	}
	p.sound(3)
}

// TestIndexes: what an authority's indexes have of a certificate goes with it.
func TestIndexes(t *testing.T) {
	p := newPlant(t, 1)
	ctx := t.Context()
	_, err := p.Hierarchy.CreateAuthority(ctx, p.Permit(t, "acme", access.ManageAuthorities), hierarchy.NewAuthority{
		Name: "indexed", CommonName: "Test indexed", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL, Indexes: pki.SearchIndexes(),
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := p.Hierarchy.Request(ctx, p.Permit(t, "acme", access.ManageAuthorities), "indexed")
	if err != nil {
		t.Fatal(err)
	}
	p.Sign(t, "acme", request)
	_, err = p.Enroll.CreateEndpoint(ctx, p.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "indexed", Authority: "indexed", Profile: "tls-server",
		Names: &pki.Names{DNS: []string{"*.example.com"}}})
	if err != nil {
		t.Fatal(err)
	}
	p.certs = append(p.certs, p.issue("indexed", "indexed.example.com"))
	p.issue("device", "next")
	p.anchor()
	if n := p.count("certificate_expiry"); n == 0 {
		t.Fatal("the authority keeps no index")
	}
	p.clock.Advance(130 * day)
	p.set(30 * day)
	if err := p.Retention.Round(ctx, "acme"); err != nil || p.inStore() != 0 {
		t.Fatalf("%v, %d in the store", err, p.inStore())
	}
	for _, table := range []string{"certificate_fingerprint", "certificate_subject", "certificate_expiry"} {
		if n := p.count(table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
}

// TestCheckUnread: where the place of the archives is not to be had, the check has one
// finding, and not one for each entry that it cannot hold against them. What is wrong
// besides is found all the same.
func TestCheckUnread(t *testing.T) {
	p := newPlant(t, 6)
	p.set(30 * day)
	if err := p.Retention.Round(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	p.sound(6)
	p.place.read = pki.Errorf(pki.Unavailable, "the disk is not mounted")
	p.anchor()
	var acknowledged strings.Builder
	for _, c := range p.certs {
		fmt.Fprintf(&acknowledged, "{\"issuer\": %q, \"serial\": %q, \"sha256\": \"%x\"}\n", c.Issuer, c.Serial, sha256.Sum256(c.DER))
	}
	r, err := check.Run(t.Context(), check.Config{Store: p.Store, Archives: p.place, Now: p.clock.Now, Acknowledged: strings.NewReader(acknowledged.String())})
	if err != nil {
		t.Fatal(err)
	}
	if r.Total != 1 || r.Unread != 6 || r.Findings[0].Invariant != check.Archived || !strings.Contains(r.Findings[0].Detail, "1 of 1 cannot be read") ||
		!strings.Contains(r.Findings[0].Detail, "the disk is not mounted") {
		t.Errorf("%d unread: %v", r.Unread, r.Findings)
	}
	acknowledged.WriteString(fmt.Sprintf("{\"issuer\": %q, \"serial\": \"4101\", \"sha256\": \"%x\"}\n", p.certs[0].Issuer, sha256.Sum256(nil)))
	r, err = check.Run(t.Context(), check.Config{Store: p.Store, Archives: p.place, Now: p.clock.Now, Acknowledged: strings.NewReader(acknowledged.String())})
	if err != nil || r.Total != 2 {
		t.Errorf("with one that nobody issued: %v, %v", r, err)
	}
}
