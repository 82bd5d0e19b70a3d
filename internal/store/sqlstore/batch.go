package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

// ofStop is the newest event on a batch that is paused or cancelled: the one that did it.
const ofStop = ` FROM event e WHERE b.state IN ('paused', 'cancelled') AND e.tenant = b.tenant
	AND e.target = 'batch:' || b.id ORDER BY e.num DESC LIMIT 1`

// changeOfBatch is the newest change that is about a batch.
const changeOfBatch = ` FROM change c WHERE c.tenant = b.tenant AND c.target = 'batch:' || b.id ORDER BY c.num DESC LIMIT 1`

const batchColumns = `b.num, b.id, b.tenant, b.endpoint, b.profile_tenant, b.profile_name, b.profile_version, b.authority,
		b.product_line, b.lot, b.site, b.dry_run, b.idempotency, b.state, b.row_count, b.digest, b.submitter,
		b.created, b.started, b.finished, b.retry_of, b.retry_kinds, b.every_line, b.every_site, b.scopes, b.needs,
		b.pair_endpoint, b.pair_tenant, b.pair_profile, b.pair_version`

const selectHead = `SELECT ` + batchColumns + ` FROM batch b `

// A dry run's refusals count while its batch is Checking or Checked; others once
// their chunk is closed. What is left of a cancelled batch is cancelled, but for
// chunks that an intent still has.
const selectBatch = `SELECT ` + batchColumns + `,
		coalesce((SELECT e.actor` + ofStop + `), ''), coalesce((SELECT e.detail` + ofStop + `), ''),
		coalesce((SELECT c.id` + changeOfBatch + `), ''),
		coalesce(sum(c.row_count * c.checked), 0),
		coalesce(sum(c.issued), 0),
		coalesce(sum(CASE WHEN c.state = 'closed' OR b.state IN ('checking', 'checked') THEN c.refused ELSE 0 END), 0),
		coalesce(sum(CASE WHEN b.state <> 'cancelled' OR c.state = 'claimed' THEN 0
			WHEN c.state = 'closed' THEN c.row_count - c.issued - c.refused ELSE c.row_count END), 0)
	FROM batch b LEFT JOIN batch_chunk c ON c.batch = b.num `

type storedBatch struct {
	num int64
	batch.Batch
}

func scanBatch(row row) (*storedBatch, error) {
	b := new(storedBatch)
	return b, row.Scan(append(b.columns(), &b.StoppedBy, &b.Why, &b.Change, &b.Checked, &b.Issued, &b.Refused, &b.Cancelled)...)
}

func scanHead(row row) (*storedBatch, error) {
	b := new(storedBatch)
	return b, row.Scan(b.columns()...)
}

func (b *storedBatch) columns() []any {
	return []any{&b.num, &b.ID, &b.Tenant, &b.Endpoint, &b.Profile.Tenant, &b.Profile.Name, &b.Profile.Version, &b.Authority,
		&b.Defaults.ProductLine, &b.Defaults.Lot, &b.Defaults.Site, &b.DryRun, &b.Idempotency, &b.State, &b.Rows,
		intoArray(b.Digest[:]), &b.By, intoTime{&b.Created}, intoTime{&b.Started}, intoTime{&b.Finished}, &b.RetryOf, &b.RetryKinds, &b.Every.ProductLine, &b.Every.Site, intoScopes{&b.Scopes}, &b.Needs,
		&b.PairEndpoint, &b.PairProfile.Tenant, &b.PairProfile.Name, &b.PairProfile.Version}
}

const selectOneBatch = selectBatch + `WHERE b.tenant = $1 AND b.id = $2 GROUP BY b.num`

const selectBatchByKey = selectBatch + `WHERE b.tenant = $1 AND b.idempotency = $2 AND b.idempotency <> '' GROUP BY b.num`

// CreateBatch implements batch.Store; Conflict where the id is taken.
func (s *Store) CreateBatch(ctx context.Context, b *batch.Batch, e pki.Event) (*batch.Batch, bool, error) {
	var existing *batch.Batch
	err := s.update(ctx, func(t *tx) error {
		existing = nil
		if b.Idempotency != "" {
			got, err := one(ctx, t, scanBatch, selectBatchByKey, b.Tenant, b.Idempotency)
			if err == nil {
				existing = &got.Batch
				return nil
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("reading a batch by its idempotency key: %w", err)
			}
		}
		num, err := t.intern(batchRef(b.ID))
		if err != nil {
			return err
		}
		rows, err := t.exec(`INSERT INTO batch (num, id, tenant, endpoint, profile_tenant, profile_name, profile_version, authority,
				product_line, lot, site, dry_run, idempotency, state, row_count, digest, submitter, created, started, finished, retry_of, retry_kinds, scopes, needs,
				pair_endpoint, pair_tenant, pair_profile, pair_version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15, $16, $17, 0, 0, $18, $19, $20, $21, $22, $23, $24, $25) ON CONFLICT DO NOTHING`,
			num, b.ID, b.Tenant, b.Endpoint, b.Profile.Tenant, b.Profile.Name, b.Profile.Version, b.Authority,
			b.Defaults.ProductLine, b.Defaults.Lot, b.Defaults.Site, number(b.DryRun), b.Idempotency, batch.Uploading,
			make([]byte, len(b.Digest)), b.By, micros(b.Created), b.RetryOf, b.RetryKinds, scopesText(b.Scopes), b.Needs,
			b.PairEndpoint, b.PairProfile.Tenant, b.PairProfile.Name, b.PairProfile.Version)
		switch {
		case err != nil:
			return fmt.Errorf("storing batch %s: %w", b.ID, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is a batch %q already", b.ID)
		}
		return t.event(e)
	})
	if err != nil || existing != nil {
		return existing, existing != nil, err
	}
	b, err = s.Batch(ctx, b.Tenant, b.ID)
	return b, false, err
}

// BatchByKey implements batch.Store.
func (s *Store) BatchByKey(ctx context.Context, tenant pki.TenantID, idempotency string) (*batch.Batch, error) {
	if idempotency == "" {
		return nil, pki.Errorf(pki.NotFound, "no batch has no idempotency key to be found by")
	}
	b, err := one(ctx, s.read, scanBatch, selectBatchByKey, tenant, idempotency)
	if b, err = found(b, err, "batch with the idempotency key %q", idempotency); err != nil {
		return nil, err
	}
	return &b.Batch, nil
}

// Batch implements batch.Store.
func (s *Store) Batch(ctx context.Context, tenant pki.TenantID, id pki.BatchID) (*batch.Batch, error) {
	b, err := one(ctx, s.read, scanBatch, selectOneBatch, tenant, id)
	if b, err = found(b, err, "batch %q", id); err != nil {
		return nil, err
	}
	return &b.Batch, nil
}

// BatchHead implements batch.Store.
func (s *Store) BatchHead(ctx context.Context, tenant pki.TenantID, id pki.BatchID) (*batch.Batch, error) {
	b, err := batchHead(ctx, s.read, tenant, id)
	if err != nil {
		return nil, err
	}
	return &b.Batch, nil
}

func batchHead(ctx context.Context, from source, tenant pki.TenantID, id pki.BatchID) (*storedBatch, error) {
	b, err := one(ctx, from, scanHead, selectHead+`WHERE b.tenant = $1 AND b.id = $2`, tenant, id)
	return found(b, err, "batch %q", id)
}

// Batches implements batch.Store.
func (s *Store) Batches(ctx context.Context, tenant pki.TenantID, before pki.BatchID, limit int) ([]*batch.Batch, error) {
	all, err := list(ctx, s.read, scanBatch,
		selectBatch+`WHERE b.num IN (SELECT num FROM batch WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3)
			GROUP BY b.num ORDER BY b.id DESC`, tenant, orNewest(string(before)), limit)
	return batches(all), listed(err)
}

// Active implements batch.Store.
func (s *Store) Active(ctx context.Context, states ...batch.State) ([]*batch.Batch, error) {
	if len(states) == 0 {
		return nil, nil
	}
	args := make([]any, len(states))
	marks := make([]string, len(states))
	for i, st := range states {
		args[i], marks[i] = st, fmt.Sprintf("$%d", i+1)
	}
	all, err := list(ctx, s.read, scanHead, selectHead+`WHERE b.state IN (`+strings.Join(marks, ", ")+`) ORDER BY b.num`, args...)
	return batches(all), listed(err)
}

// deniedBatches is led by batch_state and change_target.
const deniedBatches = `SELECT b.tenant, b.id, c.id, c.state, c.outcome FROM batch b JOIN change c ON c.tenant = b.tenant AND c.target = 'batch:' || b.id
	WHERE b.state = 'waiting' AND c.num = (SELECT max(n.num) FROM change n WHERE n.tenant = b.tenant AND n.target = 'batch:' || b.id)
		AND c.state IN ('refused', 'withdrawn', 'expired', 'failed')`

// Denied implements batch.Store.
func (s *Store) Denied(ctx context.Context) ([]batch.Denied, error) {
	all, err := list(ctx, s.read, func(row row) (d batch.Denied, err error) {
		err = row.Scan(&d.Tenant, &d.ID, &d.Change, &d.State, &d.Outcome)
		return d, err
	}, deniedBatches)
	return all, listed(err)
}

func batches(rows []*storedBatch) []*batch.Batch {
	all := make([]*batch.Batch, len(rows))
	for i, b := range rows {
		all[i] = &b.Batch
	}
	return all
}

func listed(err error) error {
	if err != nil {
		return fmt.Errorf("listing batches: %w", err)
	}
	return nil
}

// EndUpload implements batch.Store.
func (s *Store) EndUpload(ctx context.Context, tenant pki.TenantID, id pki.BatchID, rows int64, every batch.Every, digest [32]byte, next batch.State, at time.Time, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		b, err := t.inState(tenant, id, batch.Uploading)
		if err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE batch SET row_count = $1, digest = $2, every_line = $3, every_site = $4 WHERE num = $5`,
			rows, digest[:], every.ProductLine, every.Site, b.num); err != nil {
			return fmt.Errorf("ending an upload: %w", err)
		}
		if err := t.setState(b, next, at); err != nil {
			return err
		}
		return t.event(e)
	})
}

// SetState implements batch.Store.
func (s *Store) SetState(ctx context.Context, tenant pki.TenantID, id pki.BatchID, from []batch.State, to batch.State, at time.Time, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		b, err := t.inState(tenant, id, from...)
		if err != nil {
			return err
		}
		if to == batch.Done {
			open, err := one(ctx, t, scanInt, `SELECT count(*) FROM batch_chunk WHERE batch = $1 AND state <> 'closed'`, b.num)
			switch {
			case err != nil:
				return fmt.Errorf("counting chunks: %w", err)
			case open > 0:
				return pki.Errorf(pki.NotReady, "%d chunks of the batch are not done", open)
			}
		}
		if to == batch.Running && b.Started.IsZero() { // nothing was issued yet: what is there is a dry run's
			if err := t.dropCheck(b.num); err != nil {
				return err
			}
		}
		if to == batch.Cancelled && (b.State == batch.Uploading || b.State == batch.Waiting) {
			if err := t.giveUpRetries(b); err != nil {
				return err
			}
		}
		if err := t.setState(b, to, at); err != nil {
			return err
		}
		return t.event(e)
	})
}

// inState returns the batch if it is in one of the given states; otherwise
// Conflict, or NotFound.
func (t *tx) inState(tenant pki.TenantID, id pki.BatchID, states ...batch.State) (*storedBatch, error) {
	b, err := batchHead(context.Background(), t, tenant, id)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(states, b.State) {
		return nil, pki.Errorf(pki.Conflict, "the batch is %s", b.State)
	}
	return b, nil
}

// setState sets the state and the time that goes with it.
func (t *tx) setState(b *storedBatch, to batch.State, at time.Time) error {
	switch {
	case to == batch.Running && b.Started.IsZero():
		b.Started = at
	case to == batch.Done || to == batch.Cancelled:
		b.Finished = at
	}
	if _, err := t.exec(`UPDATE batch SET state = $1, started = $2, finished = $3 WHERE num = $4`,
		to, micros(b.Started), micros(b.Finished), b.num); err != nil {
		return fmt.Errorf("setting the state of a batch: %w", err)
	}
	return nil
}

// scopesText returns scopes as they are stored, separated by commas, which stand in no
// scope's text.
func scopesText(all []access.Scope) string {
	text := make([]string, len(all))
	for i, s := range all {
		text[i] = s.String()
	}
	return strings.Join(text, ",")
}

// intoScopes is the reverse of scopesText.
type intoScopes struct{ all *[]access.Scope }

// Scan implements sql.Scanner.
func (i intoScopes) Scan(src any) (err error) {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("scopes are stored as %T", src)
	}
	if text != "" {
		*i.all, err = access.ParseScopes(strings.Split(text, ","))
	}
	return err
}
