package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// A claim is what testClaims expects of a key or an idempotency key.
type claim struct {
	device  pki.DeviceID
	request [32]byte
	serial  pki.Serial
	intent  *issuance.Intent // that gives it up where its item is void; nil is none
}

// testClaims makes claims at random, gives some up, and opens the store again
// between, and compares each outcome with a model.
func testClaims(f *fixture) {
	seed := uint64(time.Now().UnixNano())
	f.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	f.borrow()
	keys, orders := map[string]*claim{}, map[string]*claim{}
	var open []*issuance.Intent
	for range 150 {
		var records, fresh []*issuance.Intent
		for len(open) > 0 && rng.IntN(3) > 0 {
			n := rng.IntN(len(open))
			records = append(records, open[n])
			open = append(open[:n], open[n+1:]...)
		}
		for _, in := range records {
			for _, it := range in.Items {
				if rng.IntN(3) > 0 {
					sign(it)
				}
				end(keys, keyName(it), in, it)
				end(orders, orderName(it), in, it)
			}
		}
		var want []string
		for range rng.IntN(3) {
			in := f.intent()
			for range 1 + rng.IntN(6) {
				it := f.item(pki.DeviceID(fmt.Sprint("meter-", rng.IntN(3))))
				it.Owner = []pki.TenantID{acme, partner}[rng.IntN(2)]
				it.KeyHash = hash(fmt.Sprint("key ", rng.IntN(60)))
				it.SharedKey, it.RenewSameKey = rng.IntN(10) == 0, rng.IntN(2) == 0
				if rng.IntN(2) == 0 {
					it.Idempotency, it.RequestHash = fmt.Sprint("order-", rng.IntN(60)), hash(fmt.Sprint("request ", rng.IntN(2)))
				}
				in.Items = append(in.Items, it)
				want = append(want, expect(keys, orders, in, it))
			}
			fresh = append(fresh, in)
		}
		f.ok(f.Commit(f.ctx, f.now, records, fresh))
		var got []string
		for _, in := range fresh {
			for _, it := range in.Items {
				got = append(got, outcome(it))
			}
			in.Items = live(in.Items)
			if len(in.Items) > 0 {
				open = append(open, in)
			}
		}
		f.same(got, want)
		f.later(time.Second)
		if rng.IntN(20) == 0 {
			f.reopen()
		}
		for _, owner := range []pki.TenantID{acme, partner, stranger} {
			n := rng.IntN(60)
			device, used, err := f.KeyUse(f.ctx, owner, hash(fmt.Sprint("key ", n)))
			f.ok(err)
			c := keys[string(owner)+string(hashOf(n))]
			f.same(used, c != nil)
			if c != nil {
				f.same(device, c.device)
			}
		}
	}
}

func hashOf(n int) []byte {
	h := hash(fmt.Sprint("key ", n))
	return h[:]
}

func keyName(it *issuance.Item) string {
	if it.SharedKey {
		return ""
	}
	return string(it.Owner) + string(it.KeyHash[:])
}

func orderName(it *issuance.Item) string {
	if it.Idempotency == "" {
		return ""
	}
	return string(it.Owner) + " " + it.Idempotency
}

// expect makes the item's claims in the model and returns what is to become of it.
func expect(keys, orders map[string]*claim, in *issuance.Intent, it *issuance.Item) string {
	key, order := keyName(it), orderName(it)
	if c := orders[order]; c != nil {
		if c.request != it.RequestHash {
			return pki.Conflict.String()
		}
		return c.serial.String()
	}
	if c := keys[key]; c != nil {
		if c.device != it.Device || !it.RenewSameKey {
			return pki.DuplicateKey.String()
		}
		c.intent = nil
	} else if key != "" {
		keys[key] = &claim{device: it.Device, intent: in}
	}
	if order != "" {
		orders[order] = &claim{request: it.RequestHash, serial: it.Serial, intent: in}
	}
	return "taken"
}

// outcome returns what became of an item.
func outcome(it *issuance.Item) string {
	switch {
	case it.Refused != nil:
		return pki.KindOf(it.Refused).String()
	case it.Earlier != nil:
		return it.Earlier.Serial.String()
	}
	return "taken"
}

func live(items []*issuance.Item) (taken []*issuance.Item) {
	for _, it := range items {
		if outcome(it) == "taken" {
			taken = append(taken, it)
		}
	}
	return taken
}

// end ends the part that an item's intent has in a claim.
func end(claims map[string]*claim, name string, in *issuance.Intent, it *issuance.Item) {
	c := claims[name]
	if c == nil || c.intent != in {
		return
	}
	if it.DER == nil {
		delete(claims, name)
		return
	}
	c.intent = nil
}
