package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// An approved enrolment is executed by an intent, which claims its change as it claims
// a key: from then on nothing else ends the change, and no other intent has it. The
// record moves it to executed with the certificate, and a void intent gives it back.

// refuseUnapproved sets Refused of an item whose change is not approved, or is another
// intent's.
func (c *claiming) refuseUnapproved(it *issuance.Item) error {
	free, err := one(context.Background(), c.tx, func(row row) (free bool, err error) {
		var state approval.State
		var intent int64
		err = row.Scan(&state, &intent)
		return state == approval.Approved && intent == 0, err
	}, `SELECT state, intent FROM change WHERE tenant = $1 AND id = $2`, it.Owner, it.Change)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("reading a change: %w", err)
	}
	if !free {
		it.Refused = pki.Errorf(pki.Conflict, "change %s is not approved, or is being done already", it.Change)
	}
	return nil
}

// takeChange claims the change that an item executes.
func (c *claiming) takeChange(it *issuance.Item) error {
	if it.Change == "" {
		return nil
	}
	if _, err := c.exec(`UPDATE change SET intent = $1 WHERE tenant = $2 AND id = $3`, c.intent, it.Owner, it.Change); err != nil {
		return fmt.Errorf("claiming a change: %w", err)
	}
	return nil
}

// giveUpChanges gives up what an intent claimed and did not execute.
func (t *tx) giveUpChanges(intent int64) error {
	if _, err := t.exec(`UPDATE change SET intent = 0 WHERE intent = $1 AND intent <> 0 AND state = 'approved'`, intent); err != nil {
		return fmt.Errorf("giving up what an intent executes: %w", err)
	}
	return nil
}

// executeChanges moves the changes of the items that were signed to executed, each with
// its event.
func (r *recording) executeChanges(items []*issuance.Item) error {
	var events []pki.Event
	for place, it := range items {
		if it.Change == "" || it.DER == nil {
			continue
		}
		if _, err := r.exec(`INSERT INTO change_certificate (change, place, issuer, serial) VALUES ($1, $2, $3, $4)`, it.Change, place, r.issuer.num, it.Serial[:]); err != nil {
			return fmt.Errorf("storing what a change led to: %w", err)
		}
		text := fmt.Sprintf("certificate %s of issuer %s", it.Serial, r.in.Issuer)
		if last := len(events) - 1; last >= 0 && events[last].Change == it.Change { // of a pair
			events[last].Detail += ", " + text
			continue
		}
		events = append(events, pki.Event{Tenant: it.Owner, At: r.now, Actor: it.Actor, Action: "change.execute", Target: "change:" + string(it.Change),
			Detail: fmt.Sprintf("%s, device:%s: %s", approval.Enroll, it.Device, text), Change: it.Change})
	}
	return r.storeEvents(events)
}

const changeOf = `SELECT x.change FROM change_certificate x JOIN change c ON c.id = x.change WHERE x.serial = $1 AND x.issuer = $2 AND c.tenant = $3`

// ChangeOf implements trace.Store.
func (s *Store) ChangeOf(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (pki.ChangeID, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return "", err
	}
	id, err := one(ctx, s.read, func(row row) (id pki.ChangeID, err error) {
		err = row.Scan(&id)
		return id, err
	}, changeOf, serial[:], num, tenant)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("reading who approved a certificate: %w", err)
	}
	return id, nil
}
