package check_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
)

// run checks s with a list of what was acknowledged, "" for none. Where s has a
// profile, everything is linted again.
func run(t *testing.T, s *fakeStore, acknowledged string) *check.Report {
	t.Helper()
	cfg := check.Config{Store: s, Now: func() time.Time { return s.now }}
	if s.profile != "" {
		cfg.Relint = new(check.Relint)
	}
	if acknowledged != "" {
		cfg.Acknowledged = strings.NewReader(acknowledged)
	}
	report, err := check.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// told is the line of a client that got cert.
func told(cert *pki.Certificate) string {
	return fmt.Sprintf(`{"issuer":%q,"serial":%q,"sha256":"%x"}`+"\n", cert.Issuer, cert.Serial, sha256.Sum256(cert.DER))
}

func TestSoundStore(t *testing.T) {
	s := newFakeStore(t)
	s.act()
	s.profile = "" // which has everything linted again
	s.events[4].Detail = fmt.Sprintf("version 1, sha256 %x", sha256.Sum256(nil))
	got := run(t, s, told(s.certificates[0])+told(s.certificates[4])+`{"issuer":"torn`)
	want := &check.Report{
		Started: s.now, Issuers: 2, Certificates: 5, Intents: 3, OpenIntents: 1, Voids: 1,
		CRLs: 2, CRLEntries: 2, Acknowledged: 2, StatusEntries: 2, Events: 5, Findings: []check.Finding{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if !got.OK() {
		t.Error("a sound store is not OK")
	}
}

// TestEachInvariantIsSeen breaks one thing at a time and sees that finding alone.
func TestEachInvariantIsSeen(t *testing.T) {
	certificate := func(c *pki.Certificate) string { return "certificate issuing/" + c.Serial.String() }
	tests := []struct {
		name      string
		invariant check.Invariant
		// damage breaks the store and returns the subject of the finding, and
		// what is acknowledged.
		damage func(t *testing.T, s *fakeStore) (subject, acknowledged string)
	}{
		{"bytes without their hash", check.Stored, func(t *testing.T, s *fakeStore) (string, string) {
			s.certificates[2].DER = nil
			return certificate(s.certificates[2]), ""
		}},
		{"truncated bytes", check.Parses, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.certificates[2]
			c.DER = c.DER[:len(c.DER)-1]
			return certificate(c), ""
		}},
		{"another profile than its bytes", check.Linted, func(t *testing.T, s *fakeStore) (string, string) {
			s.profile = meterProfile
			s.certificates[2].Profile.Name = "gone"
			return certificate(s.certificates[2]), ""
		}},
		{"column of notAfter", check.Columns, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.certificates[2]
			c.NotAfter = c.NotAfter.Add(time.Second)
			return certificate(c), ""
		}},
		{"column of serial", check.Columns, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.certificates[2]
			c.Serial[19] ^= 1
			return certificate(c), ""
		}},
		{"column of tenant", check.Columns, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.certificates[2]
			c.Tenant = "other"
			return certificate(c), ""
		}},
		{"changed signature", check.Signature, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.certificates[2]
			c.DER[len(c.DER)-1] ^= 1
			return certificate(c), ""
		}},
		{"unknown issuer of a certificate", check.Chain, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.issue(t, s.intents[0].ID, 9)
			c.Issuer = "nobody"
			return "certificate nobody/" + c.Serial.String(), ""
		}},
		{"issuer of another root", check.Chain, func(t *testing.T, s *fakeStore) (string, string) {
			other := pandotest.NewRoot(t, "root", s.now) // same name, other key
			s.root.Certificate = other.Certificate.Raw
			return "issuer issuing", ""
		}},
		{"issuer of another mode", check.Chain, func(t *testing.T, s *fakeStore) (string, string) {
			s.issuer.Mode = pki.Production
			return "issuer issuing", ""
		}},
		{"issuers in a loop", check.Chain, func(t *testing.T, s *fakeStore) (string, string) {
			s.issuer.Parent = "issuing"
			return "issuer issuing", ""
		}},
		{"issuer's column of notAfter", check.Chain, func(t *testing.T, s *fakeStore) (string, string) {
			s.issuer.NotAfter = s.issuer.NotAfter.Add(time.Second)
			return "issuer issuing", ""
		}},
		{"serial number twice", check.SerialUnique, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.issue(t, s.intents[1].ID, 1)
			c.Serial = s.certificates[0].Serial
			s.sign(t, c)
			i := &s.intents[1]
			i.Voided, i.Digest = nil, s.digest(i.ID)
			return certificate(c), ""
		}},
		{"void serial number in a certificate", check.VoidSerial, func(t *testing.T, s *fakeStore) (string, string) {
			i := &s.intents[1]
			i.Voided[0].Serial = s.certificates[1].Serial // which is revoked
			return certificate(s.certificates[1]), ""
		}},
		{"void serial number not revoked", check.VoidRevoked, func(t *testing.T, s *fakeStore) (string, string) {
			s.revocations = s.revocations[:1]
			s.publish(t)
			return "certificate issuing/" + s.intents[1].Voided[0].Serial.String(), ""
		}},
		{"row of a batch twice", check.RowUnique, func(t *testing.T, s *fakeStore) (string, string) {
			s.certificates[3].Row = 2
			return "batch batch", ""
		}},
		{"requests of a batch damaged", check.RequestsKept, func(t *testing.T, s *fakeStore) (string, string) {
			s.requests = []check.KeptRequests{{ID: 1, Batch: "batch"}, {ID: 2, Batch: "batch", Chunk: 1, Damaged: true}}
			return "batch batch", ""
		}},
		{"requests of no batch", check.RequestsKept, func(t *testing.T, s *fakeStore) (string, string) {
			s.requests = []check.KeptRequests{{ID: 1}}
			return "requests 1", ""
		}},
		{"digest of an intent", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			s.intents[0].Digest[0] ^= 1
			return "intent " + string(s.intents[0].ID), ""
		}},
		{"certificate signed anew", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			s.sign(t, s.certificates[2]) // another key
			return "intent " + string(s.intents[0].ID), ""
		}},
		{"places exchanged", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			s.certificates[0].Place, s.certificates[1].Place = 1, 0
			return "intent " + string(s.intents[0].ID), ""
		}},
		{"one more than intended", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			s.issue(t, s.intents[0].ID, 4)
			return "intent " + string(s.intents[0].ID), ""
		}},
		{"certificate of an open intent", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			s.issue(t, s.intents[2].ID, 0)
			return "intent " + string(s.intents[2].ID), ""
		}},
		{"certificate of a void intent", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			s.intents[0].State = check.IntentVoid
			return "intent " + string(s.intents[0].ID), ""
		}},
		{"certificates without an intent", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			id := s.intents[0].ID
			s.intents = s.intents[1:]
			return "intent " + string(id), ""
		}},
		{"certificate of no intent", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.issue(t, "", 0)
			return certificate(c), ""
		}},
		{"intent of another issuer", check.Intended, func(t *testing.T, s *fakeStore) (string, string) {
			s.intents[0].Issuer = "root"
			return "intent " + string(s.intents[0].ID), ""
		}},
		{"lost certificate", check.IntentComplete, func(t *testing.T, s *fakeStore) (string, string) {
			s.certificates = slices.Delete(s.certificates, 2, 3)
			return "intent " + string(s.intents[0].ID), ""
		}},
		{"lost last certificate", check.IntentComplete, func(t *testing.T, s *fakeStore) (string, string) {
			s.certificates = slices.Delete(s.certificates, 3, 4)
			return "intent " + string(s.intents[0].ID), ""
		}},
		{"CRL that is not there", check.CRLSound, func(t *testing.T, s *fakeStore) (string, string) {
			s.crls[1].DER = nil
			return "crl issuing/1", ""
		}},
		{"CRL with a changed signature", check.CRLSound, func(t *testing.T, s *fakeStore) (string, string) {
			der := s.crls[1].DER
			der[len(der)-1] ^= 1
			return "crl issuing/1", ""
		}},
		{"CRL of another number", check.CRLSound, func(t *testing.T, s *fakeStore) (string, string) {
			s.crls[0].Number++
			return "crl issuing/0", ""
		}},
		{"CRL of other times", check.CRLSound, func(t *testing.T, s *fakeStore) (string, string) {
			s.crls[0].NextUpdate = s.crls[0].NextUpdate.Add(time.Hour)
			return "crl issuing/0", ""
		}},
		{"CRL with another count", check.CRLSound, func(t *testing.T, s *fakeStore) (string, string) {
			s.crls[0].Entries++
			return "crl issuing/0", ""
		}},
		{"CRL for another place", check.CRLSound, func(t *testing.T, s *fakeStore) (string, string) {
			s.issuer.StatusURL = "http://elsewhere.test"
			s.crls = s.crls[:1]
			return "crl issuing/0", ""
		}},
		{"revocation that the CRL lacks", check.CRLComplete, func(t *testing.T, s *fakeStore) (string, string) {
			revoked := s.revocations
			s.revocations = []pki.Revocation{revoked[1]}
			s.publish(t)
			s.revocations = revoked
			s.crls[0].Covers, s.crls[1].Covers = 2, 2
			return certificate(s.certificates[1]), ""
		}},
		{"entry without a revocation", check.CRLTrue, func(t *testing.T, s *fakeStore) (string, string) {
			c := s.certificates[0]
			s.crls[0] = s.crl(t, 0, append(s.entries(0), x509.RevocationListEntry{
				SerialNumber: new(big.Int).SetBytes(c.Serial[:]), RevocationTime: s.now}))
			return certificate(c), ""
		}},
		{"entry with another reason", check.CRLTrue, func(t *testing.T, s *fakeStore) (string, string) {
			s.revocations[0].Reason = pki.Superseded
			return certificate(s.certificates[1]), ""
		}},
		{"acknowledged and lost", check.Acknowledged, func(t *testing.T, s *fakeStore) (string, string) {
			lost := *s.certificates[0]
			lost.Serial = pki.NewSerial(pki.SerialLong, s.now)
			return certificate(&lost), told(&lost)
		}},
		{"acknowledged with other bytes", check.Acknowledged, func(t *testing.T, s *fakeStore) (string, string) {
			other := *s.certificates[0]
			s.sign(t, &other)
			return certificate(&other), told(&other)
		}},
		{"acknowledged by an unknown issuer", check.Acknowledged, func(t *testing.T, s *fakeStore) (string, string) {
			other := *s.certificates[0]
			other.Issuer = "nobody"
			return "certificate nobody/" + other.Serial.String(), told(&other)
		}},
		{"checkpoint that nobody signed", check.Logged, func(t *testing.T, s *fakeStore) (string, string) {
			s.logs = []*auditlog.Log{{Tenant: "demo", Root: sha256.Sum256(nil), Checkpoint: "checkpoint", Key: "key"}}
			return "log of tenant demo", ""
		}},
		{"archive that cannot be looked at", check.Archived, func(t *testing.T, s *fakeStore) (string, string) {
			s.archives = []*retention.Archive{{ID: "a", Tenant: "demo", State: retention.Done}}
			return "archives", ""
		}},
		{"quota that was not counted", check.QuotaExact, func(t *testing.T, s *fakeStore) (string, string) {
			n := int64(len(s.certificates))
			s.quotas = []*quota.Quota{
				{Tenant: "demo", Target: quota.Target{Kind: quota.Tenant}, Limit: 9, Used: n},
				{Tenant: "demo", Target: quota.Target{Kind: quota.Profile, Name: "meter"}, Limit: 9, Used: n - 1}}
			return "quota profile:meter of demo", ""
		}},
		{"certificate past the log", check.LogComplete, func(t *testing.T, s *fakeStore) (string, string) {
			s.unlogged = 1
			return "logs", ""
		}},
		{"revocation past the log", check.LogComplete, func(t *testing.T, s *fakeStore) (string, string) {
			s.waiting = s.leaves()
			s.revoke(s.certificates[0].Serial, pki.KeyCompromise)
			return certificate(s.certificates[0]), ""
		}},
		{"revocation twice", check.StatusOrder, func(t *testing.T, s *fakeStore) (string, string) {
			s.revoke(s.certificates[1].Serial, pki.KeyCompromise)
			s.revocations[2].N = 1
			return certificate(s.certificates[1]), ""
		}},
		{"revocation of an issuer that is missing", check.LogComplete, func(t *testing.T, s *fakeStore) (string, string) {
			s.waiting = s.leaves()
			s.revoke(s.certificates[0].Serial, pki.KeyCompromise)
			s.revocations[2].Issuer = ""
			return "certificate /" + s.certificates[0].Serial.String(), ""
		}},
		{"revocation edited while it waits", check.LogComplete, func(t *testing.T, s *fakeStore) (string, string) {
			s.waiting = s.leaves()
			s.revocations[0].NotAfter = s.now
			return certificate(s.certificates[1]), ""
		}},
		{"event past the log", check.LogComplete, func(t *testing.T, s *fakeStore) (string, string) {
			s.waiting = s.leaves()
			s.events = append(s.events, pki.Event{ID: "02", Tenant: "demo", At: s.now, Actor: "token:1 (Ada)", Action: "certificate.issue"})
			return "event 02 of demo", ""
		}},
		{"event of another tenant's", check.LogComplete, func(t *testing.T, s *fakeStore) (string, string) {
			s.waiting = s.leaves()
			e := s.events[0]
			e.Tenant = "other"
			s.events = append(s.events, e)
			return "event 01 of other", ""
		}},
		{"event that waits is gone", check.Logged, func(t *testing.T, s *fakeStore) (string, string) {
			s.waiting = s.leaves()
			s.events = nil
			return "log of tenant demo", ""
		}},
		{"release of what is revoked for good", check.StatusOrder, func(t *testing.T, s *fakeStore) (string, string) {
			s.revoke(s.certificates[1].Serial, pki.RemoveFromCRL)
			s.crls = nil // it is still in
			return certificate(s.certificates[1]), ""
		}},
		{"hold of what is revoked for good", check.StatusOrder, func(t *testing.T, s *fakeStore) (string, string) {
			s.revoke(s.certificates[1].Serial, pki.CertificateHold)
			s.crls = nil // it has another reason
			return certificate(s.certificates[1]), ""
		}},
		{"release of what was not on hold", check.StatusOrder, func(t *testing.T, s *fakeStore) (string, string) {
			s.revoke(s.certificates[0].Serial, pki.RemoveFromCRL)
			return certificate(s.certificates[0]), ""
		}},
		{"release twice", check.StatusOrder, func(t *testing.T, s *fakeStore) (string, string) {
			for _, reason := range []pki.Reason{pki.CertificateHold, pki.RemoveFromCRL, pki.RemoveFromCRL} {
				s.revoke(s.certificates[0].Serial, reason)
			}
			return certificate(s.certificates[0]), ""
		}},
		{"closed lot that is open", check.Acted, func(t *testing.T, s *fakeStore) (string, string) {
			s.act()
			s.lot.State = registry.LotOpen
			return "lot:LOT-1 of demo", ""
		}},
		{"how a lot was closed gone", check.Acted, func(t *testing.T, s *fakeStore) (string, string) {
			s.act()
			s.events = s.events[:2] // before its report
			s.closing.Actor = ""
			return "lot:LOT-1 of demo", ""
		}},
		{"report of a lot gone", check.Acted, func(t *testing.T, s *fakeStore) (string, string) {
			s.act()
			s.closing.Report = ""
			return "lot:LOT-1 of demo", ""
		}},
		{"report of a lot edited", check.Acted, func(t *testing.T, s *fakeStore) (string, string) {
			s.act()
			s.closing.Report = "another"
			return "lot:LOT-1 of demo", ""
		}},
		{"decommissioned device that is active", check.Acted, func(t *testing.T, s *fakeStore) (string, string) {
			s.act()
			s.device = registry.Active
			return "device:SM-1 of demo", ""
		}},
		{"decommissioned device gone", check.Acted, func(t *testing.T, s *fakeStore) (string, string) {
			s.act()
			s.device = ""
			return "device:SM-1 of demo", ""
		}},
		{"profile that was published edited", check.Acted, func(t *testing.T, s *fakeStore) (string, string) {
			s.act()
			s.profile += "\n"
			return "profile:meter of demo", ""
		}},
		{"version of a profile gone", check.Acted, func(t *testing.T, s *fakeStore) (string, string) {
			s.act()
			s.events[4].Target = "profile:gone"
			return "profile:gone of demo", ""
		}},
		{"gap in the entries of a certificate", check.StatusOrder, func(t *testing.T, s *fakeStore) (string, string) {
			s.revocations[0].N = 2
			return certificate(s.certificates[1]), ""
		}},
		{"entry in the shard of others", check.StatusOrder, func(t *testing.T, s *fakeStore) (string, string) {
			s.revoke(s.certificates[0].Serial, pki.CertificateHold)
			s.revocations[2].Shard = 1 - s.revocations[2].Shard
			return certificate(s.certificates[0]), ""
		}},
	}
	covered := make(map[check.Invariant]bool)
	for _, test := range tests {
		covered[test.invariant] = true
		t.Run(test.name, func(t *testing.T) {
			s := newFakeStore(t)
			subject, acknowledged := test.damage(t, s)
			type seen struct {
				Invariant check.Invariant
				Subject   string
			}
			var got []seen
			for _, f := range run(t, s, acknowledged).Findings {
				t.Log(f)
				got = append(got, seen{f.Invariant, f.Subject})
			}
			if diff := cmp.Diff([]seen{{test.invariant, subject}}, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
	for _, rule := range check.Rules() {
		if !covered[rule.Invariant] {
			t.Errorf("invariant %s has no test that breaks it", rule.Invariant)
		}
	}
}

func TestRevocationAfterTheCRLIsDue(t *testing.T) {
	s := newFakeStore(t)
	s.revoke(s.certificates[0].Serial, pki.Superseded)
	if got := run(t, s, ""); !got.OK() || got.ShardsDue != 1 {
		t.Errorf("got %d shards due and findings %v, want 1 and none", got.ShardsDue, got.Findings)
	}
}

func TestExpiredRevocationMayLeaveTheCRL(t *testing.T) {
	s := newFakeStore(t)
	s.revocations[0].NotAfter = s.now.Add(-time.Second)
	if got := run(t, s, ""); !got.OK() {
		t.Errorf("with the entry: %v", got.Findings)
	}
	all := s.revocations
	s.revocations = s.revocations[1:]
	s.publish(t)
	s.revocations = all
	s.crls[0].Covers, s.crls[1].Covers = 2, 2
	if got := run(t, s, ""); !got.OK() {
		t.Errorf("without the entry: %v", got.Findings)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	s := newFakeStore(t)
	s.intents = nil
	for range check.MaxFindings + 10 {
		s.issue(t, pki.IntentID(pki.NewID(s.now)), 0)
	}
	got := run(t, s, "")
	if len(got.Findings) != check.MaxFindings || got.Total != check.MaxFindings+12 {
		t.Errorf("got %d findings of %d, want %d of %d", len(got.Findings), got.Total, check.MaxFindings, check.MaxFindings+12)
	}
}

func TestManyPages(t *testing.T) {
	s := newFakeStore(t)
	// Certificates of one row and serial each, found three pages on.
	one := s.certificates[4]
	for range 2*1000 + 10 {
		s.certificates = append(s.certificates, one)
	}
	got := run(t, s, "")
	if got.Certificates != 2*1000+15 || got.OK() {
		t.Errorf("got %d certificates, findings %v", got.Certificates, got.Findings)
	}
}

func TestUnreadableAcknowledgements(t *testing.T) {
	s := newFakeStore(t)
	for _, list := range []string{
		"garbage\n",
		`{"issuer":"a","serial":"01","sha256":"00"}` + "\n",
		`{"issuer":"a","serial":"xx","sha256":"` + strings.Repeat("0", 64) + `"}` + "\n",
		`{"issuer":"a","issuer":"b","serial":"01","sha256":"` + strings.Repeat("0", 64) + `"}` + "\n",
		strings.Repeat(" ", 1025),
	} {
		_, err := check.Run(t.Context(), check.Config{Store: s, Now: time.Now, Acknowledged: strings.NewReader(list)})
		if pki.KindOf(err) != pki.Malformed {
			t.Errorf("%.40q: got %v, want Malformed", list, err)
		}
	}
}

func TestReportIsJSON(t *testing.T) {
	r := &check.Report{Total: 1, Findings: []check.Finding{{Invariant: check.Signature, Subject: "certificate a/01", Detail: "it is wrong"}}}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"total_findings":1,"findings":[{"invariant":"signature","subject":"certificate a/01","detail":"it is wrong"}]`; !bytes.Contains(text, []byte(want)) {
		t.Errorf("got %s, want it to have %s", text, want)
	}
}

func TestErrorsEndTheCheck(t *testing.T) {
	s := &brokenStore{fakeStore: newFakeStore(t)}
	if _, err := check.Run(t.Context(), check.Config{Store: s, Now: time.Now}); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the store's error", err)
	}
}
