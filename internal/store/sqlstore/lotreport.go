package sqlstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// CloseLot implements lotreport.Store.
func (s *Store) CloseLot(ctx context.Context, tenant pki.TenantID, name string, naming []pki.BatchID, scrapped int64, at time.Time, e pki.Event) (*lotreport.Closing, error) {
	err := s.update(ctx, func(t *tx) error {
		l, err := t.lot(tenant, name)
		if err != nil || l.State == registry.LotClosed {
			return err
		}
		if err := t.refuseUnfinished(ctx, tenant, name, naming); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE lot SET state = 'closed', closed = $1 WHERE tenant = $2 AND name = $3`, micros(at), tenant, name); err != nil {
			return fmt.Errorf("closing lot %q: %w", name, err)
		}
		_, err = t.exec(`INSERT INTO lot_report (tenant, lot, actor, scrapped, barrier, report)
			VALUES ($1, $2, $3, $4, (SELECT coalesce(max(num), 0) FROM intent), '')`, tenant, name, e.Actor, scrapped)
		if err != nil {
			return fmt.Errorf("closing lot %q: %w", name, err)
		}
		return t.event(e)
	})
	if err != nil {
		return nil, err
	}
	return s.Closing(ctx, tenant, name)
}

// namedBatches is how many batches that are not at their end are named.
const namedBatches = 5

// A dry run that nobody had issued yet has no part in the lot: issued later, its rows are refused.
const unfinished = ` FROM batch WHERE tenant = $1 AND (state IN ('waiting', 'running', 'paused') OR state = 'uploading' AND dry_run = 0)`

// refuseUnfinished is NotReady while batches of a lot, or of those that name it in their
// rows, are to be issued and not at their end, and names the first of them.
func (t *tx) refuseUnfinished(ctx context.Context, tenant pki.TenantID, lot string, naming []pki.BatchID) error {
	args := []any{tenant, lot, namedBatches}
	ofLot := unfinished + ` AND (lot = $2`
	for _, id := range naming {
		args = append(args, id)
		ofLot += fmt.Sprintf(` OR id = $%d`, len(args))
	}
	ofLot += `)`
	named, err := list(ctx, t, func(row row) (string, error) {
		var id, state string
		err := row.Scan(&id, &state)
		return id + " (" + state + ")", err
	}, `SELECT id, state`+ofLot+` ORDER BY num LIMIT $3`, args...)
	if err != nil {
		return fmt.Errorf("looking for a lot's batches: %w", err)
	}
	open, err := one(ctx, t, scanInt, `SELECT count(*)`+ofLot+` AND $3 > 0`, args...)
	if err != nil || open == 0 {
		return err
	}
	are, them := "batch of the lot is not at its end", "it"
	if open > 1 {
		are, them = "batches of the lot are not at their end", "them"
	}
	more := ""
	if open > namedBatches {
		more = fmt.Sprintf(" and %d more", open-namedBatches)
	}
	return pki.Errorf(pki.NotReady, "%d %s: %s%s; wait for %s or cancel %s",
		open, are, strings.Join(named, ", "), more, them, them)
}

// Closing implements lotreport.Store.
func (s *Store) Closing(ctx context.Context, tenant pki.TenantID, lot string) (*lotreport.Closing, error) {
	c, err := one(ctx, s.read, func(row row) (*lotreport.Closing, error) {
		c := new(lotreport.Closing)
		var open int64
		err := row.Scan(&c.Actor, &c.Scrapped, &c.Report, &open)
		c.Settled = open == 0
		return c, err
	}, `SELECT r.actor, r.scrapped, r.report, (SELECT count(*) FROM intent i WHERE i.state = 'open' AND i.num <= r.barrier)
		FROM lot_report r WHERE r.tenant = $1 AND r.lot = $2`, tenant, lot)
	return found(c, err, "closed lot %q", lot)
}

// PutReport implements lotreport.Store.
func (s *Store) PutReport(ctx context.Context, tenant pki.TenantID, lot, report string, e pki.Event) (string, error) {
	err := s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE lot_report SET report = $1 WHERE tenant = $2 AND lot = $3 AND report = ''`, report, tenant, lot)
		if err != nil {
			return fmt.Errorf("storing the report of lot %q: %w", lot, err)
		}
		if rows == 0 {
			return nil
		}
		return t.event(e)
	})
	if err != nil {
		return "", err
	}
	c, err := s.Closing(ctx, tenant, lot)
	if err != nil {
		return "", err
	}
	return c.Report, nil
}

// ReportKey implements lotreport.Store.
func (s *Store) ReportKey(ctx context.Context, tenant pki.TenantID) (pki.KeyURI, error) {
	uri, err := one(ctx, s.read, func(row row) (uri pki.KeyURI, err error) {
		err = row.Scan(&uri)
		return uri, err
	}, `SELECT key_uri FROM report_key WHERE tenant = $1`, tenant)
	return found(uri, err, "key for lot reports: the first lot that is closed makes one")
}

// PutReportKey implements lotreport.Store.
func (s *Store) PutReportKey(ctx context.Context, tenant pki.TenantID, key pki.KeyURI, at time.Time, e pki.Event) (pki.KeyURI, error) {
	err := s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`INSERT INTO report_key (tenant, key_uri, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, tenant, key, micros(at))
		if err != nil {
			return fmt.Errorf("storing a key for lot reports: %w", err)
		}
		if rows == 0 {
			return nil
		}
		return t.event(e)
	})
	if err != nil {
		return "", err
	}
	return s.ReportKey(ctx, tenant)
}

// refuseClosed refuses an item whose lot is closed. The intent's transaction is
// where it counts: what the RA saw of the lot may be seconds old.
func (t *tx) refuseClosed(it *issuance.Item) error {
	if it.Placement.Lot == "" {
		return nil
	}
	lot := lotRef(it.Owner, it.Placement.Lot)
	closed, known := t.closed[lot]
	if !known {
		n, err := one(context.Background(), t, scanInt, `SELECT count(*) FROM lot WHERE tenant = $1 AND name = $2 AND state = 'closed'`, it.Owner, it.Placement.Lot)
		if err != nil {
			return fmt.Errorf("looking whether a lot is closed: %w", err)
		}
		if t.closed == nil {
			t.closed = make(map[ref]bool)
		}
		closed = n > 0
		t.closed[lot] = closed
	}
	if closed {
		it.Refused = pki.Errorf(pki.Conflict, "the lot %q is closed: nothing is enrolled in it any more", it.Placement.Lot)
	}
	return nil
}

// Figures implements lotreport.Store.
func (s *Store) Figures(ctx context.Context, tenant pki.TenantID, name string) (*lotreport.Report, error) {
	r := &lotreport.Report{Places: []lotreport.Place{}, Batches: []lotreport.Batch{}}
	err := s.read.snapshot(ctx, func(from source) error {
		l, err := readLot(ctx, from, tenant, name)
		if err != nil {
			return err
		}
		r.Tenant, r.Lot, r.ProductLine, r.Site, r.Ordered = l.Tenant, l.Name, l.ProductLine, l.Site, l.Ordered
		r.Created, r.Closed = l.Created, l.Closed
		r.ClosedBy, err = one(ctx, from, func(row row) (actor string, err error) {
			err = row.Scan(&actor, &r.ScrappedReported)
			return actor, err
		}, `SELECT actor, scrapped FROM lot_report WHERE tenant = $1 AND lot = $2`, tenant, name)
		if r.ClosedBy, err = found(r.ClosedBy, err, "closed lot %q", name); err != nil {
			return err
		}
		c := lotCount{ctx: ctx, from: from, report: r, most: math.MaxInt64}
		if c.lot, err = one(ctx, from, scanInt, selectRefNum, "lot", tenant, name); err != nil {
			return err
		}
		for _, count := range []func() error{c.certificates, c.devices, c.refused, c.batches} {
			if err := count(); err != nil {
				return fmt.Errorf("counting lot %q: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Total()
	slices.SortFunc(r.Places, func(a, b lotreport.Place) int {
		return cmp.Or(cmp.Compare(a.ProductLine, b.ProductLine), cmp.Compare(a.Site, b.Site))
	})
	return r, nil
}

// LotCounts implements lotreport.Store.
func (s *Store) LotCounts(ctx context.Context, tenant pki.TenantID, name string, most int64) (*lotreport.Counts, error) {
	r := new(lotreport.Report)
	more := false
	err := s.read.snapshot(ctx, func(from source) error {
		l, err := readLot(ctx, from, tenant, name)
		if err != nil {
			return err
		}
		r.Tenant, r.Lot, r.Ordered = l.Tenant, l.Name, l.Ordered
		if r.ScrappedReported, err = one(ctx, from, scanInt, `SELECT coalesce(max(scrapped), 0) FROM lot_report WHERE tenant = $1 AND lot = $2`, tenant, name); err != nil {
			return err
		}
		c := lotCount{ctx: ctx, from: from, report: r, most: most}
		if c.lot, err = one(ctx, from, scanInt, selectRefNum, "lot", tenant, name); err != nil {
			return err
		}
		if more, err = c.beyond(); err != nil {
			return err
		}
		if err := c.devices(); err != nil {
			return err
		}
		return c.refused()
	})
	if err != nil {
		return nil, fmt.Errorf("counting lot %q: %w", name, err)
	}
	r.Total()
	counts := r.Counts()
	counts.AtLeast = more
	return &counts, nil
}

// A lotCount fills a report.
type lotCount struct {
	ctx    context.Context
	from   source
	report *lotreport.Report
	lot    int64
	most   int64 // certificates, and refused rows, that are looked at
}

// What a lotCount looks at of certificates: those of a lot in the order of their
// index.
const certificatesOfLot = `SELECT id, device FROM certificate WHERE lot = $1 AND lot <> 0 ORDER BY id LIMIT $2`

const devicesOfLot = `SELECT coalesce(l.text, ''), coalesce(s.text, ''), coalesce(d.state, ''), count(*)
	FROM certificate c
	LEFT JOIN ref l ON l.num = c.product_line LEFT JOIN ref s ON s.num = c.site
	LEFT JOIN device d ON d.owner = c.owner AND d.device = c.device
	WHERE c.id IN (SELECT max(id) FROM (` + certificatesOfLot + `) taken WHERE device <> '' GROUP BY device
		UNION ALL SELECT id FROM (` + certificatesOfLot + `) taken WHERE device = '')
	GROUP BY 1, 2, 3`

// beyond reports whether there is more than is looked at.
func (c *lotCount) beyond() (bool, error) {
	for _, count := range []struct {
		text string
		args []any
	}{
		{`SELECT count(*) FROM (SELECT 1 FROM certificate WHERE lot = $1 AND lot <> 0 LIMIT $2) taken`, []any{c.lot, c.most + 1}},
		{`SELECT count(*) FROM (SELECT 1` + refusalsOfLot + `1 = 1 LIMIT $3) taken`, []any{c.report.Tenant, c.report.Lot, c.most + 1}},
	} {
		if n, err := one(c.ctx, c.from, scanInt, count.text, count.args...); err != nil || n > c.most {
			return n > c.most, err
		}
	}
	return false, nil
}

// refusalsOfLot are rows that were refused and not retried.
const refusalsOfLot = ` FROM batch_refusal r JOIN batch b ON b.num = r.batch JOIN batch_chunk k ON k.batch = r.batch AND k.no = r.chunk
	WHERE b.tenant = $1 AND r.lot = $2 AND r.lot <> '' AND r.retried = 0 AND k.state = 'closed' AND `

// certificates counts the certificates and takes the digest over them.
func (c *lotCount) certificates() error {
	_, err := one(c.ctx, c.from, func(row row) (bool, error) {
		return true, row.Scan(&c.report.Certificates, intoTime{&c.report.First}, intoTime{&c.report.Last})
	}, `SELECT count(*), coalesce(min(issued), 0), coalesce(max(issued), 0) FROM certificate WHERE lot = $1 AND lot <> 0`, c.lot)
	if err != nil {
		return err
	}
	rows, err := c.from.query(c.ctx, `SELECT device, serial FROM certificate WHERE lot = $1 AND lot <> 0 ORDER BY device, serial`, c.lot)
	if err != nil {
		return err
	}
	defer rows.Close()
	sum := sha256.New()
	for rows.Next() {
		var device string
		var serial pki.Serial
		if err := rows.Scan(&device, intoArray(serial[:])); err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s\t%s\n", device, serial)
	}
	c.report.Digest = hex.EncodeToString(sum.Sum(nil))
	return rows.Err()
}

// place returns the counts of a product line and site, which are the lot's where
// nothing else was said.
func (c *lotCount) place(line, site string) *lotreport.Place {
	line, site = cmp.Or(line, c.report.ProductLine), cmp.Or(site, c.report.Site)
	for i := range c.report.Places {
		if p := &c.report.Places[i]; p.ProductLine == line && p.Site == site {
			return p
		}
	}
	c.report.Places = append(c.report.Places, lotreport.Place{ProductLine: line, Site: site})
	return &c.report.Places[len(c.report.Places)-1]
}

// devices counts each device with a certificate of the lot once, where its newest
// is; a certificate without a device counts as one.
func (c *lotCount) devices() error {
	type counted struct {
		line, site string
		scrapped   bool
		n          int64
	}
	all, err := list(c.ctx, c.from, func(row row) (d counted, err error) {
		var state registry.State
		err = row.Scan(&d.line, &d.site, &state, &d.n)
		d.scrapped = state == registry.Decommissioned
		return d, err
	}, devicesOfLot, c.lot, c.most)
	for _, d := range all {
		p := c.place(d.line, d.site)
		if d.scrapped {
			p.Scrapped += d.n
		} else {
			p.Issued += d.n
		}
	}
	return err
}

// refused counts each device whose row was refused and not retried, and that has no
// certificate of the lot; a row that names no device counts as one, and so do the two
// rows of a pair.
func (c *lotCount) refused() error {
	type counted struct {
		line, site string
		n          int64
	}
	scan := func(row row) (d counted, err error) {
		err = row.Scan(&d.line, &d.site, &d.n)
		return d, err
	}
	named, err := list(c.ctx, c.from, scan, `SELECT line, site, count(*) FROM (SELECT max(t.product_line) AS line, max(t.site) AS site
		FROM (SELECT r.device, r.product_line, r.site`+refusalsOfLot+`r.device <> '' LIMIT $4) t
		WHERE NOT EXISTS (SELECT 1 FROM certificate x JOIN ref o ON o.num = x.owner
			WHERE o.kind = 'tenant' AND o.text = $1 AND x.device = t.device AND x.lot = $3) GROUP BY t.device) refused GROUP BY line, site`,
		c.report.Tenant, c.report.Lot, c.lot, c.most)
	if err != nil {
		return err
	}
	nameless, err := list(c.ctx, c.from, scan, `SELECT product_line, site, count(*) FROM (SELECT r.product_line, r.site`+refusalsOfLot+`r.device = ''
		AND (b.pair_endpoint = '' OR r.row_no % 2 = 1) LIMIT $3) t
		GROUP BY product_line, site`, c.report.Tenant, c.report.Lot, c.most)
	for _, d := range append(named, nameless...) {
		c.place(d.line, d.site).Refused += d.n
	}
	return err
}

// batches lists the batches with rows in the lot.
func (c *lotCount) batches() error {
	all, err := list(c.ctx, c.from, func(row row) (b lotreport.Batch, err error) {
		var digest [32]byte
		err = row.Scan(&b.ID, &b.RetryOf, intoArray(digest[:]), &b.State, &b.DryRun, &b.Rows, &b.Submitter, intoTime{&b.Created}, &b.Issued, &b.Refused)
		b.Digest = hex.EncodeToString(digest[:])
		return b, err
	}, `SELECT b.id, b.retry_of, b.digest, b.state, b.dry_run, b.row_count, b.submitter, b.created,
			(SELECT count(*) FROM certificate c WHERE c.batch = b.num AND c.lot = $1),
			(SELECT count(*) FROM batch_refusal r JOIN batch_chunk k ON k.batch = r.batch AND k.no = r.chunk
				WHERE r.batch = b.num AND r.lot = $2 AND k.state = 'closed')
		FROM batch b WHERE b.tenant = $3 AND b.num IN (
			SELECT batch FROM certificate WHERE lot = $1 AND batch IS NOT NULL UNION SELECT batch FROM batch_refusal WHERE lot = $2)
		ORDER BY b.id`, c.lot, c.report.Lot, c.report.Tenant)
	c.report.Batches = append(c.report.Batches, all...)
	return err
}
