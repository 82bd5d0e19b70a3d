package storetest

import (
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// item returns an item for a device of acme with a key of its own. The bytes to
// be signed are like a certificate's only in that much of them is always equal:
// the store does not look into them.
func (f *fixture) item(device pki.DeviceID) *issuance.Item {
	it := &issuance.Item{Serial: pki.NewSerial(pki.SerialLong, f.now), Owner: acme, Device: device, Profile: f.profile,
		Placement: pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "north"},
		NotBefore: f.now, NotAfter: f.now.AddDate(20, 0, 0)}
	rand.Read(it.KeyHash[:])
	common := slices.Repeat([]byte("what all certificates of a profile have in common. "), 8)
	it.TBS = slices.Concat([]byte("TBS "), it.Serial[:], common[:200], []byte(device), common[200:], it.KeyHash[:])
	return it
}

// intent returns a new intent of the fixture's node.
func (f *fixture) intent(items ...*issuance.Item) *issuance.Intent {
	return &issuance.Intent{ID: pki.IntentID(pki.NewID(f.now)), Issuer: f.issuer.ID, Tenant: acme,
		Node: f.node, Epoch: f.epoch, Attempt: 1, Items: items}
}

// sign stands for the signer.
func sign(items ...*issuance.Item) {
	for _, it := range items {
		signature := make([]byte, 64)
		rand.Read(signature)
		it.DER = slices.Concat([]byte("certificate "), it.TBS, signature)
	}
}

// intend commits intents, each of which must be taken.
func (f *fixture) intend(intents ...*issuance.Intent) {
	f.Helper()
	f.ok(f.Commit(f.ctx, f.now, nil, intents))
	for _, in := range intents {
		f.ok(in.Err)
	}
}

// record commits the outcome of intents, each of which must be taken.
func (f *fixture) record(intents ...*issuance.Intent) {
	f.Helper()
	f.ok(f.Commit(f.ctx, f.now, intents, nil))
	for _, in := range intents {
		f.ok(in.Err)
	}
}

// issue issues the items under one intent and returns it.
func (f *fixture) issue(items ...*issuance.Item) *issuance.Intent {
	f.Helper()
	in := f.intent(items...)
	f.intend(in)
	for _, it := range items {
		f.ok(it.Refused)
	}
	sign(items...)
	f.record(in)
	return in
}

// certificate returns what the store must have of an item.
func (f *fixture) certificate(in *issuance.Intent, place int) *pki.Certificate {
	it := in.Items[place]
	return &pki.Certificate{Issuer: in.Issuer, Serial: it.Serial, Tenant: in.Tenant, Owner: it.Owner, Device: it.Device,
		Placement: it.Placement, Profile: it.Profile, Intent: in.ID, Place: place, Batch: in.Batch, Row: it.Row,
		NotBefore: it.NotBefore, NotAfter: it.NotAfter, Issued: f.now, DER: it.DER}
}

// isOpen reports an error unless the intent's being open is as wanted.
func (f *fixture) isOpen(in *issuance.Intent, want bool) {
	f.Helper()
	got, err := f.Open(f.ctx, in.ID)
	f.ok(err)
	if got != want {
		f.Errorf("the intent is open: %t, want %t", got, want)
	}
}

// hash is a request hash.
func hash(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// later moves the fixture's clock.
func (f *fixture) later(d time.Duration) { f.now = f.now.Add(d) }
