package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

const (
	// roundEvery is the time between two rounds; a tenant can ask for one at once.
	roundEvery = time.Hour
	// scanRows is how many rows one read looks at.
	scanRows = 20_000
	// removeAtOnce bounds one transaction: issuance waits for no longer one.
	removeAtOnce = 200
	// breath is the writer's time for others after each of them.
	breath = 20 * time.Millisecond
)

// Run makes archives until ctx ends: of every tenant at first and each hour, of one
// that asks at once.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	all := true
	var asked pki.TenantID
	for {
		if all {
			tenants, err := s.cfg.Store.Tenants(ctx)
			if err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("looking for expired certificates", "error", err)
			}
			for _, t := range tenants {
				s.Round(ctx, t.ID)
			}
		} else {
			s.Round(ctx, asked)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			all = true
		case asked = <-s.wake:
			all = false
		}
	}
}

// Round makes the archives of a tenant that are due, and finishes those that are
// not done; a failure is an alarm until a round succeeds.
func (s *Service) Round(ctx context.Context, tenant pki.TenantID) error {
	s.working.Lock()
	defer s.working.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r := round{s: s, tenant: tenant, Round: Round{Started: s.cfg.Now().UTC()}}
	r.tell()
	err := r.run(ctx)
	r.Finished = s.cfg.Now().UTC()
	key := alarm.Key{Tenant: tenant, Name: "archive.failing"}
	switch {
	case ctx.Err() != nil: // the next start goes on
		r.Error = "the server was stopped"
	case err != nil:
		r.Error = pki.DetailOf(err)
		s.cfg.Log.Warn("archiving expired certificates", "tenant", tenant, "error", err)
		s.cfg.Alarms.Raise(alarm.Alarm{Key: key, Severity: alarm.Warning,
			What: "Expired certificates are not archived: " + r.Error,
			Do:   "Nothing was lost: what is not archived stays in the store. Mend the cause, then 'pando archive run'; the server's log says more."})
	default:
		s.cfg.Alarms.Clear(key)
		r.tellLarge()
	}
	r.tell()
	s.mu.Lock()
	if err != nil && ctx.Err() == nil {
		s.stats.Failures++
	}
	if err == nil {
		s.stats.Rounds++
		s.stats.Round = s.cfg.Now()
	}
	s.mu.Unlock()
	return err
}

// A round is the work of one tenant.
type round struct {
	s      *Service
	tenant pki.TenantID
	Round
	rows       rows   // of batches, that were looked at last
	large      int    // certificates that no archive takes
	firstLarge string // names the first of them, and why
}

// tellLarge has an alarm for as long as certificates are too large for an archive.
func (r *round) tellLarge() {
	key := alarm.Key{Tenant: r.tenant, Name: "archive.oversized"}
	if r.large == 0 {
		r.s.cfg.Alarms.Clear(key)
		return
	}
	r.s.cfg.Alarms.Raise(alarm.Alarm{Key: key, Severity: alarm.Warning,
		What: fmt.Sprintf("Expired certificates are too large to be archived (%d), as %s", r.large, r.firstLarge),
		Do:   "Nothing was lost: they stay in the store, and all others are archived. No certificate should be so large: look at the profile that it is of."})
}

// tell shows how far the round is.
func (r *round) tell() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.rounds[r.tenant] = r.Round
}

func (r *round) run(ctx context.Context) error {
	store := r.s.cfg.Store
	before, err := r.s.before(ctx, r.tenant)
	if err != nil {
		return err
	}
	unfinished, err := store.UnfinishedArchives(ctx, r.tenant)
	if err != nil {
		return err
	}
	for _, a := range unfinished {
		if a.State == Planned && (before.IsZero() || a.Before.After(before)) {
			// They are to stay for longer since.
			if err := store.DropArchive(ctx, a); err != nil {
				return err
			}
			continue
		}
		if err := r.finish(ctx, a, nil); err != nil {
			return err
		}
	}
	if before.IsZero() {
		return nil
	}
	if r.Rows, err = store.LastRow(ctx); err != nil {
		return err
	}
	for r.Scanned < r.Rows {
		entries, err := r.collect(ctx, before, r.Rows)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return nil
		}
		if still, err := r.s.before(ctx, r.tenant); err != nil || still.IsZero() || still.Before(before) {
			return err // they are to stay for longer since
		}
		now := r.s.cfg.Now().UTC()
		a := &Archive{ID: ID(pki.NewID(now)), Tenant: r.tenant, State: Planned, Created: now.Truncate(time.Microsecond), Before: before,
			FirstRow: entries[0].Row, LastRow: entries[len(entries)-1].Row}
		if err := store.PutArchive(ctx, a); err != nil {
			return err
		}
		if err := r.finish(ctx, a, entries); err != nil {
			return err
		}
	}
	return nil
}

// collect returns the certificates of the next archive, from where the round is, and
// moves it on. It stops at the bounds of an archive, and after the row through.
func (r *round) collect(ctx context.Context, before time.Time, through int64) ([]Entry, error) {
	var all []Entry
	content := 0
	for r.Scanned < through {
		to := min(r.Scanned+scanRows, through)
		found, err := r.s.cfg.Store.Expired(ctx, Search{Tenant: r.tenant, Before: before, After: r.Scanned, Through: to})
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			if authority, err := isAuthority(e.DER); err != nil || authority {
				if err != nil {
					return nil, err
				}
				continue
			}
			if err := r.addRequest(ctx, &e); err != nil {
				return nil, err
			}
			if _, err := line(&e); err != nil {
				if pki.KindOf(err) != pki.PolicyRefused {
					return nil, err
				}
				if r.large++; r.large == 1 {
					r.firstLarge = fmt.Sprintf("%s of issuer %s: %s", pki.Serial(e.Leaf.Serial), e.Leaf.Issuer, pki.DetailOf(err))
				}
				r.Scanned = e.Row
				continue
			}
			if len(all) == MaxCertificates || len(all) > 0 && content+len(e.DER)+len(e.Request) > MaxContent {
				return all, nil
			}
			all = append(all, e)
			content += len(e.DER) + len(e.Request)
			r.Scanned = e.Row
		}
		r.Scanned = to
		r.tell()
	}
	return all, nil
}

// finish does what is left of an archive. The certificates of a planned one are
// entries, or are looked for again where there are none.
func (r *round) finish(ctx context.Context, a *Archive, entries []Entry) error {
	if a.State == Planned {
		if entries == nil {
			again := round{s: r.s, tenant: r.tenant, Round: Round{Started: r.Started, Scanned: a.FirstRow - 1, Rows: a.LastRow}}
			var err error
			if entries, err = again.collect(ctx, a.Before, a.LastRow); err != nil {
				return err
			}
			r.tell()
			if len(entries) == 0 {
				return r.s.cfg.Store.DropArchive(ctx, a)
			}
		}
		if err := r.s.write(ctx, a, entries); err != nil {
			return err
		}
	}
	return r.remove(ctx, a)
}

// remove takes out of the store exactly what the archive's object has, as it is read
// from its place and no other way. Where some were put on hold since, the archive is
// not done, and a later round goes on with it.
func (r *round) remove(ctx context.Context, a *Archive) error {
	o, err := r.s.read(ctx, a)
	if err != nil {
		return err
	}
	held := 0
	for at := 0; at < len(o.Entries); at += removeAtOnce {
		part := o.Entries[at:min(at+removeAtOnce, len(o.Entries))]
		n, err := r.s.cfg.Store.Remove(ctx, a, part)
		if err != nil {
			return err
		}
		held += n
		r.Certificates += int64(len(part) - n)
		r.tell()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(breath):
		}
	}
	if held > 0 {
		return nil
	}
	if err := r.s.cfg.Store.ArchiveDone(ctx, a, r.s.cfg.Now().UTC()); err != nil {
		return err
	}
	a.State = Done
	r.Archives++
	r.tell()
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.stats.Archives++
	r.s.stats.Certificates += a.Manifest.Certificates
	return nil
}
