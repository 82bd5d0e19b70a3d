// Package limit bounds what one family of tenants, one tenant or one source may take of a node: requests
// a second by token buckets, and requests that are under way at once.
//
// It knows addresses, as net/http writes them, and no HTTP. What it remembers is bounded: of sources it
// knows the recently seen ones.
package limit

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// A Rate is how many requests a second in the long run, and how many at once.
type Rate struct {
	PerSecond int
	Burst     int
}

// Config has the limits; a Rate of zero, and a bound of zero, limits nothing.
type Config struct {
	Tenant   Rate // requests to the API with a tenant's credentials, and those of its children
	Device   Rate // requests to the API with one device's certificate
	Failures Rate // requests of one source that prove nobody, before they are told so no more
	Status   Rate // requests of one source for OCSP and CRLs
	Requests int  // to the API, under way at once
	Streams  int  // of these uploads, watches and results: they last
	Answers  int  // requests for OCSP, CRLs and CA certificates under way at once
	Messages int  // requests for SCEP under way at once
	Family   pki.FamilyOf
	Now      pki.Clock
}

// Limits are the limits of one node. A nil *Limits limits nothing. Its methods are
// safe for concurrent use.
type Limits struct {
	cfg      Config
	requests place
	streams  place
	answers  ofSources
	messages ofSources
	slow     slow
	devices  *recent[device, *rate.Limiter]
	failures *sources
	proven   *recent[uint64, struct{}]
	status   *sources

	requestsOf, streamsOf *tenantShares

	refused [bounds]stat.Counter
	tenants *tenantRates
}

// New returns Limits.
func New(cfg Config) *Limits {
	return &Limits{
		cfg:      cfg,
		requests: place{size: int64(cfg.Requests)}, streams: place{size: int64(cfg.Streams)},
		answers: newOfSources(cfg.Answers), messages: newOfSources(cfg.Messages), slow: newSlow(),
		devices:  newRecent[device, *rate.Limiter](maxDevices),
		proven:   newRecent[uint64, struct{}](maxProven),
		failures: newSources(cfg.Failures), status: newSources(cfg.Status),
		requestsOf: newTenantShares(cfg.Requests, cfg.Family), streamsOf: newTenantShares(cfg.Streams, cfg.Family),
		tenants: newTenantRates(cfg.Tenant, cfg.Family),
	}
}

// SetTenants replaces the limits of the tenants that have their own; the others
// have the deployment's, and children a part of what their parent has. What a tenant
// has used stays used where its limit stays.
func (l *Limits) SetTenants(own map[pki.TenantID]Rate) { l.tenants.set(own) }

// Tenant takes one request from what a tenant and its family have, or is RateLimited.
// The platform is not limited: who is to raise a limit must be able to.
func (l *Limits) Tenant(tenant pki.TenantID) error {
	if l == nil || tenant == pki.Platform {
		return nil
	}
	return l.count(TenantRate, l.tenants.take(tenant, l.cfg.Now()))
}

// maxDevices bounds the devices that are remembered, to some 4 MB. One that is
// forgotten has its whole burst again, within what its tenant has.
const maxDevices = 16384

type device struct {
	tenant pki.TenantID
	id     pki.DeviceID
}

// Device takes one request from what one device of a tenant has, or is RateLimited.
func (l *Limits) Device(tenant pki.TenantID, id pki.DeviceID) error {
	if l == nil || l.cfg.Device.PerSecond == 0 {
		return nil
	}
	bucket := l.devices.get(device{tenant, id}, func() *rate.Limiter { return newBucket(l.cfg.Device) })
	return l.count(DeviceRate, take(bucket, l.cfg.Now(), "the device "+string(id)+" sends more requests than one device may; mend its client"))
}

const failing = "too many requests from your address prove nobody; mend the client that sends them"

// maxProven bounds the credentials that are remembered, to some 1 MB.
const maxProven = 16384

// Try is RateLimited where a source has failed too often, so that its next proof is not
// looked at: that costs more than all the rest. Whoever proved who they are by the
// credential lately, named by a hash, is heard: a whole plant may be behind one address.
func (l *Limits) Try(remote string, credential uint64) error {
	if l == nil || !l.failures.spent(SourceOf(remote), l.cfg.Now()) {
		return nil
	}
	if _, ok := l.proven.look(credential); ok {
		return nil
	}
	return l.count(FailureRate, &pki.Error{Kind: pki.RateLimited, Detail: failing, RetryAfter: time.Second})
}

// Proved remembers that a credential proved somebody.
func (l *Limits) Proved(credential uint64) {
	if l != nil {
		l.proven.get(credential, func() struct{} { return struct{}{} })
	}
}

// Failure takes one failed proof of identity from what a source has, or is
// RateLimited.
func (l *Limits) Failure(remote string, credential uint64) error {
	return l.fail(remote, credential, 1)
}

// fail takes a failure that counts as several, as far as the source has so many.
func (l *Limits) fail(remote string, credential uint64, cost int) error {
	if l == nil {
		return nil
	}
	l.proven.forget(credential)
	from, now := SourceOf(remote), l.cfg.Now()
	err := l.failures.take(from, now, failing)
	for n := 1; n < cost && err == nil && l.failures.take(from, now, failing) == nil; n++ {
	}
	return l.count(FailureRate, err)
}

// Answer takes one request about status from what a source has, and a place from its
// share of those under way at once, or is RateLimited; and one of all that there are,
// or is Unavailable. leave gives them back.
func (l *Limits) Answer(remote string) (leave func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	return l.fromSource(Answers, &l.answers, remote, "requests about status")
}

// Message is Answer for SCEP: it has the rate of requests about status and places of its
// own, so that neither keeps the other out.
func (l *Limits) Message(remote string) (leave func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	return l.fromSource(Messages, &l.messages, remote, "requests by plain HTTP")
}

func (l *Limits) fromSource(b Bound, places *ofSources, remote, what string) (leave func(), err error) {
	from := SourceOf(remote)
	if err := l.count(StatusRate, l.status.take(from, l.cfg.Now(), "too many "+what+" from your address")); err != nil {
		return nil, err
	}
	return l.counted(b, func() (func(), error) { return places.enter(from, what) })
}

// Request takes a place among the API's requests under way, and one among its
// streams where it is one, or is Unavailable. leave gives them back.
func (l *Limits) Request(stream bool) (leave func(), err error) {
	switch {
	case l == nil:
		return func() {}, nil
	case stream: // they last, and must not keep single requests out
		return l.counted(Streams, l.streams.enter)
	default:
		return l.counted(Requests, l.requests.enter)
	}
}

// Share takes a place from what a tenant and its family may have under way at once, of
// requests or of streams, once it is known whose request it is: RateLimited where they
// have all that they may, Unavailable where all tenants together do. The platform has a
// share that no tenant can take. leave gives the place back.
func (l *Limits) Share(tenant pki.TenantID, stream bool) (leave func(), err error) {
	switch {
	case l == nil:
		return func() {}, nil
	case stream:
		return l.counted(Streams, func() (func(), error) { return l.streamsOf.enter(tenant) })
	default:
		return l.counted(Requests, func() (func(), error) { return l.requestsOf.enter(tenant) })
	}
}

// Full reports whether no single request finds a place now.
func (l *Limits) Full() bool { return l.requests.full() }

func newBucket(r Rate) *rate.Limiter {
	if r.PerSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(r.PerSecond), max(r.Burst, 1))
}

// take takes one from a bucket, or says when there is one again.
func take(bucket *rate.Limiter, now time.Time, detail string) error {
	r := bucket.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	r.CancelAt(now)
	return &pki.Error{Kind: pki.RateLimited, Detail: detail, RetryAfter: max(wait, time.Second)}
}

// A place bounds what is under way at once. It does not queue: who finds none is
// told at once, which costs next to nothing.
type place struct {
	size  int64 // 0 is without bound
	taken atomic.Int64
}

func (p *place) enter() (leave func(), err error) {
	if p.taken.Add(1) > p.size && p.size > 0 {
		p.taken.Add(-1)
		return nil, noPlace()
	}
	return sync.OnceFunc(func() { p.taken.Add(-1) }), nil
}

func noPlace() error {
	return &pki.Error{Kind: pki.Unavailable, Detail: "the server has as many requests under way as it can take; send the request again", RetryAfter: time.Second}
}

func (p *place) full() bool { return p.size > 0 && p.taken.Load() >= p.size }
