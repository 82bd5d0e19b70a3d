package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// AdvanceJob implements revocation.JobStore. What it reads it reads before the
// transaction, so that the writer is held for the entries alone.
func (s *Store) AdvanceJob(ctx context.Context, tenant pki.TenantID, id revocation.JobID, now time.Time, limit int) (bool, error) {
	j, err := storedJobOf(ctx, s.read, tenant, id)
	if err != nil {
		return false, err
	}
	if j.State != revocation.Counting && j.State != revocation.Running {
		return false, pki.Errorf(pki.Conflict, "the revocation job is %s", j.State)
	}
	sel, err := s.selection(ctx, tenant, j.by, j.name)
	if err != nil {
		return false, err
	}
	page, next, last, err := sel.page(ctx, s.read, j.position, j.bound, limit)
	if err != nil {
		return false, err
	}
	who, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return false, err
	}
	step := jobStep{job: j, who: who, now: now, counts: make(map[shardNum]*revocation.Counts)}
	groups, err := s.byIssuer(ctx, page)
	if err != nil {
		return false, err
	}
	if j.State == revocation.Counting {
		for _, g := range groups {
			if err := step.look(ctx, s.read, g); err != nil {
				return false, err
			}
		}
	}
	err = s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE revocation_job SET position = $1 WHERE num = $2 AND state = $3 AND position = $4`, next, j.num, j.State, j.position)
		switch {
		case err != nil:
			return fmt.Errorf("noting how far a job is: %w", err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "the revocation job was stopped, or another process took this step")
		}
		if j.State == revocation.Running {
			for _, g := range groups {
				if err := step.enter(t, g); err != nil {
					return err
				}
			}
		}
		return step.store(t)
	})
	return last, err
}

// An issuerGroup is the candidates of one issuer.
type issuerGroup struct {
	id     pki.IssuerID
	issuer issuerInfo
	all    []candidate
}

// byIssuer divides a page by issuers, mostly into one group.
func (s *Store) byIssuer(ctx context.Context, page []candidate) ([]*issuerGroup, error) {
	var groups []*issuerGroup
	by := make(map[int64]*issuerGroup)
	for _, c := range page {
		g := by[c.issuer]
		if g == nil {
			name, err := s.refOf(ctx, s.read, c.issuer)
			if err != nil {
				return nil, err
			}
			g = &issuerGroup{id: pki.IssuerID(name.text)}
			if g.issuer, err = s.issuerInfo(ctx, g.id); err != nil {
				return nil, err
			}
			by[c.issuer] = g
			groups = append(groups, g)
		}
		g.all = append(g.all, c)
	}
	return groups, nil
}

type shardNum struct {
	issuer int64
	shard  int
}

// A jobStep is one step of a job.
type jobStep struct {
	job    *storedJob
	who    int64 // the job's tenant
	now    time.Time
	counts map[shardNum]*revocation.Counts
}

func (st *jobStep) countsOf(g *issuerGroup, c *candidate) *revocation.Counts {
	key := shardNum{g.issuer.num, c.serial.Shard(g.issuer.shards)}
	counts := st.counts[key]
	if counts == nil {
		counts = new(revocation.Counts)
		st.counts[key] = counts
	}
	return counts
}

// look counts a group.
func (st *jobStep) look(ctx context.Context, from source, g *issuerGroup) error {
	for i := range g.all {
		c := &g.all[i]
		k, err := stateOf(ctx, from, g.issuer, g.id, c.serial)
		if err != nil {
			return err
		}
		kept, err := st.keeps(ctx, from, g, c, &k)
		if err != nil {
			return err
		}
		st.countsOf(g, c).Count(k.latest, kept != nil, fromMicros(c.notAfter), st.now)
	}
	return nil
}

// keeps returns why the job must leave a certificate on hold, nil where nothing says
// so.
func (st *jobStep) keeps(ctx context.Context, from source, g *issuerGroup, c *candidate, k *serialState) (refused, err error) {
	if st.job.Reason != pki.RemoveFromCRL || k.latest == nil || k.latest.Reason != pki.CertificateHold {
		return nil, nil
	}
	if k.keeps(st.who) {
		return revocation.HeldByLender(g.issuer.owner), nil
	}
	return suspension(ctx, from, g.issuer, c.serial)
}

// enter counts a group and inserts its entries, with one run of leaves. Most
// certificates have no entry yet: their first ones are inserted together, and
// those that this passes over, since they have one, are looked at one by one.
func (st *jobStep) enter(t *tx, g *issuerGroup) error {
	e := entering{tx: t, step: st, group: g, run: leafRun{tenant: g.issuer.tenant, kind: leafRevocation}, newest: make(map[int]int64)}
	rest := g.all
	if st.job.Reason != pki.RemoveFromCRL {
		var err error
		if rest, err = e.first(g.all); err != nil {
			return err
		}
	}
	for i := range rest {
		if err := e.next(&rest[i]); err != nil {
			return err
		}
	}
	for shard, seq := range e.newest {
		if err := t.newest(g.issuer.num, shard, seq); err != nil {
			return err
		}
	}
	return t.leaves(&e.run, st.now)
}

// entering is the insertion of a group's entries, whose sequence numbers follow
// each other.
type entering struct {
	*tx
	step   *jobStep
	group  *issuerGroup
	run    leafRun
	newest map[int]int64 // sequence numbers, by shard
}

// first inserts the first entries of those that have none and have not expired,
// and returns the others.
func (e *entering) first(all []candidate) (rest []candidate, err error) {
	var fit []candidate
	for _, c := range all {
		if fromMicros(c.notAfter).Before(e.step.now) {
			rest = append(rest, c)
		} else {
			fit = append(fit, c)
		}
	}
	for _, size := range []int{100, 10, 1} { // to bind a value costs less than to call
		for text := insertFirst(size); len(fit) >= size; fit = fit[size:] {
			passed, err := e.insert(fit[:size], text)
			if err != nil {
				return nil, err
			}
			rest = append(rest, passed...)
		}
	}
	return rest, nil
}

// insert inserts first entries with one statement, and returns the candidates that
// have entries already.
func (e *entering) insert(some []candidate, text string) (passed []candidate, err error) {
	type inserted struct {
		seq    int64
		serial pki.Serial
	}
	args := append(make([]any, 0, 4+4*len(some)), e.group.issuer.num, e.step.job.Reason, micros(e.step.now), e.step.job.num)
	for i := range some {
		args = append(args, some[i].serial[:], some[i].serial.Shard(e.group.issuer.shards), some[i].notAfter, number(e.lends(&some[i])))
	}
	rows, err := list(context.Background(), e.tx, func(row row) (r inserted, err error) {
		return r, row.Scan(&r.seq, intoArray(r.serial[:]))
	}, text, args...)
	if err != nil {
		return nil, fmt.Errorf("storing revocations: %w", err)
	}
	slices.SortFunc(rows, func(a, b inserted) int { return cmp.Compare(a.seq, b.seq) })
	bySerial := make(map[pki.Serial]*candidate, len(some))
	for i := range some {
		bySerial[some[i].serial] = &some[i]
	}
	for _, r := range rows {
		c := bySerial[r.serial]
		delete(bySerial, r.serial)
		e.step.countsOf(e.group, c).Good++
		e.entered(r.seq, &pki.Revocation{
			Issuer: e.group.id, Serial: c.serial, N: 1, Reason: e.step.job.Reason, At: e.step.now,
			Shard: c.serial.Shard(e.group.issuer.shards), NotAfter: fromMicros(c.notAfter),
		})
	}
	for i := range some {
		if bySerial[some[i].serial] != nil {
			passed = append(passed, some[i])
		}
	}
	return passed, nil
}

// next counts a candidate and inserts its next entry, where it gets one.
func (e *entering) next(c *candidate) error {
	k, err := stateOf(context.Background(), e.tx, e.group.issuer, e.group.id, c.serial)
	if err != nil {
		return err
	}
	kept, err := e.step.keeps(context.Background(), e.tx, e.group, c, &k)
	if err != nil {
		return err
	}
	notAfter := fromMicros(c.notAfter)
	e.step.countsOf(e.group, c).Count(k.latest, kept != nil, notAfter, e.step.now)
	n, refused := k.next(e.step.who, e.step.job.Reason)
	if refused != nil || kept != nil || notAfter.Before(e.step.now) {
		return nil
	}
	r := &pki.Revocation{
		Issuer: e.group.id, Serial: c.serial, N: n, Reason: e.step.job.Reason, At: e.step.now,
		Shard: c.serial.Shard(e.group.issuer.shards), NotAfter: notAfter,
	}
	seq, err := e.insertEntry(r, e.group.issuer.num, e.lends(c), e.step.job.num)
	if err != nil {
		return err
	}
	e.entered(seq, r)
	return nil
}

// lends reports whether a candidate is another's, under an authority of the job's tenant.
func (e *entering) lends(c *candidate) bool { return c.owner != e.step.who }

func (e *entering) entered(seq int64, r *pki.Revocation) {
	e.run.addEntry(seq, r)
	e.newest[r.Shard] = seq
}

// store adds the step's counts to the job's.
func (st *jobStep) store(t *tx) error {
	for key, c := range st.counts {
		if _, err := t.exec(`INSERT INTO revocation_count (job, issuer, shard, good, held, suspended, revoked, expired) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (job, issuer, shard) DO UPDATE SET good = revocation_count.good + excluded.good, held = revocation_count.held + excluded.held, suspended = revocation_count.suspended + excluded.suspended,
				revoked = revocation_count.revoked + excluded.revoked, expired = revocation_count.expired + excluded.expired`,
			st.job.num, key.issuer, key.shard, c.Good, c.Held, c.Suspended, c.Revoked, c.Expired); err != nil {
			return fmt.Errorf("counting for a job: %w", err)
		}
	}
	return nil
}

// insertFirst returns the statement that inserts a number of first entries, for
// serials that have none.
func insertFirst(count int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO revocation (issuer, n, reason, at, job, serial, shard, not_after, lender) VALUES `)
	for i := range count {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "($1, 1, $2, $3, $4, $%d, $%d, $%d, $%d)", 4*i+5, 4*i+6, 4*i+7, 4*i+8)
	}
	b.WriteString(` ON CONFLICT DO NOTHING RETURNING seq, serial`)
	return b.String()
}
