package check_test

import (
	"crypto/x509"
	"math/big"
	"slices"
	"testing"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// newDeltaStore has one shard, with a full CRL before the latest (number 2), the
// latest (3) and a delta (5) to the one before: since that, one certificate was put on
// hold, and after the latest it was released and another one revoked.
func newDeltaStore(t *testing.T) *fakeStore {
	s := newFakeStore(t)
	s.issuer.Shards, s.issuer.Deltas = 1, true
	for n := range s.revocations {
		s.revocations[n].Shard = 0
	}
	s.before = &revocation.CRL{Number: 2, Covers: int64(len(s.revocations))}
	s.revoke(s.certificates[2].Serial, pki.CertificateHold)
	s.publish(t)
	s.revoke(s.certificates[2].Serial, pki.RemoveFromCRL)
	s.revoke(s.certificates[3].Serial, pki.Superseded)
	s.putDelta(t, 2, 5, s.changes()...)
	return s
}

// changes is what the delta must have.
func (s *fakeStore) changes() (entries []x509.RevocationListEntry) {
	for _, r := range s.revocations[len(s.revocations)-2:] {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(r.Serial[:]), RevocationTime: r.At, ReasonCode: int(r.Reason)})
	}
	return entries
}

func (s *fakeStore) putDelta(t *testing.T, base, number int64, entries ...x509.RevocationListEntry) {
	l := &revocation.CRL{List: revocation.List{Issuer: "issuing", Delta: true}, Number: number, Base: base, Covers: int64(len(s.revocations)),
		Entries: int64(len(entries)), ThisUpdate: s.now, NextUpdate: s.now.AddDate(0, 0, 1)}
	s.signCRL(t, l, entries)
	s.deltas = []*revocation.CRL{l}
}

func TestSoundDelta(t *testing.T) {
	s := newDeltaStore(t)
	if got := run(t, s, ""); !got.OK() || got.CRLs != 2 || got.ShardsDue != 0 {
		t.Errorf("%d CRLs, %d shards due, findings %v", got.CRLs, got.ShardsDue, got.Findings)
	}
	s.putDelta(t, 3, 5, s.changes()...)
	if got := run(t, s, ""); !got.OK() {
		t.Errorf("a delta to the latest: %v", got.Findings)
	}
}

// TestDeltaToAnEmptyCRL: the first revocation of all is in the delta alone.
func TestDeltaToAnEmptyCRL(t *testing.T) {
	s := newDeltaStore(t)
	s.before, s.revocations, s.intents = nil, nil, s.intents[:1]
	s.certificates = s.certificates[:4]
	s.publish(t)
	s.revoke(s.certificates[0].Serial, pki.Superseded)
	s.putDelta(t, 3, 5, s.entries(0)...)
	if got := run(t, s, ""); !got.OK() {
		t.Error(got.Findings)
	}
	s.putDelta(t, 3, 5)
	if got := run(t, s, ""); len(got.Findings) != 1 || got.Findings[0].Invariant != check.CRLComplete {
		t.Errorf("without it: %v", got.Findings)
	}
}

// TestDamagedDelta breaks one thing of a delta at a time.
func TestDamagedDelta(t *testing.T) {
	for name, test := range map[string]struct {
		want   check.Invariant
		damage func(s *fakeStore)
	}{
		"its signature":                {check.CRLSound, func(s *fakeStore) { der := s.deltas[0].DER; der[len(der)-1] ^= 1 }},
		"it is not there":              {check.CRLSound, func(s *fakeStore) { s.deltas[0].DER = nil }},
		"its record has another base":  {check.CRLSound, func(s *fakeStore) { s.deltas[0].Base = 3 }},
		"its number is that of a full": {check.CRLSound, func(s *fakeStore) { s.putDelta(t, 3, 3, s.changes()...) }},
		"its base is no latest one":    {check.CRLSound, func(s *fakeStore) { s.putDelta(t, 1, 5, s.changes()...) }},
		"a full one stands for it": {check.CRLSound, func(s *fakeStore) {
			delta := s.deltas[0]
			delta.Delta = false
			s.signCRL(t, delta, s.changes())
			delta.Delta = true
		}},
		"it lacks a revocation": {check.CRLComplete, func(s *fakeStore) { s.putDelta(t, 2, 5, s.changes()[0]) }},
		"it lacks a release":    {check.CRLTrue, func(s *fakeStore) { s.putDelta(t, 2, 5, s.changes()[1]) }},
		"it has another reason": {check.CRLTrue, func(s *fakeStore) {
			changes := s.changes()
			changes[1].ReasonCode = int(pki.KeyCompromise)
			s.putDelta(t, 2, 5, changes...)
		}},
		"it releases what is revoked": {check.CRLComplete, func(s *fakeStore) {
			revoked := s.entries(0)[0]
			revoked.ReasonCode = int(pki.RemoveFromCRL)
			s.putDelta(t, 2, 5, append(slices.Clone(s.changes()), revoked)...)
		}},
		"it revokes what is good": {check.CRLTrue, func(s *fakeStore) {
			good := s.changes()[1]
			good.SerialNumber = new(big.Int).SetBytes(s.certificates[0].Serial[:])
			s.putDelta(t, 2, 5, append(s.changes(), good)...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDeltaStore(t)
			test.damage(s)
			got := run(t, s, "")
			if len(got.Findings) != 1 || got.Findings[0].Invariant != test.want {
				t.Errorf("findings %v, want one of %s", got.Findings, test.want)
			}
		})
	}
}
