package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// A recording is a signed intent on its way into the tables.
type recording struct {
	*tx
	in     *issuance.Intent
	num    int64
	issuer issuerInfo
	batch  sql.NullInt64
	now    time.Time

	rows    []certificateRow
	packed  []byte // the certificates as they are stored, one after the other
	indexed []indexedItem
	issued  leafRun // the certificates
	void    []*issuance.Item
	voided  []check.VoidedItem // the same, as the intent keeps them
	revoked leafRun            // the entries of void items, and of devices that may have none
}

// record stores the outcome of a signed intent and closes it, or sets Err to
// ErrFenced.
func (t *tx) record(in *issuance.Intent, now time.Time) error {
	in.Err = nil
	items := make([]*issuance.Item, 0, len(in.Items))
	for _, it := range in.Items {
		if it.Refused == nil && it.Earlier == nil { // the others are not part of the intent
			items = append(items, it)
		}
	}
	// Items with another digest than the intent's are not what was committed:
	// they are not recorded, and the intent stays for whoever takes it over.
	digest := digestOf(items)
	r := recording{tx: t, in: in, now: now}
	err := r.closeIntent(digest)
	if errors.Is(err, sql.ErrNoRows) {
		in.Err = issuance.ErrFenced
		return nil
	}
	if err != nil {
		return err
	}
	if r.issuer, err = t.s.issuerInfo(context.Background(), in.Issuer); err != nil {
		return err
	}
	r.issued = leafRun{tenant: r.issuer.tenant, kind: leafCertificates, ref: r.num, hashes: make([]byte, 0, tlog.HashSize*len(items))}
	r.revoked = leafRun{tenant: r.issuer.tenant, kind: leafRevocation}
	r.rows = make([]certificateRow, 0, len(items))
	r.packed = make([]byte, 0, 256*len(items))
	stored, err := r.devices(items)
	if err != nil {
		return err
	}
	for place, it := range items {
		if it.DER != nil {
			err = r.certificate(place, it, &stored[place])
		} else {
			err = r.giveUp(place, it)
		}
		if err != nil {
			return fmt.Errorf("serial %s: %w", it.Serial, err)
		}
	}
	if err := r.certificates(); err != nil {
		return err
	}
	if err := r.executeChanges(items); err != nil {
		return err
	}
	if err := r.finishVoid(); err != nil {
		return err
	}
	if err := t.leaves(&r.issued, now); err != nil {
		return err
	}
	if err := t.leaves(&r.revoked, now); err != nil {
		return err
	}
	return r.finishChunk(items)
}

// closeIntent closes the intent if it is open in this epoch and attempt, else it
// returns sql.ErrNoRows.
func (r *recording) closeIntent(digest [32]byte) error {
	_, err := one(context.Background(), r.tx, func(row row) (bool, error) {
		return true, row.Scan(&r.num, &r.batch)
	}, `UPDATE intent SET state = 'closed', closed = $1, payload = $2
		WHERE id = $3 AND state = 'open' AND node = $4 AND epoch = $5 AND attempt = $6 AND digest = $7
		RETURNING num, batch`,
		micros(r.now), []byte{}, r.in.ID, r.in.Node, r.in.Epoch, r.in.Attempt, digest[:])
	return err
}

// certificate adds an issued certificate to those that certificates stores, and its
// leaf; d is its device as it is now.
func (r *recording) certificate(place int, it *issuance.Item, d *storedItem) error {
	sum := sha256.Sum256(it.DER)
	packed := len(r.packed)
	var err error
	if r.packed, err = r.packCertificate(r.packed, r.issuer.num, d.refs.profile, it.DER, sum); err != nil {
		return err
	}
	der := r.packed[packed:]
	refs := d.refs
	settled, err := r.settled(r.num, it)
	if err != nil {
		return err
	}
	if settled {
		refs.line = d.ordered.line
	}
	r.rows = append(r.rows, certificateRow{refs, micros(it.NotBefore), micros(it.NotAfter), bytesOf(it.Request), place, it, der})
	if len(r.issuer.indexes) > 0 {
		r.indexed = append(r.indexed, indexedItem{r.issuer.tenant, refs.owner, sum, it.NotAfter, it.DER})
	}
	leaf := audit.CertificateLeaf{
		Issuer: r.in.Issuer, Serial: audit.Serial(it.Serial), SHA256: sum, Owner: it.Owner, Device: it.Device,
		ProductLine: it.Placement.ProductLine, Lot: it.Placement.Lot, Site: it.Placement.Site, Profile: audit.ProfileOfLeaf(it.Profile),
		Intent: r.in.ID, Place: place, Batch: r.in.Batch, Row: it.Row, NotBefore: it.NotBefore, NotAfter: it.NotAfter, Issued: r.now,
	}
	if refs != d.ordered { // the device is where an earlier request put it
		if err := r.setPlace(&leaf, &refs); err != nil {
			return err
		}
	}
	r.issued.add(&audit.Leaf{Certificate: &leaf})
	switch d.state { // it changed since the request was admitted
	case registry.Suspended:
		return r.enter(it, pki.CertificateHold)
	case registry.Decommissioned:
		if err := r.creditItem(r.num, r.issuer, it, true); err != nil {
			return err
		}
		return r.enter(it, pki.CessationOfOperation)
	}
	return nil
}

// enter stores an entry for the item's serial, unless there is a final one.
func (r *recording) enter(it *issuance.Item, reason pki.Reason) error {
	k, err := stateOf(context.Background(), r.tx, r.issuer, r.in.Issuer, it.Serial)
	if err != nil {
		return err
	}
	n, refused := revocation.Next(k.latest, reason)
	if refused != nil {
		return nil
	}
	return r.revoke(&pki.Revocation{
		Issuer: r.in.Issuer, Serial: it.Serial, N: n, Reason: reason, At: r.now,
		Shard: it.Serial.Shard(r.issuer.shards), NotAfter: it.NotAfter,
	}, r.issuer.num, false, byNoJob, &r.revoked)
}

// setPlace sets the names of a place in a leaf.
func (r *recording) setPlace(leaf *audit.CertificateLeaf, refs *itemRefs) error {
	for _, p := range []struct {
		name *string
		num  int64
	}{{&leaf.ProductLine, refs.line}, {&leaf.Lot, refs.lot}, {&leaf.Site, refs.site}} {
		name, err := r.refOf(p.num)
		if err != nil {
			return err
		}
		*p.name = name.text
	}
	return nil
}

// giveUp revokes the serial of an item that got no certificate, since a signature
// may have been made.
func (r *recording) giveUp(place int, it *issuance.Item) error {
	// A serial that was made elsewhere may be void in an earlier intent already.
	if err := r.enter(it, pki.Unspecified); err != nil {
		return err
	}
	if err := r.creditItem(r.num, r.issuer, it, false); err != nil {
		return err
	}
	r.voided = append(r.voided, check.VoidedItem{Place: place, Serial: it.Serial, TBSHash: sha256.Sum256(it.TBS)})
	r.void = append(r.void, it)
	return nil
}

// finishVoid gives up what the void items claimed, and notes in the intent which
// they are.
func (r *recording) finishVoid() error {
	if len(r.voided) == 0 {
		return nil
	}
	file, err := r.fileOf(r.batch)
	if err != nil {
		return err
	}
	if err := r.giveUpClaims(r.num, file, r.void); err != nil {
		return err
	}
	state := "closed"
	if r.issued.count == 0 {
		state = "void"
	}
	_, err = r.exec(`UPDATE intent SET state = $1, voided = $2 WHERE num = $3`, state, encodeVoided(r.voided), r.num)
	return err
}

// finishChunk closes the intent's chunk of a batch, or gives it up.
func (r *recording) finishChunk(items []*issuance.Item) error {
	switch {
	case !r.batch.Valid:
		return nil
	case r.issued.count == 0:
		return r.releaseChunk(r.batch.Int64, r.in.Chunk)
	}
	for _, v := range r.voided {
		it := items[v.Place]
		refusal := issuance.Refusal{Row: it.Row, Device: it.Device, Placement: it.Placement, Kind: pki.Unavailable,
			Reason: "the certificate was not signed; submit the row again"}
		if err := r.refuse(r.batch.Int64, r.in.Chunk, refusal); err != nil {
			return err
		}
	}
	return r.closeChunk(r.batch.Int64, r.in.Chunk, r.issued.count)
}

// encodeVoided returns void items as an intent keeps them: of each its place, its
// serial and the SHA-256 of its TBS.
func encodeVoided(items []check.VoidedItem) []byte {
	b := make([]byte, 0, 54*len(items))
	for _, v := range items {
		b = binary.AppendUvarint(b, uint64(v.Place))
		b = append(b, v.Serial[:]...)
		b = append(b, v.TBSHash[:]...)
	}
	return b
}

// decodeVoided is the reverse of encodeVoided.
func decodeVoided(b []byte) ([]check.VoidedItem, error) {
	d := deltaReader{rest: b}
	var items []check.VoidedItem
	for len(d.rest) > 0 && !d.bad {
		v := check.VoidedItem{Place: d.uvarint(1 << 30)}
		copy(v.Serial[:], d.bytes(len(v.Serial)))
		copy(v.TBSHash[:], d.bytes(len(v.TBSHash)))
		items = append(items, v)
	}
	if d.bad {
		return nil, errDamaged
	}
	return items, nil
}
