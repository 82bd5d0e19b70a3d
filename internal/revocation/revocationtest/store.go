package revocationtest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

type certificate struct {
	issuer   *pki.Issuer
	notAfter time.Time
}

type entry struct {
	pki.Revocation
	seq int64
}

type serialKey struct {
	issuer pki.IssuerID
	serial pki.Serial
}

type shardKey struct {
	issuer pki.IssuerID
	shard  int
}

// A FakeStore is a revocation.Store in memory.
type FakeStore struct {
	still        atomic.Pointer[chan struct{}] // closed when Revoke may go on
	mu           sync.Mutex
	certificates map[serialKey]certificate
	shards       map[pki.IssuerID]int
	entries      map[serialKey]entry  // the latest of each serial
	ordered      map[shardKey][]entry // by serial; built by Revoked, dropped by Revoke
	newest       map[shardKey]int64
	numbers      map[shardKey]int64
	crls         map[shardKey]*revocation.CRL
	events       []pki.Event
	groups       []int
	seq          int64
	looks        int
	reads        int
	err          error
}

// NewFakeStore returns an empty store.
func NewFakeStore() *FakeStore {
	return &FakeStore{
		certificates: make(map[serialKey]certificate), shards: make(map[pki.IssuerID]int),
		entries: make(map[serialKey]entry), ordered: make(map[shardKey][]entry), newest: make(map[shardKey]int64),
		numbers: make(map[shardKey]int64), crls: make(map[shardKey]*revocation.CRL),
	}
}

// AddCertificate makes a serial known.
func (s *FakeStore) AddCertificate(issuer *pki.Issuer, serial pki.Serial, notAfter time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificates[serialKey{issuer.ID, serial}] = certificate{issuer, notAfter}
}

// Fail makes every later call fail with err; nil ends that.
func (s *FakeStore) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Events returns the events stored so far.
func (s *FakeStore) Events() []pki.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Looks returns how often Status was called.
func (s *FakeStore) Looks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// Revoke implements revocation.Store.
func (s *FakeStore) Revoke(_ context.Context, group []*revocation.Entry) error {
	if still := s.still.Load(); still != nil {
		<-*still
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.groups = append(s.groups, len(group))
	for _, e := range group {
		e.Err = s.enter(e)
	}
	return nil
}

func (s *FakeStore) enter(e *revocation.Entry) (err error) {
	k := serialKey{e.Issuer, e.Serial}
	c, known := s.certificates[k]
	if !known || c.issuer.Tenant != e.Tenant {
		return pki.Errorf(pki.NotFound, "no such certificate of tenant %s", e.Tenant)
	}
	var latest *pki.Revocation
	if has, ok := s.entries[k]; ok {
		latest = &has.Revocation
	}
	if e.N, err = revocation.Next(latest, e.Reason); err != nil {
		return err
	}
	e.Shard, e.NotAfter = e.Serial.Shard(c.issuer.Shards), c.notAfter
	s.seq++
	shard := shardKey{e.Issuer, e.Shard}
	s.entries[k] = entry{e.Revocation, s.seq}
	s.newest[shard] = s.seq
	delete(s.ordered, shard)
	s.events = append(s.events, e.Event)
	return nil
}

// StandStill has Revoke wait until the returned function is called.
func (s *FakeStore) StandStill() (goOn func()) {
	still := make(chan struct{})
	s.still.Store(&still)
	return func() { close(still) }
}

// Groups returns how many entries came together in each call of Revoke.
func (s *FakeStore) Groups() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.groups)
}

// Status implements revocation.Store.
func (s *FakeStore) Status(_ context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	c, known := s.certificates[serialKey{issuer, serial}]
	status := revocation.Status{Known: known, NotAfter: c.notAfter}
	if e, ok := s.entries[serialKey{issuer, serial}]; ok {
		status.Entries = e.N
		if e.Reason != pki.RemoveFromCRL {
			status.Revocation = &e.Revocation
		}
	}
	return status, s.err
}

// Revoked implements revocation.Store.
func (s *FakeStore) Revoked(_ context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, after pki.Serial, limit int) ([]pki.Revocation, error) {
	return s.latest(issuer, shard, after, limit, func(e entry) bool {
		return e.seq <= upto && e.Reason != pki.RemoveFromCRL && !e.NotAfter.Before(now)
	})
}

// Changed implements revocation.Store.
func (s *FakeStore) Changed(_ context.Context, issuer pki.IssuerID, shard int, from, upto int64, now time.Time, after pki.Serial, limit int) ([]pki.Revocation, error) {
	return s.latest(issuer, shard, after, limit, func(e entry) bool {
		return e.seq > from && e.seq <= upto && !e.NotAfter.Before(now)
	})
}

// latest returns up to limit latest entries of a shard's serials that are wanted.
func (s *FakeStore) latest(issuer pki.IssuerID, shard int, after pki.Serial, limit int, wanted func(entry) bool) ([]pki.Revocation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := shardKey{issuer, shard}
	if s.ordered[k] == nil {
		for _, e := range s.entries {
			if e.Issuer == issuer && e.Shard == shard {
				s.ordered[k] = append(s.ordered[k], e)
			}
		}
		slices.SortFunc(s.ordered[k], func(a, b entry) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
	}
	list := s.ordered[k]
	start, found := slices.BinarySearchFunc(list, after, func(e entry, t pki.Serial) int { return bytes.Compare(e.Serial[:], t[:]) })
	if found {
		start++
	}
	var got []pki.Revocation
	for _, e := range list[start:] {
		if len(got) == limit {
			break
		}
		if wanted(e) {
			got = append(got, e.Revocation)
		}
	}
	return got, s.err
}

// SetShards says how many shards an issuer has.
func (s *FakeStore) SetShards(issuer *pki.Issuer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards[issuer.ID] = issuer.Shards
}

// Shards implements revocation.Store.
func (s *FakeStore) Shards(_ context.Context, issuer pki.IssuerID) ([]revocation.ShardState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]revocation.ShardState, s.shards[issuer])
	for i := range states {
		k := shardKey{issuer, i}
		states[i] = revocation.ShardState{Shard: i, Newest: s.newest[k]}
		if c := s.crls[k]; c != nil {
			states[i].Covers, states[i].Number = c.Covers, c.Number
			states[i].ThisUpdate, states[i].NextUpdate = c.ThisUpdate, c.NextUpdate
		}
	}
	return states, s.err
}

// ReserveCRLNumber implements revocation.Store.
func (s *FakeStore) ReserveCRLNumber(_ context.Context, issuer pki.IssuerID, shard int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers[shardKey{issuer, shard}]++
	return s.numbers[shardKey{issuer, shard}], s.err
}

// PutCRL implements revocation.Store.
func (s *FakeStore) PutCRL(_ context.Context, c *revocation.CRL, e *pki.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := shardKey{c.Issuer, c.Shard}
	if s.err != nil {
		return s.err
	}
	if old := s.crls[k]; old != nil && old.Number >= c.Number {
		return pki.Errorf(pki.Conflict, "CRL number %d is there", old.Number)
	}
	s.crls[k] = c
	if e != nil {
		s.events = append(s.events, *e)
	}
	return nil
}

// CRL implements revocation.Store.
func (s *FakeStore) CRL(_ context.Context, issuer pki.IssuerID, shard int) (*revocation.CRL, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	c := s.crls[shardKey{issuer, shard}]
	if c == nil || s.err != nil {
		return nil, cmp.Or(s.err, errNoCRL())
	}
	read := *c
	read.DER = bytes.Clone(c.DER)
	return &read, nil
}

func errNoCRL() error { return pki.Errorf(pki.NotFound, "no such CRL") }

// CRLNumber implements revocation.Store.
func (s *FakeStore) CRLNumber(_ context.Context, issuer pki.IssuerID, shard int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.crls[shardKey{issuer, shard}]
	if c == nil || s.err != nil {
		return 0, cmp.Or(s.err, errNoCRL())
	}
	return c.Number, nil
}

// Reads returns how often CRL was called.
func (s *FakeStore) Reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}
