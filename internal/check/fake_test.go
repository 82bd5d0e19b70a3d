package check_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/revocation"
)

// fakeStore is a small sound store that a test breaks in one place.
type fakeStore struct {
	root, issuer *pki.Issuer
	ca           *pandotest.CA // of issuer
	certificates []*pki.Certificate
	intents      []check.IntentRecord
	revocations  []pki.Revocation // sequence number is index + 1
	crls         []*revocation.CRL
	before       *revocation.CRL   // of shard 0: the full CRL before the latest
	deltas       []*revocation.CRL // at most one of a shard
	now          time.Time
	logs         []*auditlog.Log
	unlogged     int // certificates that neither wait nor are in a log
	archives     []*retention.Archive
	profile      string // document of meter
	quotas       []*quota.Quota
	requests     []check.KeptRequests
	events       []pki.Event // row number is index + 1, as of a revocation
	waiting      []tlog.Hash // nil is what the events and revocations say
	lot          registry.Lot
	closing      lotreport.Closing
	device       registry.State
}

func (s *fakeStore) Lot(context.Context, pki.TenantID, string) (*registry.Lot, error) {
	return &s.lot, nil
}

func (s *fakeStore) Closing(context.Context, pki.TenantID, string) (*lotreport.Closing, error) {
	if s.closing.Actor == "" {
		return nil, pki.Errorf(pki.NotFound, "no closed lot")
	}
	return &s.closing, nil
}

func (s *fakeStore) DeviceState(context.Context, pki.TenantID, pki.DeviceID) (registry.State, error) {
	return s.device, nil
}

// act has closed a lot and made its report, decommissioned a device and published a
// version of the profile.
func (s *fakeStore) act() {
	s.lot.State, s.closing, s.device, s.profile = registry.LotClosed, lotreport.Closing{Actor: "token:1 (Ada)", Report: "report"}, registry.Decommissioned, meterProfile
	for n, e := range []pki.Event{
		{Action: "lot.close", Target: "lot:LOT-1", Detail: "scrapped without a certificate: 0"},
		{Action: "lot.report", Target: "lot:LOT-1", Detail: fmt.Sprintf("ordered 1, sha256 %x", sha256.Sum256([]byte("report")))},
		{Action: "device.decommission", Target: "device:SM-1", Detail: "active to decommissioned: broken"},
		{Action: "profile.publish", Target: "profile:meter", Detail: fmt.Sprintf("version 1, sha256 %x (approved: change 1)", sha256.Sum256([]byte(s.profile)))},
	} {
		e.ID, e.Tenant, e.At, e.Actor = fmt.Sprint("act-", n), "demo", s.now, "token:1 (Ada)"
		s.events = append(s.events, e)
	}
}

func (s *fakeStore) ScanEntries(_ context.Context, from int64, limit int) (rows []check.EntryRow, err error) {
	for n, r := range s.revocations {
		if row := int64(n + 1); row >= from && len(rows) < limit {
			rows = append(rows, check.EntryRow{Row: row, Revocation: r})
		}
	}
	return rows, nil
}

func (s *fakeStore) ScanEvents(_ context.Context, from int64, limit int) (rows []check.EventRow, err error) {
	for n, e := range s.events {
		if row := int64(n + 1); row >= from && len(rows) < limit {
			rows = append(rows, check.EventRow{Row: row, Event: e})
		}
	}
	return rows, nil
}

func (s *fakeStore) ScanWaiting(_ context.Context, from int64, _ int) ([]check.WaitingLeaves, error) {
	if from > 1 {
		return nil, nil
	}
	all := s.leaves()
	if s.waiting == nil {
		s.waiting = all
	}
	rows := slices.Clone(s.waiting)
	for n := range rows {
		if !slices.Contains(all, rows[n]) {
			rows[n] = tlog.Hash{}
		}
	}
	return []check.WaitingLeaves{{ID: 1, Tenant: "demo", Hashes: s.waiting, Rows: rows}}, nil
}

// leaves returns those of what there is.
func (s *fakeStore) leaves() (all []tlog.Hash) {
	for i := range s.revocations {
		leaf := audit.OfRevocation(&s.revocations[i])
		all = append(all, (&audit.Leaf{Revocation: &leaf}).Hash())
	}
	for i := range s.events {
		leaf := audit.OfEvent(&s.events[i])
		all = append(all, (&audit.Leaf{Event: &leaf}).Hash())
	}
	return all
}

func (s *fakeStore) ScanCertificates(_ context.Context, after int64, limit int) ([]*pki.Certificate, int64, error) {
	after = max(after, 0)
	rest := s.certificates[after:]
	rest = rest[:min(limit, len(rest))]
	return rest, after + int64(len(rest)), nil
}

func (s *fakeStore) ScanIntents(_ context.Context, after pki.IntentID, limit int) ([]check.IntentRecord, error) {
	var page []check.IntentRecord
	for _, i := range s.intents {
		if i.ID > after && len(page) < limit {
			page = append(page, i)
		}
	}
	return page, nil
}

func (s *fakeStore) Profile(_ context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error) {
	if ref.Name != "meter" {
		return nil, pki.Errorf(pki.NotFound, "there is no profile %s", ref.Name)
	}
	return &pki.ProfileVersion{ProfileRef: ref, Source: s.profile, Hash: sha256.Sum256([]byte(s.profile))}, nil
}

func (s *fakeStore) AllIssuers(context.Context) ([]*pki.Issuer, error) {
	return []*pki.Issuer{s.root, s.issuer}, nil
}

// The fake has no logs: every certificate waits for its place. What is found in a
// log is shown over a real store.
func (s *fakeStore) Logs(context.Context) ([]*auditlog.Log, error) { return s.logs, nil }

func (s *fakeStore) AllArchives(_ context.Context, after retention.ID, _ int) ([]*retention.Archive, error) {
	if after != "" {
		return nil, nil
	}
	return s.archives, nil
}

func (s *fakeStore) ScanArchived(context.Context, retention.ID, int64, int) ([]check.Stub, error) {
	return nil, nil
}

func (s *fakeStore) ScanRequests(_ context.Context, after int64, _ int) ([]check.KeptRequests, error) {
	return s.requests[max(after, 0):], nil
}

func (s *fakeStore) ScanStray(context.Context, int64, int) ([]check.Stub, error) { return nil, nil }

func (s *fakeStore) AllQuotas(context.Context) ([]*quota.Quota, error) { return s.quotas, nil }

func (s *fakeStore) QuotaHeld(context.Context, *quota.Quota) (int64, error) {
	return int64(len(s.certificates)), nil
}

func (s *fakeStore) Backlog(context.Context) ([]auditlog.Backlog, error) {
	return []auditlog.Backlog{{Leaves: int64(len(s.archives)), Certificates: int64(len(s.certificates) - s.unlogged)}}, nil
}

func (s *fakeStore) Leaves(context.Context, pki.TenantID, int64, int) ([]*audit.Leaf, error) {
	return nil, nil
}

func (s *fakeStore) Tiles(context.Context, pki.TenantID, []tlog.Tile) ([][]byte, error) {
	return nil, nil
}

func (s *fakeStore) Status(_ context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	var status revocation.Status
	for n := range s.revocations {
		if r := &s.revocations[n]; r.Issuer == issuer && r.Serial == serial {
			if status = (revocation.Status{Known: true}); r.Reason != pki.RemoveFromCRL {
				status.Revocation = r
			}
		}
	}
	return status, nil
}

func (s *fakeStore) Shards(_ context.Context, issuer pki.IssuerID) ([]revocation.ShardState, error) {
	var states []revocation.ShardState
	for _, l := range s.crls {
		if l.Issuer == issuer {
			st := revocation.ShardState{Shard: l.Shard, Edition: revocation.Edition{Covers: l.Covers, Number: l.Number, ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate}}
			for n, r := range s.revocations {
				if r.Shard == l.Shard {
					st.Newest = int64(n + 1)
				}
			}
			if s.before != nil && l.Shard == 0 {
				st.Before = revocation.Edition{Covers: s.before.Covers, Number: s.before.Number}
			}
			for _, d := range s.deltas {
				if d.Shard == l.Shard {
					st.Delta = revocation.Edition{Covers: d.Covers, Number: d.Number, ThisUpdate: d.ThisUpdate, NextUpdate: d.NextUpdate}
				}
			}
			states = append(states, st)
		}
	}
	return states, nil
}

func (s *fakeStore) Revoked(_ context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, span revocation.Span, limit int) ([]pki.Revocation, error) {
	var page []pki.Revocation
	for n, r := range s.revocations {
		later := func(l pki.Revocation) bool { return l.Serial == r.Serial }
		if n < int(upto) && slices.ContainsFunc(s.revocations[n+1:upto], later) || r.Reason == pki.RemoveFromCRL {
			continue
		}
		if r.Issuer == issuer && r.Shard == shard && int64(n+1) <= upto && r.NotAfter.After(now) && bytes.Compare(r.Serial[:], span.After[:]) > 0 {
			page = append(page, r)
		}
	}
	slices.SortFunc(page, func(a, b pki.Revocation) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
	return page[:min(limit, len(page))], nil
}

func (s *fakeStore) CRL(_ context.Context, list revocation.List) (*revocation.CRL, error) {
	for _, l := range slices.Concat(s.crls, s.deltas) {
		if l.List == list && l.DER != nil {
			return l, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "no CRL")
}

// newFakeStore makes a root, an issuer with two shards, an intent of four
// certificates of a batch (the second of which is revoked), one of two places of
// which the second is void, an open one, and a CRL of each shard.
func newFakeStore(t testing.TB) *fakeStore {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	root := pandotest.NewRoot(t, "root", now)
	s := &fakeStore{ca: root.NewIssuing(t, "issuing", now), now: now}
	record := func(id, parent pki.IssuerID, cert *x509.Certificate, shards int) *pki.Issuer {
		return &pki.Issuer{ID: id, Parent: parent, Tenant: "demo", Mode: pki.Test, Certificate: cert.Raw,
			StatusURL: "http://pki.test", Shards: shards, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}
	}
	s.root = record("root", "root", root.Certificate, 1)
	s.issuer = record("issuing", "root", s.ca.Certificate, 2)

	first, second, open := pki.IntentID(pki.NewID(now)), pki.IntentID(pki.NewID(now.Add(time.Second))), pki.IntentID(pki.NewID(now.Add(2*time.Second)))
	for place := range 4 {
		cert := s.issue(t, first, place)
		cert.Batch, cert.Row = "batch", int64(place+1)
	}
	s.issue(t, second, 0)
	void := check.VoidedItem{Place: 1, Serial: pki.NewSerial(pki.SerialLong, now), TBSHash: sha256.Sum256([]byte("void"))}
	s.intents = []check.IntentRecord{
		{ID: first, Issuer: "issuing", State: check.IntentClosed, Count: 4, Digest: s.digest(first)},
		{ID: second, Issuer: "issuing", State: check.IntentClosed, Count: 2, Digest: s.digest(second, void), Voided: []check.VoidedItem{void}},
		{ID: open, Issuer: "issuing", State: check.IntentOpen, Count: 7},
	}
	s.events = []pki.Event{{ID: "01", Tenant: "demo", At: now, Actor: "token:1 (Ada)", Action: "certificate.revoke", Target: "certificate:1"}}
	s.revoke(s.certificates[1].Serial, pki.KeyCompromise)
	s.revoke(void.Serial, pki.Unspecified)
	s.publish(t)
	return s
}

// issue adds a certificate.
func (s *fakeStore) issue(t testing.TB, intent pki.IntentID, place int) *pki.Certificate {
	t.Helper()
	cert := &pki.Certificate{
		Issuer: "issuing", Serial: pki.NewSerial(pki.SerialLong, s.now), Tenant: "demo", Owner: "demo",
		Profile: pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 1}, Intent: intent, Place: place,
		NotBefore: s.now, NotAfter: s.now.AddDate(10, 0, 0).Add(-time.Second), Issued: s.now,
	}
	s.sign(t, cert)
	s.certificates = append(s.certificates, cert)
	return cert
}

// sign makes the certificate's bytes as its columns say.
func (s *fakeStore) sign(t testing.TB, cert *pki.Certificate) {
	t.Helper()
	cert.DER = s.ca.Sign(t, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(cert.Serial[:]),
		Subject:      pkix.Name{SerialNumber: "SM-000001"},
		NotBefore:    cert.NotBefore, NotAfter: cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}, pandotest.Key(t, pki.P256).Public())
}

// digest computes an intent's digest from its certificates and the voids after them.
func (s *fakeStore) digest(intent pki.IntentID, voids ...check.VoidedItem) [32]byte {
	h := sha256.New()
	for _, cert := range s.certificates {
		if cert.Intent == intent {
			parsed, _ := x509.ParseCertificate(cert.DER)
			sum := sha256.Sum256(parsed.RawTBSCertificate)
			h.Write(sum[:])
		}
	}
	for _, v := range voids {
		h.Write(v.TBSHash[:])
	}
	return [32]byte(h.Sum(nil))
}

// revoke adds a revocation entry.
func (s *fakeStore) revoke(serial pki.Serial, reason pki.Reason) {
	n := 1
	for _, r := range s.revocations {
		if r.Serial == serial {
			n++
		}
	}
	s.revocations = append(s.revocations, pki.Revocation{
		Issuer: "issuing", Serial: serial, N: n, Reason: reason, At: s.now.Add(500 * time.Millisecond),
		Shard: serial.Shard(s.issuer.Shards), NotAfter: s.now.AddDate(10, 0, 0).Add(-time.Second),
	})
}

// publish makes a CRL of each shard of the revocations there are.
func (s *fakeStore) publish(t testing.TB) {
	t.Helper()
	s.crls = nil
	for shard := range s.issuer.Shards {
		s.crls = append(s.crls, s.crl(t, shard, s.entries(shard)))
	}
}

// entries returns what the CRL of a shard should have.
func (s *fakeStore) entries(shard int) []x509.RevocationListEntry {
	var entries []x509.RevocationListEntry
	for _, r := range s.revocations {
		if r.Shard == shard {
			entries = append(entries, x509.RevocationListEntry{
				SerialNumber: new(big.Int).SetBytes(r.Serial[:]), RevocationTime: r.At, ReasonCode: int(r.Reason)})
		}
	}
	return entries
}

// crl signs a CRL with crypto/x509.
func (s *fakeStore) crl(t testing.TB, shard int, entries []x509.RevocationListEntry) *revocation.CRL {
	t.Helper()
	l := &revocation.CRL{
		List: revocation.List{Issuer: "issuing", Shard: shard}, Number: int64(3 + shard), Covers: int64(len(s.revocations)), Entries: int64(len(entries)),
		ThisUpdate: s.now, NextUpdate: s.now.AddDate(0, 0, 1),
	}
	s.signCRL(t, l, entries)
	return l
}

// signCRL signs a CRL as its record says.
func (s *fakeStore) signCRL(t testing.TB, l *revocation.CRL, entries []x509.RevocationListEntry) {
	t.Helper()
	extensions := []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true,
		Value: distributionPoint("http://pki.test/crl/issuing/" + string(rune('0'+l.Shard)) + ".crl")}}
	if l.Delta {
		var b cryptobyte.Builder
		b.AddASN1Int64(l.Base)
		extensions = append(extensions, pkix.Extension{Id: []int{2, 5, 29, 27}, Critical: true, Value: b.BytesOrPanic()})
	}
	var err error
	l.DER, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(l.Number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, RevokedCertificateEntries: entries,
		ExtraExtensions: extensions,
	}, s.ca.Certificate, s.ca.Key)
	if err != nil {
		t.Fatal(err)
	}
}

// distributionPoint encodes an IssuingDistributionPoint of one URL.
func distributionPoint(url string) []byte {
	var b cryptobyte.Builder
	explicit := asn1.Tag(0).ContextSpecific().Constructed()
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1(explicit, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
			})
		})
	})
	return b.BytesOrPanic()
}

var errBroken = errors.New("the disk is gone")

// brokenStore cannot read its second page of certificates.
type brokenStore struct{ *fakeStore }

func (s *brokenStore) ScanCertificates(ctx context.Context, after int64, limit int) ([]*pki.Certificate, int64, error) {
	if after > 0 {
		return nil, 0, errBroken
	}
	return s.fakeStore.ScanCertificates(ctx, after, limit)
}
