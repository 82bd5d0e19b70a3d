package revocationtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"maps"
	"math"
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
	issuers      map[pki.IssuerID]*pki.Issuer
	entries      map[serialKey]entry  // the latest of each serial
	ordered      map[shardKey][]entry // by serial; built by Revoked, dropped by Revoke
	newest       map[shardKey]int64
	numbers      map[shardKey]int64
	crls         map[revocation.List][]*revocation.CRL // the latest, and the one before it
	parts        map[shardKey][]revocation.Part        // with those that are staged
	gone         int                                   // parts that are to be dropped
	due          map[shardKey]revocation.Due
	events       []pki.Event
	groups       []int
	seq          int64
	looks        int
	reads        int
	hidden       bool
	err          error
}

// NewFakeStore returns an empty store.
func NewFakeStore() *FakeStore {
	return &FakeStore{
		certificates: make(map[serialKey]certificate), issuers: make(map[pki.IssuerID]*pki.Issuer),
		entries: make(map[serialKey]entry), ordered: make(map[shardKey][]entry), newest: make(map[shardKey]int64),
		numbers: make(map[shardKey]int64), crls: make(map[revocation.List][]*revocation.CRL), parts: make(map[shardKey][]revocation.Part), due: make(map[shardKey]revocation.Due),
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

// Hide has Revoked find nothing, as a fault might.
func (s *FakeStore) Hide(hidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = hidden
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

// Recover implements revocation.Store.
func (s *FakeStore) Recover(_ context.Context, r revocation.Recovery, e pki.Event) (taken int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	shard := shardKey{r.Issuer, r.Shard}
	for _, lost := range r.Entries {
		k := serialKey{lost.Issuer, lost.Serial}
		var latest *pki.Revocation
		if has, ok := s.entries[k]; ok {
			latest = &has.Revocation
		}
		if !revocation.Missing(latest, lost.Reason, r.Ahead) {
			continue
		}
		if lost.N, err = revocation.Next(latest, lost.Reason); err != nil {
			return taken, err
		}
		s.seq++
		s.entries[k] = entry{lost, s.seq}
		s.newest[shard] = s.seq
		taken++
	}
	delete(s.ordered, shard)
	if r.Last {
		s.numbers[shard] = max(s.numbers[shard], r.Number)
		due := s.due[shard]
		due.At = time.Time{}
		s.due[shard] = due
	}
	s.events = append(s.events, e)
	return taken, nil
}

// Backup returns a store as this one is now.
func (s *FakeStore) Backup() *FakeStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := NewFakeStore()
	b.certificates, b.issuers, b.entries, b.newest, b.seq = maps.Clone(s.certificates), maps.Clone(s.issuers), maps.Clone(s.entries), maps.Clone(s.newest), s.seq
	b.numbers, b.crls, b.parts, b.due = maps.Clone(s.numbers), maps.Clone(s.crls), maps.Clone(s.parts), maps.Clone(s.due)
	return b
}

// Edit has edit change a serial's latest entry, as somebody would who can write to the
// store: nothing tells that there is something new. It is lost where edit returns nil.
func (s *FakeStore) Edit(issuer pki.IssuerID, serial pki.Serial, edit func(pki.Revocation) *pki.Revocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := serialKey{issuer, serial}
	e := s.entries[k]
	delete(s.ordered, shardKey{issuer, e.Shard})
	if r := edit(e.Revocation); r == nil {
		delete(s.entries, k)
	} else {
		s.entries[k] = entry{*r, e.seq}
	}
}

// Forget has the store have no CRL of a list.
func (s *FakeStore) Forget(list revocation.List) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.crls, list)
}

// DamagePart has damage change the bytes of a shard's first part.
func (s *FakeStore) DamagePart(issuer pki.IssuerID, shard int, damage func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.parts[shardKey{issuer, shard}][0]
	p.DER = damage(bytes.Clone(p.DER))
}

// ForgeParts has forge change the bytes of a shard's parts, as somebody would who can
// write to the store: their hashes fit.
func (s *FakeStore) ForgeParts(issuer pki.IssuerID, shard int, forge func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.parts[shardKey{issuer, shard}] {
		p := &s.parts[shardKey{issuer, shard}][i]
		p.DER = forge(bytes.Clone(p.DER))
		p.Octets, p.Hash = len(p.DER), sha256.Sum256(p.DER)
	}
}

// ChangeParts has change replace a shard's parts.
func (s *FakeStore) ChangeParts(issuer pki.IssuerID, shard int, change func([]revocation.Part) []revocation.Part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := shardKey{issuer, shard}
	s.parts[k] = change(slices.Clone(s.parts[k]))
}

// DamageCRL has damage change the bytes of a list's latest CRL.
func (s *FakeStore) DamageCRL(list revocation.List, damage func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := *s.crls[list][0]
	c.DER = damage(bytes.Clone(c.DER))
	s.crls[list][0] = &c
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
func (s *FakeStore) Revoked(_ context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, span revocation.Span, limit int) ([]pki.Revocation, error) {
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
	start, found := slices.BinarySearchFunc(list, span.After, func(e entry, t pki.Serial) int { return bytes.Compare(e.Serial[:], t[:]) })
	if found {
		start++
	}
	got := make([]pki.Revocation, 0, min(limit, len(list)-start))
	for _, e := range list[start:] {
		if len(got) == limit || s.hidden || beyond(e.Serial, span) {
			break
		}
		if e.seq <= upto && e.Reason != pki.RemoveFromCRL && !e.NotAfter.Before(now) {
			got = append(got, e.Revocation)
		}
	}
	return got, s.err
}

// LatestEntries implements statuscheck.Store.
func (s *FakeStore) LatestEntries(_ context.Context, issuer pki.IssuerID, _ int, serials []pki.Serial) (latest []pki.Revocation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, serial := range serials {
		if e, ok := s.entries[serialKey{issuer, serial}]; ok {
			latest = append(latest, e.Revocation)
		}
	}
	return latest, s.err
}

// beyond reports whether a serial is above a span.
func beyond(s pki.Serial, span revocation.Span) bool {
	return span.Through != pki.Serial{} && bytes.Compare(s[:], span.Through[:]) > 0
}

// within reports whether a part belongs to a span.
func within(p revocation.Part, span revocation.Span) bool {
	return bytes.Compare(p.Last[:], span.After[:]) > 0 && !beyond(p.Last, span)
}

// Parts implements revocation.Store.
func (s *FakeStore) Parts(ctx context.Context, issuer pki.IssuerID, shard int) ([]revocation.Part, error) {
	parts, err := s.PartsDER(ctx, issuer, shard, revocation.Span{}, math.MaxInt)
	for i := range parts {
		parts[i].DER = nil
	}
	return parts, err
}

// PartsDER implements revocation.Store.
func (s *FakeStore) PartsDER(_ context.Context, issuer pki.IssuerID, shard int, span revocation.Span, limit int) ([]revocation.Part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := s.latestFull(issuer, shard)
	return s.someParts(issuer, shard, span, limit, func(number int64) bool { return number <= latest }), s.err
}

// StagedDER implements revocation.Store.
func (s *FakeStore) StagedDER(_ context.Context, issuer pki.IssuerID, shard int, number int64, span revocation.Span, limit int) ([]revocation.Part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.someParts(issuer, shard, span, limit, func(n int64) bool { return n == number }), s.err
}

// someParts needs mu, as does latestFull.
func (s *FakeStore) someParts(issuer pki.IssuerID, shard int, span revocation.Span, limit int, of func(number int64) bool) (got []revocation.Part) {
	for _, p := range s.parts[shardKey{issuer, shard}] {
		if len(got) < limit && within(p, span) && of(p.Number) {
			got = append(got, p)
		}
	}
	return got
}

func (s *FakeStore) latestFull(issuer pki.IssuerID, shard int) int64 {
	if have := s.crls[revocation.List{Issuer: issuer, Shard: shard}]; len(have) > 0 {
		return have[0].Number
	}
	return 0
}

// StageParts implements revocation.Store.
func (s *FakeStore) StageParts(_ context.Context, issuer pki.IssuerID, shard int, number int64, parts []revocation.Part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if latest := s.latestFull(issuer, shard); latest >= number {
		return pki.Errorf(pki.Conflict, "CRL number %d is there", latest)
	}
	s.addParts(shardKey{issuer, shard}, number, parts)
	return nil
}

// addParts needs mu.
func (s *FakeStore) addParts(k shardKey, number int64, parts []revocation.Part) {
	all := slices.Clone(s.parts[k])
	for _, p := range parts {
		p.Number, p.DER = number, bytes.Clone(p.DER)
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b revocation.Part) int { return bytes.Compare(a.Last[:], b.Last[:]) })
	s.parts[k] = all
}

// putParts puts the DER of a CRL's parts in place. It needs mu.
func (s *FakeStore) putParts(c *revocation.CRL, latest int64) {
	k := shardKey{c.Issuer, c.Shard}
	before := len(s.parts[k])
	if c.Parts == nil {
		s.parts[k] = slices.DeleteFunc(slices.Clone(s.parts[k]), func(p revocation.Part) bool { return p.Number <= c.Number })
		s.gone += before - len(s.parts[k])
		return
	}
	s.parts[k] = slices.DeleteFunc(slices.Clone(s.parts[k]), func(p revocation.Part) bool {
		gone := slices.ContainsFunc(c.Parts.Gone, func(span revocation.Span) bool { return within(p, span) })
		return p.Number < c.Number && (gone || p.Number > latest)
	})
	s.gone += before - len(s.parts[k])
	s.addParts(k, c.Number, c.Parts.New)
	c.DER = bytes.Clone(c.Parts.Head)
	for _, p := range s.parts[k] {
		if p.Number <= c.Number {
			c.DER = append(c.DER, p.DER...)
		}
	}
	c.DER = append(c.DER, c.Parts.Tail...)
	c.Parts = nil
}

// DropParts implements revocation.Store. Parts that are gone are only counted.
func (s *FakeStore) DropParts(_ context.Context, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	n := min(limit, s.gone)
	s.gone -= n
	return n, nil
}

// Gone returns how many parts are no CRL's any more and are not dropped.
func (s *FakeStore) Gone() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// Changed implements revocation.Store.
func (s *FakeStore) Changed(_ context.Context, issuer pki.IssuerID, shard int, since, upto int64, now time.Time, limit int) ([]pki.Revocation, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []entry
	for _, e := range s.entries {
		if e.Issuer == issuer && e.Shard == shard && e.seq > since && e.seq <= upto && !e.NotAfter.Before(now) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	last := upto
	if len(found) >= limit {
		found = found[:limit]
		last = found[limit-1].seq
	}
	var got []pki.Revocation
	for _, e := range found {
		got = append(got, e.Revocation)
	}
	return got, last, s.err
}

// AddIssuer makes an issuer's shards known.
func (s *FakeStore) AddIssuer(issuer *pki.Issuer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issuers[issuer.ID] = issuer
}

// Shards implements revocation.Store.
func (s *FakeStore) Shards(ctx context.Context, issuer pki.IssuerID) ([]revocation.ShardState, error) {
	s.mu.Lock()
	i := s.issuers[issuer]
	s.mu.Unlock()
	if i == nil {
		return nil, pki.Errorf(pki.NotFound, "no such issuer")
	}
	states := make([]revocation.ShardState, i.Shards)
	for n := range states {
		var err error
		if states[n], err = s.Shard(ctx, issuer, n); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// Shard implements revocation.Store.
func (s *FakeStore) Shard(_ context.Context, issuer pki.IssuerID, shard int) (revocation.ShardState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := shardKey{issuer, shard}
	edition := func(delta bool, n int) (e revocation.Edition) {
		if l := s.crls[revocation.List{Issuer: issuer, Shard: shard, Delta: delta}]; len(l) > n {
			e = revocation.Edition{Number: l[n].Number, Covers: l[n].Covers, Entries: l[n].Entries, ThisUpdate: l[n].ThisUpdate, NextUpdate: l[n].NextUpdate}
		}
		return e
	}
	return revocation.ShardState{
		Shard: shard, Newest: s.newest[k], Renewed: s.due[k].At.IsZero(),
		Edition: edition(false, 0), Before: edition(false, 1), Delta: edition(true, 0),
	}, s.err
}

// DueShards implements revocation.Store.
func (s *FakeStore) DueShards(_ context.Context, now time.Time, limit int) ([]revocation.List, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []revocation.List
	for _, id := range slices.Sorted(maps.Keys(s.issuers)) {
		i := s.issuers[id]
		if i.Key == pki.OfflineKey || now.After(i.NotAfter) {
			continue
		}
		var due []shardKey
		for shard := range i.Shards {
			k := shardKey{id, shard}
			list := revocation.List{Issuer: id, Shard: shard}
			ahead := func(delta bool) bool {
				list.Delta = delta
				return len(s.crls[list]) > 0 && s.crls[list][0].ThisUpdate.After(now)
			}
			if !s.due[k].At.After(now) || s.newest[k] > s.due[k].Above || ahead(false) || ahead(true) {
				due = append(due, k)
			}
		}
		slices.SortStableFunc(due, func(a, b shardKey) int { return s.due[a].At.Compare(s.due[b].At) })
		for _, k := range due[:min(limit, len(due))] {
			all = append(all, revocation.List{Issuer: k.issuer, Shard: k.shard})
		}
	}
	return all, s.err
}

// Renew implements revocation.Store.
func (s *FakeStore) Renew(_ context.Context, issuer pki.IssuerID, shard int, e pki.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, due := range s.due {
		if k.issuer == issuer && (shard == revocation.AllShards || k.shard == shard) {
			due.At = time.Time{}
			s.due[k] = due
		}
	}
	s.events = append(s.events, e)
	return s.err
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
	if s.err != nil {
		return s.err
	}
	have := s.crls[c.List]
	if len(have) > 0 && have[0].Number >= c.Number {
		return pki.Errorf(pki.Conflict, "CRL number %d is there", have[0].Number)
	}
	if parts := c.Parts; parts != nil && parts.Of != 0 && (len(have) == 0 || have[0].Number != parts.Of) {
		return pki.Errorf(pki.Conflict, "CRL number %d is not the latest", parts.Of)
	}
	if !c.Delta {
		s.putParts(c, s.latestFull(c.Issuer, c.Shard))
	}
	s.crls[c.List] = append([]*revocation.CRL{c}, have[:min(1, len(have))]...)
	shard, due := shardKey{c.Issuer, c.Shard}, c.Due
	if before, ok := s.due[shard]; ok && due.KeepRenewed && before.At.IsZero() {
		due.At = before.At
	}
	s.due[shard] = due
	if e != nil {
		s.events = append(s.events, *e)
	}
	return nil
}

// CRL implements revocation.Store.
func (s *FakeStore) CRL(_ context.Context, list revocation.List) (*revocation.CRL, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if len(s.crls[list]) == 0 || s.err != nil {
		return nil, cmp.Or(s.err, errNoCRL())
	}
	read := *s.crls[list][0]
	read.DER = bytes.Clone(read.DER)
	return &read, nil
}

func errNoCRL() error { return pki.Errorf(pki.NotFound, "no such CRL") }

// CRLNumber implements revocation.Store.
func (s *FakeStore) CRLNumber(_ context.Context, list revocation.List) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.crls[list]) == 0 || s.err != nil {
		return 0, cmp.Or(s.err, errNoCRL())
	}
	return s.crls[list][0].Number, nil
}

// Reads returns how often CRL was called.
func (s *FakeStore) Reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// AuthorityName returns "": a FakeStore knows issuers alone.
func (*FakeStore) AuthorityName(context.Context, pki.TenantID, pki.AuthorityID) (string, error) {
	return "", nil
}

// IssuerAuthorityName returns "".
func (*FakeStore) IssuerAuthorityName(context.Context, pki.TenantID, pki.IssuerID) (string, error) {
	return "", nil
}

// Certificate returns NotFound: a FakeStore knows serials alone.
func (*FakeStore) Certificate(context.Context, pki.TenantID, pki.IssuerID, pki.Serial) (*pki.Certificate, error) {
	return nil, pki.Errorf(pki.NotFound, "no such certificate")
}
