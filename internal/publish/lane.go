package publish

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// A job is a list to be published, or the certificates of an issuer.
type job struct {
	list  revocation.List
	again bool // whoever asks has seen that it is not well, and that others are: what the target has is read anew
	chain bool // the certificates of the list's issuer, and not the list
}

// chainOf returns the job that publishes an issuer's certificates.
func chainOf(issuer pki.IssuerID) job {
	return job{list: revocation.List{Issuer: issuer}, chain: true}
}

// path returns what the job is about, as alarms name it.
func (j job) path() string {
	if j.chain {
		return "ca/" + string(j.list.Issuer)
	}
	return j.list.Path()
}

// A lane publishes to one target, one thing after the other.
type lane struct {
	name   string
	target Target
	source Source
	chains Chains
	alarms *alarm.Board
	log    *slog.Logger
	wake   chan struct{} // of one place: there is a job

	mu     sync.Mutex
	queue  []job        // guarded by mu
	queued map[job]bool // guarded by mu: what is in the queue

	known   map[revocation.List]pointer // guarded by mu: pointers as this process left them
	off     map[revocation.List]bool    // guarded by mu: lists that were refused
	chained map[pki.IssuerID]bool       // guarded by mu: issuers whose certificates are there, or in the queue
	failing time.Time                   // owned by run: since when; zero while it works
	pause   time.Duration               // owned by run
	stuck   map[job]bool                // owned by run: what has an alarm of its own

	stats TargetStats
}

// A pointer is where a list's pointer stands at the target.
type pointer struct {
	number  int64 // 0 for none, or for something else that stands in its place
	before  int64 // the number that it had before; 0 where that is not known
	version string
}

func newLane(name string, target Target, cfg Config) *lane {
	return &lane{
		name: name, target: target, source: cfg.Source, chains: cfg.Chains, alarms: cfg.Alarms, log: cfg.Log.With("target", name),
		wake: make(chan struct{}, 1), queued: make(map[job]bool), known: make(map[revocation.List]pointer),
		off: make(map[revocation.List]bool), chained: make(map[pki.IssuerID]bool), stuck: make(map[job]bool),
	}
}

// enqueue adds a job unless it waits already.
func (l *lane) enqueue(j job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(j)
	l.addChain(j.list.Issuer)
}

// enqueueNewer adds a list unless the target has that number, and its issuer's
// certificates unless it has these.
func (l *lane) enqueueNewer(list revocation.List, number int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.off[list]:
		l.add(job{list: list, again: true})
	case l.known[list].number < number:
		l.add(job{list: list})
	}
	l.addChain(list.Issuer)
}

// addChain adds an issuer's certificates, once for each process, unless something stood
// in their way. It needs mu.
func (l *lane) addChain(issuer pki.IssuerID) {
	if !l.chained[issuer] {
		l.chained[issuer] = true
		l.add(chainOf(issuer))
	}
}

// add needs mu.
func (l *lane) add(j job) {
	if l.queued[j] {
		return
	}
	l.queued[j] = true
	l.queue = append(l.queue, j)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next takes a job from the queue.
func (l *lane) next() (job, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return job{}, false
	}
	j := l.queue[0]
	l.queue = l.queue[1:]
	delete(l.queued, j)
	return j, true
}

func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		j, ok := l.next()
		if !ok {
			select {
			case <-ctx.Done():
			case <-l.wake:
			}
			continue
		}
		err := l.do(ctx, j)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			l.well(j)
		case pki.KindOf(err) == pki.Conflict:
			l.refused(ctx, j, err)
		default:
			l.enqueue(j)
			l.failed(ctx, err)
		}
	}
}

func (l *lane) do(ctx context.Context, j job) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if j.chain {
		return l.publishChain(ctx, j.list.Issuer, j.again)
	}
	return l.publishList(ctx, j.list, j.again)
}

// well notes that the target works, and that a job of the kind is done.
func (l *lane) well(j job) {
	l.pause, l.failing = 0, time.Time{}
	l.stats.Failing.Set(time.Time{})
	l.stats.Done.Set(time.Now())
	if !j.chain {
		l.stats.Lists.Add(1)
	}
	l.alarms.Clear(l.lateKey())
	if j.again = false; l.stuck[j] {
		delete(l.stuck, j)
		if !j.chain {
			l.mu.Lock()
			delete(l.off, j.list)
			l.mu.Unlock()
		}
		l.alarms.Clear(l.stuckKey(j))
	}
}

// failed waits before the target is tried again.
func (l *lane) failed(ctx context.Context, err error) {
	l.stats.Failures.Add(1)
	if l.failing.IsZero() {
		l.failing = time.Now()
		l.stats.Failing.Set(l.failing)
		l.log.WarnContext(ctx, "publish", "error", err)
	}
	if time.Since(l.failing) >= lateAfter && l.alarms.Raise(alarm.Alarm{
		Key: l.lateKey(), Severity: alarm.Critical,
		What: "the target " + l.name + " gets no CRLs: " + pki.DetailOf(err),
		Do:   "Relying parties that fetch from it see old status, and refuse everything once that has run out. Have the directory or bucket be reachable and writable, as status.publish in the configuration names it; publishing goes on by itself.",
	}) {
		l.log.ErrorContext(ctx, "publishing is late", "since", l.failing, "error", err)
	}
	l.pause = min(max(firstPause, 2*l.pause), maxPause)
	timer := time.NewTimer(l.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// refused leaves out a job that would fail again. The next survey tries it again.
func (l *lane) refused(ctx context.Context, j job, err error) {
	l.stats.Refused.Add(1)
	j.again = false
	l.stuck[j] = true
	l.mu.Lock()
	if j.chain {
		delete(l.chained, j.list.Issuer)
	} else {
		l.off[j.list] = true
	}
	l.mu.Unlock()
	if l.alarms.Raise(alarm.Alarm{
		Key: l.stuckKey(j), Severity: alarm.Critical,
		What: pki.DetailOf(err),
		Do:   "Nothing is overwritten. If the database was put back from a backup, install the newest CRL of the offline authority. If somebody else writes to the target, end that. What cannot be read may be a later CRL: have the server be able to read it, or remove it.",
	}) {
		l.log.ErrorContext(ctx, "publish", "object", j.path(), "error", err)
	}
}

func (l *lane) lateKey() alarm.Key {
	return alarm.Key{Tenant: pki.Platform, Name: "publish.late", Target: l.name}
}

func (l *lane) stuckKey(j job) alarm.Key {
	return alarm.Key{Tenant: pki.Platform, Name: "publish.refused", Target: l.name + " " + j.path()}
}
