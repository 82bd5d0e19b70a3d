package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// A claiming is a new intent that makes its claims.
type claiming struct {
	*tx
	recent  *recent
	intent  int64
	issuer  issuerInfo
	file    batchFile // zero where it is no batch's
	now     time.Time
	keys    map[keyID]keyClaim     // of the items, that are in their table
	orders  map[orderID]orderClaim // likewise
	entries []claimEntry
}

// claims makes the claims of a new intent's items. It sets Refused or Earlier of
// those that get none.
func (t *tx) claims(intent int64, issuer issuerInfo, file batchFile, items []*issuance.Item, now time.Time) error {
	r, err := t.recentClaims()
	if err != nil {
		return err
	}
	c := claiming{tx: t, recent: r, intent: intent, issuer: issuer, file: file, now: now, entries: make([]claimEntry, 0, len(items))}
	if err := c.lookUp(items); err != nil {
		return err
	}
	for i := 0; i < len(items); i++ {
		if items[i].With == nil {
			err = c.claim(items[i])
		} else {
			err = c.claimPair(items[i], items[i].With)
			i++
		}
		if err != nil {
			return err
		}
	}
	if len(c.entries) == 0 {
		return nil
	}
	if _, err := t.exec(`INSERT INTO claim (intent, created, entries) VALUES ($1, $2, $3)`, intent, micros(now), encodeClaims(c.entries)); err != nil {
		return fmt.Errorf("storing claims: %w", err)
	}
	t.claimed += len(c.entries)
	return nil
}

// lookUp reads what the tables have of the items' keys and idempotency keys, many
// at a time, each owner's by itself.
func (c *claiming) lookUp(items []*issuance.Item) error {
	keys, orders, issued := make(map[int64][]any, 1), make(map[int64][]any, 1), make(map[int64][]any)
	var devices *fileDevices
	if c.file.owner != 0 {
		var err error
		if devices, err = c.devicesOf(); err != nil {
			return err
		}
	}
	for _, it := range items {
		owner, err := c.intern(tenantRef(it.Owner))
		if err != nil {
			return err
		}
		if !it.SharedKey {
			keys[owner] = append(keys[owner], it.KeyHash[:keyHashSize])
		}
		if id, named := c.file.device(it); named && devices.mayBeGone(id.hash) {
			keys[id.owner] = append(keys[id.owner], id.hash[:])
			issued[owner] = append(issued[owner], string(it.Device))
		}
		if it.Idempotency != "" {
			orders[owner] = append(orders[owner], it.Idempotency)
		}
	}
	c.keys, c.orders = make(map[keyID]keyClaim), make(map[orderID]orderClaim)
	for owner, hashes := range keys {
		err := c.queryList(selectKeys, owner, hashes, func(row row) error {
			id, k := keyID{owner: owner}, keyClaim{}
			if err := row.Scan(intoArray(id.hash[:]), &k.device, &k.intent); err != nil {
				return err
			}
			c.keys[id] = k
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading uses of keys: %w", err)
		}
	}
	if err := c.lookUpIssued(issued); err != nil {
		return err
	}
	for owner, names := range orders {
		err := c.queryList(selectOrders, owner, names, func(row row) error {
			id, o := orderID{owner: owner}, orderClaim{}
			if err := row.Scan(&id.key, intoArray(o.request[:]), &o.intent, &o.issuer, intoArray(o.serial[:])); err != nil {
				return err
			}
			c.orders[id] = o
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading idempotency keys: %w", err)
		}
	}
	return nil
}

var (
	selectKeys   = newListText(`SELECT hash, device, intent FROM key_use WHERE owner = $1 AND hash IN`)
	selectOrders = newListText(`SELECT key, request_hash, intent, issuer, serial FROM idempotency WHERE owner = $1 AND key IN`)
)

// claim claims an item's idempotency key and its key, or sets Earlier or Refused
// and claims nothing.
func (c *claiming) claim(it *issuance.Item) error {
	w, err := c.want(it)
	if err != nil || it.Refused != nil || it.Earlier != nil {
		return err
	}
	if err := c.debit(c.intent, c.issuer, it); err != nil || it.Refused != nil {
		return err
	}
	return c.take(it, &w)
}

// claimPair is claim for both of a pair, or for neither.
func (c *claiming) claimPair(a, b *issuance.Item) error {
	wantA, err := c.want(a)
	if err != nil {
		return err
	}
	wantB, err := c.want(b)
	if err != nil {
		return err
	}
	if settlePair(a, b); a.Refused != nil || a.Earlier != nil {
		return nil
	}
	if err := c.debit(c.intent, c.issuer, a); err != nil {
		return err
	}
	if a.Refused == nil {
		if err := c.debit(c.intent, c.issuer, b); err != nil {
			return err
		}
		if b.Refused != nil {
			if err := c.creditItem(c.intent, c.issuer, a, false); err != nil {
				return err
			}
		}
	}
	if settlePair(a, b); a.Refused != nil {
		return nil
	}
	if err := c.take(a, &wantA); err != nil {
		return err
	}
	wantB.named = false // the first has claimed their device
	return c.take(b, &wantB)
}

// settlePair has both of a pair refused where one is. One alone that came before is
// one whose idempotency key outlived the other's for a moment.
func settlePair(a, b *issuance.Item) {
	if a.Refused == nil && b.Refused == nil {
		if (a.Earlier == nil) == (b.Earlier == nil) {
			return
		}
		a.Refused = pki.Errorf(pki.Conflict, "the idempotency key is being forgotten: send the request under another")
	}
	both := issuance.RefuseBoth([2]error{a.Refused, b.Refused}, [2]int64{a.Row, b.Row})
	a.Refused, a.Earlier, b.Refused, b.Earlier = both[0], nil, both[1], nil
}

// A wanted is what an item needs to claim, where nothing refuses it.
type wanted struct {
	entry  claimEntry
	key    keyID
	had    keyClaim
	used   bool // had is the key's claim
	device keyID
	named  bool // device is claimed, too
}

// want finds out what an item needs to claim, or sets Earlier or Refused. It changes
// nothing.
func (c *claiming) want(it *issuance.Item) (w wanted, err error) {
	it.Refused, it.Earlier = nil, nil
	owner, err := c.intern(tenantRef(it.Owner))
	if err != nil {
		return w, err
	}
	w.entry.owner = owner
	if it.Idempotency != "" {
		id := orderID{owner, it.Idempotency}
		o, claimed := c.recent.order(id)
		if !claimed {
			o, claimed = c.orders[id]
		}
		if claimed {
			return w, c.findEarlier(o, it)
		}
		w.entry.order, w.entry.request, w.entry.issuer, w.entry.serial = strings.Clone(it.Idempotency), it.RequestHash, c.issuer.num, it.Serial
	}
	if err := c.refuseClosed(it); err != nil || it.Refused != nil {
		return w, err
	}
	if err := c.refuseOutside(owner, it); err != nil || it.Refused != nil {
		return w, err
	}
	if it.Change != "" {
		if err := c.refuseUnapproved(it); err != nil || it.Refused != nil {
			return w, err
		}
	}
	if !it.SharedKey {
		w.key = keyID{owner, [keyHashSize]byte(it.KeyHash[:])}
		if w.had, w.used = c.key(w.key); w.used {
			if it.Refused = refuseUsed(w.had, it); it.Refused != nil {
				return w, nil
			}
		}
	}
	if w.device, w.named = c.file.device(it); w.named {
		if first, there := c.key(w.device); there {
			it.Refused = c.file.refuse(first, it)
		}
	}
	return w, nil
}

// refuseOutside refuses an item whose device is, or is about to be, where whoever asked
// may not enrol.
func (c *claiming) refuseOutside(owner int64, it *issuance.Item) error {
	if it.Within == nil {
		return nil
	}
	var places [][2]int64
	if it.Device != "" {
		var err error
		places, err = list(context.Background(), c.tx, func(row row) (p [2]int64, err error) {
			return p, row.Scan(&p[0], &p[1])
		}, `SELECT product_line, site FROM device WHERE owner = $1 AND device = $2`, owner, it.Device)
		if err != nil {
			return fmt.Errorf("reading where a device is: %w", err)
		}
	}
	for _, p := range places {
		line, err := c.refOf(p[0])
		if err != nil {
			return err
		}
		site, err := c.refOf(p[1])
		if err != nil {
			return err
		}
		if it.Refused = it.Within.CheckAt(pki.Placement{ProductLine: line.text, Site: site.text}); it.Refused != nil {
			return nil
		}
	}
	if stays := len(places) > 0 && it.Placement == (pki.Placement{}); !stays {
		it.Refused = it.Within.CheckAt(it.Placement)
	}
	return nil
}

// take claims what an item wants, which nothing refuses.
func (c *claiming) take(it *issuance.Item, w *wanted) error {
	if err := c.takeChange(it); err != nil {
		return err
	}
	e := w.entry
	switch {
	case w.used:
		if err := c.keep(w.key, w.had); err != nil {
			return err
		}
	case !it.SharedKey:
		e.hasKey, e.hash, e.device = true, w.key.hash, string(it.Device)
	}
	from := len(c.entries)
	if e.hasKey || e.order != "" {
		c.entries = append(c.entries, e)
	}
	if w.named {
		c.entries = append(c.entries, claimEntry{owner: w.device.owner, hasKey: true, hash: w.device.hash, device: c.file.row(it.Row)})
	}
	if len(c.entries) > from {
		c.recent.add(c.intent, micros(c.now), c.entries[from:])
	}
	return nil
}

// key returns who has a key.
func (c *claiming) key(id keyID) (keyClaim, bool) {
	if k, used := c.recent.key(id); used {
		return k, true
	}
	k, used := c.keys[id]
	return k, used
}

// refuseUsed returns why an item cannot have a key that is claimed, nil where it can.
func refuseUsed(k keyClaim, it *issuance.Item) error {
	switch {
	case k.device != string(it.Device):
		return pki.Errorf(pki.DuplicateKey, "the key belongs to another device; the profile allows that only with 'reuse: shared'")
	case !it.RenewSameKey:
		return pki.Errorf(pki.DuplicateKey, "the key has a certificate already; the profile allows another only with 'renew: same-key'")
	}
	return nil
}

const selectEarlier = `SELECT i.id, r.text FROM intent i JOIN ref r ON r.num = $1 WHERE i.num = $2`

// findEarlier sets Earlier to what the item's idempotency key led to before, or
// Refused where that was another request.
func (c *claiming) findEarlier(o orderClaim, it *issuance.Item) error {
	if o.request != it.RequestHash {
		it.Refused = issuance.UsedForAnother()
		return nil
	}
	earlier, err := one(context.Background(), c.tx, func(row row) (*issuance.Earlier, error) {
		e := &issuance.Earlier{Serial: o.serial}
		return e, row.Scan(&e.Intent, &e.Issuer)
	}, selectEarlier, o.issuer, o.intent)
	if err != nil {
		return fmt.Errorf("reading an idempotency key: %w", err)
	}
	it.Earlier = earlier
	return nil
}

// keep has a claim outlive its intent, where that is open still: a second one
// relies on it now.
func (c *claiming) keep(id keyID, k keyClaim) error {
	if k.intent == 0 {
		return nil
	}
	if k.intent == c.intent {
		for i := range c.entries {
			if e := &c.entries[i]; e.hasKey && e.owner == id.owner && e.hash == id.hash {
				e.kept = true
			}
		}
		c.recent.keep(id)
		return nil
	}
	_, err := one(context.Background(), c.tx, scanInt, `SELECT 1 FROM intent WHERE num = $1 AND state = 'open'`, k.intent)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = c.changeClaims(k.intent, func(e *claimEntry) {
			if e.hasKey && e.owner == id.owner && e.hash == id.hash {
				e.kept = true
			}
		})
	}
	if err == nil {
		_, err = c.exec(`UPDATE key_use SET intent = 0 WHERE owner = $1 AND hash = $2`, id.owner, id.hash[:])
	}
	if err != nil {
		return fmt.Errorf("keeping a key's use: %w", err)
	}
	c.recent.keep(id)
	return nil
}

// changeClaims changes the entries of an intent in table claim, if it has any
// there. One that claims nothing any more is left out.
func (t *tx) changeClaims(intent int64, change func(*claimEntry)) error {
	packed, err := one(context.Background(), t, func(row row) (b []byte, err error) {
		err = row.Scan(&b)
		return b, err
	}, `SELECT entries FROM claim WHERE intent = $1`, intent)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := decodeClaims(packed)
	if err != nil {
		return err
	}
	for i := range entries {
		change(&entries[i])
	}
	entries = slices.DeleteFunc(entries, func(e claimEntry) bool { return !e.hasKey && e.order == "" })
	_, err = t.exec(`UPDATE claim SET entries = $1 WHERE intent = $2`, encodeClaims(entries), intent)
	return err
}

// giveUpClaims gives up what void items of an intent claimed, but for keys that
// another intent relies on.
func (t *tx) giveUpClaims(intent int64, file batchFile, items []*issuance.Item) error {
	r, err := t.recentClaims()
	if err != nil {
		return err
	}
	keys, orders := make(map[keyID]bool), make(map[orderID]bool)
	for _, it := range items {
		owner, err := t.intern(tenantRef(it.Owner))
		if err != nil {
			return err
		}
		if it.Idempotency != "" {
			id := orderID{owner, it.Idempotency}
			orders[id] = true
			r.dropOrder(id, intent)
			if _, err := t.exec(`DELETE FROM idempotency WHERE owner = $1 AND key = $2 AND intent = $3`, owner, it.Idempotency, intent); err != nil {
				return fmt.Errorf("giving up an idempotency key: %w", err)
			}
		}
		var claimed []keyID
		if !it.SharedKey {
			claimed = append(claimed, keyID{owner, [keyHashSize]byte(it.KeyHash[:])})
		}
		if id, named := file.device(it); named {
			claimed = append(claimed, id)
		}
		for _, id := range claimed {
			keys[id] = true
			r.dropKey(id, intent)
			if _, err := t.exec(`DELETE FROM key_use WHERE owner = $1 AND hash = $2 AND intent = $3`, id.owner, id.hash[:], intent); err != nil {
				return fmt.Errorf("giving up a key: %w", err)
			}
		}
	}
	if err := t.giveUpChanges(intent); err != nil {
		return err
	}
	err = t.changeClaims(intent, func(e *claimEntry) {
		if !e.kept && keys[keyID{e.owner, e.hash}] {
			e.hasKey = false
		}
		if orders[orderID{e.owner, e.order}] {
			e.order = ""
		}
	})
	if err != nil {
		return fmt.Errorf("giving up claims: %w", err)
	}
	return nil
}
