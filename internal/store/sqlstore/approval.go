package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// ApprovalRules implements approval.Store.
func (s *Store) ApprovalRules(ctx context.Context, tenant pki.TenantID) ([]approval.Rule, bool, error) {
	defaults, err := one(ctx, s.read, scanInt, `SELECT approvals FROM tenant WHERE id = $1`, tenant)
	if defaults, err = found(defaults, err, "tenant %q", tenant); err != nil {
		return nil, false, err
	}
	rules, err := rulesOf(ctx, s.read, tenant)
	return rules, defaults != 0, err
}

// rulesOf returns the rules that a tenant has set, by kind.
func rulesOf(ctx context.Context, from source, tenant pki.TenantID) ([]approval.Rule, error) {
	rules, err := list(ctx, from, scanRule, `SELECT kind, steps, life, share FROM approval_rule WHERE tenant = $1 ORDER BY kind`, tenant)
	if err != nil {
		return nil, fmt.Errorf("reading the rules of approval: %w", err)
	}
	return rules, nil
}

func scanRule(row row) (r approval.Rule, err error) {
	var life int64
	if err = row.Scan(&r.Kind, intoSteps{&r.Steps}, &life, &r.Share); err == nil {
		r.Life = time.Duration(life) * time.Microsecond
	}
	return r, err
}

// SetApprovalRule implements approval.Store.
func (s *Store) SetApprovalRule(ctx context.Context, tenant pki.TenantID, r approval.Rule, was []approval.Rule, e pki.Event) error {
	steps, err := stepsText(r.Steps)
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		set, err := rulesOf(ctx, t, tenant)
		switch {
		case err != nil:
			return err
		case !slices.EqualFunc(set, was, approval.Rule.Equal):
			return pki.Errorf(pki.Conflict, "a rule about approval was changed by somebody else meanwhile: look at it again")
		}
		rows, err := t.exec(`INSERT INTO approval_rule (tenant, kind, steps, life, share) SELECT id, $2, $3, $4, $5 FROM tenant WHERE id = $1
			ON CONFLICT (tenant, kind) DO UPDATE SET steps = excluded.steps, life = excluded.life, share = excluded.share`, tenant, r.Kind, steps, r.Life.Microseconds(), r.Share)
		switch {
		case err != nil:
			return fmt.Errorf("setting a rule of approval: %w", err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no tenant %q", tenant)
		}
		return t.event(e)
	})
}

// stepsText writes steps as they are stored.
func stepsText(steps []approval.Step) (string, error) {
	text, err := json.Marshal(steps, json.FormatNilSliceAsNull(false))
	return string(text), err
}

// intoSteps is the reverse of stepsText.
type intoSteps struct{ steps *[]approval.Step }

// Scan implements sql.Scanner.
func (i intoSteps) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("steps are stored as %T", src)
	}
	if text == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(text), i.steps)
}

// PutChange implements approval.Store.
func (s *Store) PutChange(ctx context.Context, c *approval.Change, again bool, most approval.Most, e pki.Event) (*approval.Change, error) {
	steps, err := stepsText(c.Steps)
	if err != nil {
		return nil, err
	}
	kept := c
	err = s.update(ctx, func(t *tx) error {
		text := openChange
		if again {
			text = askedChange
		}
		have, err := one(ctx, t, scanChange, text, c.Tenant, c.Requester.ID, c.Hash[:])
		if err == nil {
			kept = have
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("looking for a change: %w", err)
		}
		if err := t.roomForChange(ctx, c, most); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO change (id, tenant, kind, target, place, summary, payload, hash, requester_tenant, requester, requester_name,
				created, expires, state, outcome, finished, steps, decided, proof)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'pending', '', 0, $14, 0, $15)`,
			c.ID, c.Tenant, c.Kind, c.Target, c.Place.String(), c.Summary, c.Payload, c.Hash[:], c.Requester.Tenant, c.Requester.ID, c.Requester.Name,
			micros(c.Created), micros(c.Expires), steps, bytesOf(c.Proof))
		if err != nil {
			return fmt.Errorf("storing a change: %w", err)
		}
		return t.event(e)
	})
	if err != nil {
		return nil, err
	}
	return kept, s.readParts(ctx, kept)
}

// roomForChange refuses one open change more than there may be.
func (t *tx) roomForChange(ctx context.Context, c *approval.Change, most approval.Most) error {
	open, err := one(ctx, t, scanInt, openOfTenant, c.Tenant, most.Tenant)
	if err != nil {
		return fmt.Errorf("counting changes: %w", err)
	}
	own, err := one(ctx, t, scanInt, openOfRequester, c.Tenant, c.Requester.ID, most.Requester)
	switch {
	case err != nil:
		return fmt.Errorf("counting a requester's changes: %w", err)
	case open >= int64(most.Tenant):
		return pki.Errorf(pki.RateLimited, "%d changes of this tenant wait for approval already: have them decided or withdrawn first", most.Tenant)
	case own >= int64(most.Requester):
		return pki.Errorf(pki.RateLimited, "%d changes that you asked for wait for approval already: have them decided or withdraw some first", most.Requester)
	}
	return nil
}

// AskedChange implements approval.Store.
func (s *Store) AskedChange(ctx context.Context, tenant pki.TenantID, requester string, hash [32]byte) (*approval.Change, error) {
	c, err := one(ctx, s.read, scanChange, askedChange, tenant, requester, hash[:])
	if errors.Is(err, sql.ErrNoRows) {
		return nil, pki.Errorf(pki.NotFound, "nobody asked for this")
	}
	if err != nil {
		return nil, fmt.Errorf("looking for a change: %w", err)
	}
	return c, s.readParts(ctx, c)
}

// The statements on what is there of the same request, which change_same and
// change_asked lead.
const (
	ofRequest       = `WHERE tenant = $1 AND requester = $2 AND hash = $3 `
	openChange      = selectChange + ofRequest + `AND state IN ('pending', 'approved')`
	askedChange     = selectChange + ofRequest + `ORDER BY num DESC LIMIT 1`
	openOfTenant    = `SELECT count(*) FROM (SELECT 1 FROM change WHERE tenant = $1 AND state IN ('pending', 'approved') LIMIT $2) c`
	openOfRequester = `SELECT count(*) FROM (SELECT 1 FROM change WHERE tenant = $1 AND requester = $2 AND state IN ('pending', 'approved') LIMIT $3) c`
)

const (
	changeColumns = `id, tenant, kind, target, place, summary, hash, requester_tenant, requester, requester_name, created, expires, state, outcome, finished, steps`
	selectChange  = `SELECT ` + changeColumns + `, payload, proof FROM change `
	selectListed  = `SELECT ` + changeColumns + ` FROM change `
)

func scanListed(row row) (*approval.Change, error) {
	c := new(approval.Change)
	return c, row.Scan(&c.ID, &c.Tenant, &c.Kind, &c.Target, intoScope{&c.Place}, &c.Summary, intoArray(c.Hash[:]), &c.Requester.Tenant, &c.Requester.ID, &c.Requester.Name,
		intoTime{&c.Created}, intoTime{&c.Expires}, &c.State, &c.Outcome, intoTime{&c.Finished}, intoSteps{&c.Steps})
}

func scanChange(row row) (*approval.Change, error) {
	var payload, proof []byte
	c, err := scanListed(scannedAfter{row, []any{&payload, &proof}})
	if c.Payload = payload; len(proof) > 0 {
		c.Proof = proof
	}
	return c, err
}

// Change implements approval.Store.
func (s *Store) Change(ctx context.Context, tenant pki.TenantID, id pki.ChangeID) (*approval.Change, error) {
	var c *approval.Change
	err := s.read.snapshot(ctx, func(from source) (err error) {
		c, err = one(ctx, from, scanChange, selectChange+`WHERE tenant = $1 AND id = $2`, tenant, id)
		if c, err = found(c, err, "change %.60q", string(id)); err != nil {
			return err
		}
		return readParts(ctx, from, c)
	})
	return c, err
}

func (s *Store) readParts(ctx context.Context, changes ...*approval.Change) error {
	for _, c := range changes {
		if err := readParts(ctx, s.read, c); err != nil {
			return err
		}
	}
	return nil
}

// readParts reads the decisions on a change, and what it led to.
func readParts(ctx context.Context, from source, c *approval.Change) (err error) {
	if err := readDecisions(ctx, from, c); err != nil || c.Kind != approval.Enroll || c.State != approval.Executed {
		return err
	}
	c.Certificates, err = list(ctx, from, func(row row) (x approval.Certificate, err error) {
		err = row.Scan(&x.Issuer, intoArray(x.Serial[:]))
		return x, err
	}, `SELECT r.text, x.serial FROM change_certificate x JOIN ref r ON r.num = x.issuer WHERE x.change = $1 ORDER BY x.place`, c.ID)
	if err != nil {
		return fmt.Errorf("reading what a change led to: %w", err)
	}
	return nil
}

func readDecisions(ctx context.Context, from source, c *approval.Change) (err error) {
	c.Decisions, err = list(ctx, from, func(row row) (d approval.Decision, err error) {
		err = row.Scan(&d.Step, &d.By.Tenant, &d.By.ID, &d.By.Name, intoTime{&d.At}, &d.Verdict, intoArray(d.Hash[:]), &d.Comment)
		return d, err
	}, `SELECT step, principal_tenant, principal, principal_name, at, verdict, hash, comment FROM change_decision WHERE change = $1 ORDER BY n`, c.ID)
	if err != nil {
		return fmt.Errorf("reading the decisions on a change: %w", err)
	}
	return nil
}

// Changes implements approval.Store.
func (s *Store) Changes(ctx context.Context, tenant pki.TenantID, state approval.State, before pki.ChangeID, limit int) ([]*approval.Change, error) {
	all, err := list(ctx, s.read, scanListed, selectListed+`WHERE tenant = $1 AND id < $2 AND (state = $3 OR $3 = '') ORDER BY id DESC LIMIT $4`,
		tenant, orNewest(string(before)), state, limit)
	if err != nil {
		return nil, fmt.Errorf("listing changes: %w", err)
	}
	return all, s.readParts(ctx, all...)
}

// OpenChanges implements approval.Store.
func (s *Store) OpenChanges(ctx context.Context, after pki.ChangeID, limit int) ([]*approval.Change, error) {
	all, err := list(ctx, s.read, scanListed, selectListed+`WHERE state IN ('pending', 'approved') AND id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing open changes: %w", err)
	}
	return all, nil
}

// FailedChanges implements approval.Store.
func (s *Store) FailedChanges(ctx context.Context, since time.Time) (map[pki.TenantID]int, error) {
	failed := make(map[pki.TenantID]int)
	_, err := list(ctx, s.read, func(row row) (struct{}, error) {
		var tenant pki.TenantID
		var n int
		err := row.Scan(&tenant, &n)
		failed[tenant] = n
		return struct{}{}, err
	}, `SELECT tenant, count(*) FROM change WHERE state = 'failed' AND finished >= $1 GROUP BY tenant`, micros(since))
	if err != nil {
		return nil, fmt.Errorf("counting failed changes: %w", err)
	}
	return failed, nil
}

// Decide implements approval.Store.
func (s *Store) Decide(ctx context.Context, tenant pki.TenantID, id pki.ChangeID, seen int, d approval.Decision, to approval.State, outcome string, e pki.Event) error {
	finished := d.At
	if to == approval.Pending || to == approval.Approved {
		finished = time.Time{}
	}
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE change SET state = $1, outcome = $2, finished = $3, decided = decided + 1
			WHERE tenant = $4 AND id = $5 AND state = 'pending' AND decided = $6`, to, outcome, micros(finished), tenant, id, seen)
		if err := t.changed(ctx, tenant, id, rows, err); err != nil {
			return err
		}
		rows, err = t.exec(`INSERT INTO change_decision (change, n, step, principal_tenant, principal, principal_name, at, verdict, hash, comment)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
			id, seen, d.Step, d.By.Tenant, d.By.ID, d.By.Name, micros(d.At), d.Verdict, d.Hash[:], d.Comment)
		if err := t.changed(ctx, tenant, id, rows, err); err != nil {
			return err
		}
		return t.event(e)
	})
}

// EndChange implements approval.Store.
func (s *Store) EndChange(ctx context.Context, tenant pki.TenantID, id pki.ChangeID, from, to approval.State, outcome string, at time.Time, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE change SET state = $1, outcome = $2, finished = $3 WHERE tenant = $4 AND id = $5 AND state = $6 AND intent = 0`,
			to, outcome, micros(at), tenant, id, from)
		if err := t.changed(ctx, tenant, id, rows, err); err != nil {
			return err
		}
		return t.event(e)
	})
}

// executed moves an approved change with the event of its act.
func (t *tx) executed(e *pki.Event) error {
	rows, err := t.exec(`UPDATE change SET state = 'executed', finished = $1 WHERE tenant = $2 AND id = $3 AND state = 'approved'`,
		micros(e.At), e.Tenant, e.Change)
	if err := t.changed(context.Background(), e.Tenant, e.Change, rows, err); err != nil {
		return err
	}
	e.Detail += " (approved: change " + string(e.Change) + ")"
	return nil
}

// changed turns what a statement on a change returned into an error: Conflict where
// no row was as it had to be.
func (t *tx) changed(ctx context.Context, tenant pki.TenantID, id pki.ChangeID, rows int64, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("changing a change: %w", err)
	case rows > 0:
		return nil
	}
	state, err := one(ctx, t, func(row row) (state approval.State, err error) {
		err = row.Scan(&state)
		return state, err
	}, `SELECT state FROM change WHERE tenant = $1 AND id = $2`, tenant, id)
	if state, err = found(state, err, "change %.60q", string(id)); err != nil {
		return err
	}
	return pki.Errorf(pki.Conflict, "change %s is %s, and somebody else was faster", id, state)
}

// intoScope scans the text of a scope.
type intoScope struct{ s *access.Scope }

// Scan implements sql.Scanner.
func (i intoScope) Scan(src any) (err error) {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("a scope is stored as %T", src)
	}
	*i.s, err = access.ParseScope(text)
	return err
}
