package sqlstore

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

// quotas is what is known of all quotas. It is owned by the transaction in progress,
// so that it is true in it: no other process writes to the database (see takeLock).
// Its zero value knows nothing.
type quotas struct {
	known     bool
	by        map[pki.TenantID]*tenantQuotas
	suspended map[pki.TenantID]bool
}

// forget has the next transaction read them anew: after a change of which there are,
// and after one that may not have been committed.
func (q *quotas) forget() { *q = quotas{} }

// tenantQuotas is the quotas of one tenant.
type tenantQuotas struct {
	by        map[quota.Target]*quotaRow
	loans     map[pair]*quotaRow
	firstLine int64 // the lowest barrier of those for product lines
}

// A pair is what is lent: an authority with a profile.
type pair struct {
	authority pki.AuthorityID
	lender    pki.TenantID
	profile   string // by its name
}

// A quotaRow is a row of table quota.
type quotaRow struct {
	num      int64
	target   quota.Target
	lent     pair // of a loan
	bound    int64
	used     int64
	barrier  int64
	position int64
	counting bool
}

// A held is what there is to know of a certificate, or of an item that is to be one,
// to say which quotas it counts against.
type held struct {
	owner    pki.TenantID
	issuer   issuerInfo
	profile  pki.ProfileRef
	line     string
	endpoint string
	intent   int64
	id       int64 // of the certificate's row; 0 is none yet
	gone     bool  // its device is decommissioned: it counts against loans alone, which are for what is issued, once and for all
}

// bounding returns the quotas that h counts against.
func (q *tenantQuotas) bounding(h *held) []*quotaRow {
	targets := [...]quota.Target{{Kind: quota.Tenant}, {Kind: quota.Authority, Name: h.issuer.authority}, {Kind: quota.Profile, Name: h.profile.Name}, {Kind: quota.ProductLine, Name: h.line}, {Kind: quota.Endpoint, Name: h.endpoint}}
	if h.issuer.owner != h.owner { // a name within another tenant
		targets[1] = quota.Target{}
	}
	if h.profile.Tenant != h.owner {
		targets[2] = quota.Target{}
	}
	var rows []*quotaRow
	for _, t := range targets {
		if row := q.by[t]; row != nil && !h.gone {
			rows = append(rows, row)
		}
	}
	if h.lent() {
		if row := q.loans[h.pair()]; row != nil {
			rows = append(rows, row)
		}
	}
	return rows
}

func (h *held) pair() pair { return pair{h.issuer.authorityID, h.profile.Tenant, h.profile.Name} }

// lent reports whether the certificate is one tenant's for another.
func (h *held) lent() bool { return h.issuer.owner != h.owner }

// has reports whether h is in what is used.
func (r *quotaRow) has(h *held) bool { return h.intent > r.barrier || h.id > 0 && h.id <= r.position }

const selectQuotaRow = `SELECT q.tenant, q.num, q.kind, q.name, q.bound, q.used, q.barrier, q.position, q.counting,
	coalesce(l.authority, ''), coalesce(l.parent, ''), coalesce(l.profile, '')
	FROM quota q LEFT JOIN loan l ON q.kind = 'loan' AND l.child = q.tenant AND l.name = q.name`

func scanQuotaRow(row row) (owner pki.TenantID, r *quotaRow, err error) {
	r = new(quotaRow)
	err = row.Scan(&owner, &r.num, &r.target.Kind, &r.target.Name, &r.bound, &r.used, &r.barrier, &r.position, &r.counting,
		&r.lent.authority, &r.lent.lender, &r.lent.profile)
	return owner, r, err
}

func newTenantQuotas() *tenantQuotas {
	return &tenantQuotas{by: make(map[quota.Target]*quotaRow), loans: make(map[pair]*quotaRow), firstLine: math.MaxInt64}
}

// add adds a tenant's quota.
func (q *tenantQuotas) add(r *quotaRow) {
	switch q.by[r.target] = r; r.target.Kind {
	case quota.ProductLine:
		q.firstLine = min(q.firstLine, r.barrier)
	case quota.Loan:
		q.loans[r.lent] = r
	}
}

// quotasOf returns a tenant's quotas, nil for none.
func (t *tx) quotasOf(tenant pki.TenantID) (*tenantQuotas, error) {
	if t.s.quotas.known {
		return t.s.quotas.by[tenant], nil
	}
	by := make(map[pki.TenantID]*tenantQuotas)
	err := t.queryEach(func(row row) error {
		owner, r, err := scanQuotaRow(row)
		if err != nil {
			return err
		}
		if by[owner] == nil {
			by[owner] = newTenantQuotas()
		}
		by[owner].add(r)
		return nil
	}, selectQuotaRow)
	suspended := make(map[pki.TenantID]bool)
	if err == nil {
		err = t.queryEach(func(row row) error {
			var id pki.TenantID
			err := row.Scan(&id)
			suspended[id] = true
			return err
		}, `SELECT id FROM tenant WHERE suspended = 1`)
	}
	if err != nil {
		return nil, fmt.Errorf("reading quotas: %w", err)
	}
	t.s.quotas = quotas{known: true, by: by, suspended: suspended}
	return by[tenant], nil
}

// touch notes a quota that the transaction changed.
func (t *tx) touch(r *quotaRow) {
	if t.touched == nil {
		t.touched = make(map[*quotaRow]bool)
	}
	t.touched[r] = true
}

// storeQuotas stores what the transaction changed.
func (t *tx) storeQuotas() error {
	for r := range t.touched {
		_, err := t.exec(`UPDATE quota SET used = $1, position = $2, counting = $3 WHERE num = $4`, r.used, r.position, number(r.counting), r.num)
		if err != nil {
			return fmt.Errorf("storing a quota: %w", err)
		}
	}
	return nil
}

// debit takes an item of a new intent from its owner's quotas, or sets Refused where
// one of them is used up. Nothing refuses the item after it.
func (t *tx) debit(intent int64, issuer issuerInfo, it *issuance.Item) error {
	owner, err := t.quotasOf(it.Owner)
	h := heldItem(intent, issuer, it)
	switch {
	case err != nil:
		return err
	case h.lent() && (owner == nil || owner.loans[h.pair()] == nil):
		it.Refused = pki.Forbid(pki.LoanEnded, "the authority is not lent with this profile any more: whoever lent it took it back; 'pando loans' lists what is lent")
		return nil
	case !quota.Counts(it.Row, it.Actor):
		return nil
	case t.s.quotas.suspended[it.Owner]:
		it.Refused = pki.Forbid(pki.TenantSuspended, "the tenant %s is suspended by its parent: whoever administers that one resumes it", it.Owner)
		return nil
	case owner == nil:
		return nil
	}
	if owner.firstLine < intent {
		if err := t.settleLine(it); err != nil {
			return err
		}
		h.line = it.Placement.ProductLine
	}
	rows := owner.bounding(h)
	for _, r := range rows {
		if r.used >= r.bound {
			it.Refused = quota.Exceeded(r.target, r.bound)
			return nil
		}
	}
	for _, r := range rows {
		r.used++
		t.touch(r)
	}
	return nil
}

func heldItem(intent int64, issuer issuerInfo, it *issuance.Item) *held {
	return &held{owner: it.Owner, issuer: issuer, profile: it.Profile, line: it.Placement.ProductLine, endpoint: it.Endpoint, intent: intent}
}

// settleLine has an item that says nothing of its product line be in that of its
// device, as the device is now: the quota that is debited is that of the record.
func (t *tx) settleLine(it *issuance.Item) error {
	if it.Placement.ProductLine != "" || it.Device == "" {
		return nil
	}
	owner, err := t.intern(tenantRef(it.Owner))
	if err != nil {
		return err
	}
	return t.queryEach(func(row row) error {
		var line int64
		if err := row.Scan(&line); err != nil {
			return err
		}
		name, err := t.refOf(line)
		it.Placement.ProductLine = strings.Clone(name.text)
		return err
	}, `SELECT product_line FROM device WHERE owner = $1 AND device = $2`, owner, it.Device)
}

// settled reports whether the product line of an intent's items was settled with it:
// a device that was moved since does not move them.
func (t *tx) settled(intent int64, it *issuance.Item) (bool, error) {
	owner, err := t.quotasOf(it.Owner)
	return owner != nil && owner.firstLine < intent && quota.Counts(it.Row, it.Actor), err
}

// creditItem gives back what an item took: all of it where it came to nothing; where it
// is issued, to a device that may have no certificates any more, nothing of a loan.
func (t *tx) creditItem(intent int64, issuer issuerInfo, it *issuance.Item, issued bool) error {
	if !quota.Counts(it.Row, it.Actor) {
		return nil
	}
	return t.credit(heldItem(intent, issuer, it), issued)
}

// credit gives back what h took; what was issued stays taken from a loan.
func (t *tx) credit(h *held, issued bool) error {
	owner, err := t.quotasOf(h.owner)
	if owner == nil || err != nil {
		return err
	}
	for _, r := range owner.bounding(h) {
		if spent := issued && r.target.Kind == quota.Loan; r.has(h) && !spent {
			r.used--
			t.touch(r)
		}
	}
	return nil
}

// A heldRow is what of a certificate's row says which quotas it counts against.
type heldRow struct {
	id, intent, owner, issuer, profile, line, actor, row int64
	gone                                                 bool // its device is decommissioned
}

// heldRows reads such rows, of which c is the certificate's table and d that of its
// device.
const heldRows = `SELECT c.id, c.intent, c.owner, c.issuer, c.profile, c.product_line, c.actor, c.row_no,
	CASE WHEN d.state = 'decommissioned' THEN 1 ELSE 0 END
	FROM certificate c LEFT JOIN device d ON d.owner = c.owner AND d.device = c.device `

func scanHeld(row row) (h heldRow, err error) {
	err = row.Scan(&h.id, &h.intent, &h.owner, &h.issuer, &h.profile, &h.line, &h.actor, &h.row, &h.gone)
	return h, err
}

// held returns what a row stands for; nil where it counts against nothing.
func (s *Store) held(ctx context.Context, from source, r *heldRow) (*held, error) {
	var refs [5]ref
	for i, num := range []int64{r.owner, r.issuer, r.profile, r.line, r.actor} {
		var err error
		if refs[i], err = s.refOf(ctx, from, num); err != nil {
			return nil, err
		}
	}
	endpoint, actor := refs[4].asked()
	if !quota.Counts(r.row, actor) {
		return nil, nil
	}
	h := &held{owner: pki.TenantID(refs[0].text), line: refs[3].text, endpoint: endpoint, intent: r.intent, id: r.id, gone: r.gone}
	var err error
	if h.profile, err = refs[2].profile(); err != nil {
		return nil, err
	}
	h.issuer, err = s.issuerInfo(ctx, pki.IssuerID(refs[1].text))
	return h, err
}

// free gives back what the certificates of a device took, which is about to be
// decommissioned.
func (t *tx) free(tenant pki.TenantID, owner int64, device pki.DeviceID) error {
	return t.creditRows(tenant, `WHERE c.owner = $1 AND c.device = $2 AND c.device <> ''`, owner, device)
}

// freeRow gives back what one certificate took, whose row is about to be taken away.
func (t *tx) freeRow(tenant pki.TenantID, id int64) error {
	return t.creditRows(tenant, `WHERE c.id = $1`, id)
}

func (t *tx) creditRows(tenant pki.TenantID, which string, args ...any) error {
	if owner, err := t.quotasOf(tenant); owner == nil || err != nil {
		return err
	}
	rows, err := list(context.Background(), t, scanHeld, heldRows+which, args...)
	if err != nil {
		return fmt.Errorf("reading what counts against quotas: %w", err)
	}
	for i := range rows {
		h, err := t.s.held(context.Background(), t, &rows[i])
		if err == nil && h != nil {
			err = t.credit(h, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
