package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// An open intent's payload is all of its items, one after the other, so that
// another node can complete or void them. Texts and bytes are preceded by their
// length; names are references; the TBS is packed, that is, checked on reading.

const (
	flagSharedKey = 1 << iota
	flagRenewSameKey
	flagRequest
)

// digestOf returns the SHA-256 of the items' SHA-256(TBS), in order.
func digestOf(items []*issuance.Item) [32]byte { return sha256.Sum256(sumsOf(items)) }

// sumsOf returns the items' SHA-256(TBS), one after the other.
func sumsOf(items []*issuance.Item) []byte {
	sums := make([]byte, 0, sha256.Size*len(items))
	for _, it := range items {
		sum := sha256.Sum256(it.TBS)
		sums = append(sums, sum[:]...)
	}
	return sums
}

// itemRefs are an item's names as numbers.
type itemRefs struct{ owner, profile, line, lot, site, actor int64 }

// appendTo appends them as arguments.
func (r *itemRefs) appendTo(args []any) []any {
	return append(args, r.owner, r.profile, r.line, r.lot, r.site, r.actor)
}

// itemNames are what an item's itemRefs stand for.
type itemNames struct {
	owner           pki.TenantID
	profile         pki.ProfileRef
	placement       pki.Placement
	endpoint, actor string
}

func (t *tx) itemRefs(it *issuance.Item, now time.Time) (r itemRefs, err error) {
	names := itemNames{it.Owner, it.Profile, it.Placement, it.Endpoint, it.Actor}
	if names == t.lastNames && t.lastRefs != (itemRefs{}) {
		return t.lastRefs, nil
	}
	var errs [4]error
	r.owner, errs[0] = t.intern(tenantRef(it.Owner))
	r.profile, errs[1] = t.intern(profileRef(it.Profile))
	r.line, r.lot, r.site, errs[2] = t.places(it.Owner, it.Placement, now)
	r.actor, errs[3] = t.asked(it)
	if err := errors.Join(errs[:]...); err != nil {
		return itemRefs{}, err
	}
	t.lastNames, t.lastRefs = names, r
	return r, nil
}

// asked returns the number of who asked for an item and where, 0 for nobody and nowhere.
func (t *tx) asked(it *issuance.Item) (int64, error) {
	if it.Actor == "" && it.Endpoint == "" {
		return 0, nil
	}
	return t.intern(askedRef(it.Owner, it.Endpoint, it.Actor))
}

// encodePayload returns the payload for items of an issuer; sums is what sumsOf says of
// them.
func (t *tx) encodePayload(issuer int64, items []*issuance.Item, sums []byte, now time.Time) ([]byte, error) {
	b := make([]byte, 0, 256*len(items))
	var packed []byte
	var against *reference
	for i, profile := 0, int64(0); i < len(items); i++ {
		it := items[i]
		r, err := t.itemRefs(it, now)
		if err != nil {
			return nil, err
		}
		if i == 0 || r.profile != profile { // where there is none yet, each look would be a query
			if against, err = t.referenceFor(issuer, r.profile); err != nil {
				return nil, err
			}
			profile = r.profile
		}
		b = append(b, it.Serial[:]...)
		for _, num := range []int64{r.owner, r.profile, r.line, r.lot, r.site} {
			b = binary.AppendUvarint(b, uint64(num))
		}
		b = appendText(b, string(it.Device))
		b = binary.AppendVarint(b, micros(it.NotBefore))
		b = binary.AppendVarint(b, micros(it.NotAfter))
		b = binary.AppendUvarint(b, uint64(it.Row))
		var flags uint64
		if it.SharedKey {
			flags |= flagSharedKey
		}
		if it.RenewSameKey {
			flags |= flagRenewSameKey
		}
		if len(it.Request) > 0 || r.actor != 0 {
			flags |= flagRequest
		}
		b = binary.AppendUvarint(b, flags)
		b = append(b, it.KeyHash[:]...)
		b = appendText(b, it.Idempotency)
		b = append(b, it.RequestHash[:]...)
		packed = appendPacked(packed[:0], against, it.TBS, [sha256.Size]byte(sums[i*sha256.Size:]))
		b = append(binary.AppendUvarint(b, uint64(len(packed))), packed...)
		if flags&flagRequest != 0 {
			b = binary.AppendUvarint(b, uint64(r.actor))
			b = appendText(b, string(it.Request))
		}
	}
	return b, nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// A resolver finds what the numbers in a payload stand for.
type resolver interface {
	refOf(num int64) (ref, error)
	reference(num int64) (*reference, error)
}

func (t *tx) refOf(num int64) (ref, error) { return t.s.refOf(context.Background(), t, num) }

func (t *tx) reference(num int64) (*reference, error) {
	return t.s.referenceByNum(context.Background(), t, num)
}

// decodePayload is the reverse of encodePayload.
func decodePayload(payload []byte, res resolver) ([]*issuance.Item, error) {
	p := payloadReader{rest: payload, res: res}
	var items []*issuance.Item
	for len(p.rest) > 0 && p.err == nil {
		it := new(issuance.Item)
		copy(it.Serial[:], p.bytes(len(it.Serial)))
		it.Owner = pki.TenantID(p.ref().text)
		it.Profile = p.profile()
		it.Placement = pki.Placement{ProductLine: p.ref().text, Lot: p.ref().text, Site: p.ref().text}
		it.Device = pki.DeviceID(p.text())
		it.NotBefore = fromMicros(p.varint())
		it.NotAfter = fromMicros(p.varint())
		it.Row = int64(p.uvarint())
		flags := p.uvarint()
		it.SharedKey, it.RenewSameKey = flags&flagSharedKey != 0, flags&flagRenewSameKey != 0
		copy(it.KeyHash[:], p.bytes(len(it.KeyHash)))
		it.Idempotency = string(p.text())
		copy(it.RequestHash[:], p.bytes(len(it.RequestHash)))
		it.TBS = p.packed()
		if flags&flagRequest != 0 {
			it.Endpoint, it.Actor = p.ref().asked()
			if request := p.text(); len(request) > 0 {
				it.Request = request
			}
		}
		items = append(items, it)
	}
	if p.err != nil {
		return nil, p.err
	}
	return items, nil
}

// A payloadReader reads the parts of a payload; err is the first fault.
type payloadReader struct {
	rest []byte
	res  resolver
	err  error
}

func (p *payloadReader) fail() {
	if p.err == nil {
		p.err = errDamaged
	}
	p.rest = nil
}

func (p *payloadReader) bytes(n int) []byte {
	if n > len(p.rest) {
		p.fail()
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *payloadReader) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *payloadReader) varint() int64 {
	v, n := binary.Varint(p.rest)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *payloadReader) text() []byte {
	n := p.uvarint()
	if n > uint64(len(p.rest)) {
		p.fail()
		return nil
	}
	return p.bytes(int(n))
}

func (p *payloadReader) ref() ref {
	num := int64(p.uvarint())
	if p.err != nil {
		return ref{}
	}
	r, err := p.res.refOf(num)
	if err != nil {
		p.err = err
	}
	return r
}

func (p *payloadReader) profile() pki.ProfileRef {
	r := p.ref()
	if p.err != nil {
		return pki.ProfileRef{}
	}
	profile, err := r.profile()
	if err != nil {
		p.err = err
	}
	return profile
}

func (p *payloadReader) packed() []byte {
	b := p.text()
	if p.err != nil {
		return nil
	}
	der, err := unpack(b, p.res.reference)
	if err != nil {
		p.err = fmt.Errorf("a certificate to be signed: %w", err)
	}
	return der
}
