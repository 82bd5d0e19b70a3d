package registry

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

// MaxPage is the largest page of a list.
const MaxPage = 1000

// Paging says which part of a list is wanted.
type Paging struct {
	Cursor string // Next of the page before; "" is the beginning
	Limit  int    // from 1 to MaxPage
}

// A Page is a part of a list.
type Page[T any] struct {
	Items []T
	Next  string // cursor of the page that follows; "" at the end
}

// A cursorKey makes cursors: where a query has come to, sealed, so that nobody reads
// from the position of a row how many rows others have, and none but ours is believed.
// A cursor is of one tenant and one query. The same position is the same cursor: the
// initialisation vector is the tag, an HMAC of all of it (the construction SIV), so
// that no number of cursors is too many for the key.
type cursorKey struct {
	block cipher.Block
	mac   []byte
}

const (
	cursorTag = 16  // bytes
	cursorPad = 24  // what is sealed is a multiple of it: a length tells magnitudes
	maxCursor = 512 // characters
)

// cursorEncoding has letters and digits alone: a cursor can stand in a URL and in
// a spreadsheet as it is.
var cursorEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// newCursorKey takes apart a key that all nodes of a deployment have and nobody else.
func newCursorKey(key [32]byte) *cursorKey {
	block, err := aes.NewCipher(derive(key, "seal"))
	if err != nil {
		panic(err) // it has 32 bytes
	}
	return &cursorKey{block, derive(key, "tag")}
}

func derive(key [32]byte, label string) []byte {
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(label))
	return h.Sum(nil)
}

// A list is one query of one tenant, whose cursors no other takes.
type list struct {
	key    *cursorKey
	tenant pki.TenantID
	query  string
}

func (s *Service) list(tenant pki.TenantID, query string) list {
	return list{s.cursors, tenant, query}
}

// cursor returns the cursor with which the list goes on after a position.
func (l list) cursor(position []byte) string {
	padded := append(slices.Clone(position), 1)
	for len(padded)%cursorPad != 0 {
		padded = append(padded, 0)
	}
	sealed := l.tag(padded)
	sealed = append(sealed, padded...)
	cipher.NewCTR(l.key.block, sealed[:cursorTag]).XORKeyStream(sealed[cursorTag:], padded)
	return cursorEncoding.EncodeToString(sealed)
}

// position returns the position in a cursor of the list, nil for none. One that is not
// of the list is Malformed.
func (l list) position(cursor string) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	foreign := pki.Errorf(pki.Malformed, "the cursor %.20q is not one that this search gave: repeat the search as it was, or begin anew without a cursor", cursor)
	if len(cursor) > maxCursor {
		return nil, foreign
	}
	sealed, err := cursorEncoding.DecodeString(cursor)
	if err != nil || cursorEncoding.EncodeToString(sealed) != cursor || len(sealed) < cursorTag+cursorPad {
		return nil, foreign
	}
	tag, padded := sealed[:cursorTag], sealed[cursorTag:]
	cipher.NewCTR(l.key.block, tag).XORKeyStream(padded, padded)
	if !hmac.Equal(tag, l.tag(padded)) {
		return nil, foreign
	}
	return padded[:bytes.LastIndexByte(padded, 1)], nil
}

// tag authenticates a position for this list. The parts before it have their lengths.
func (l list) tag(padded []byte) []byte {
	h := hmac.New(sha256.New, l.key.mac)
	for _, part := range []string{string(l.tenant), l.query} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Write(padded)
	return h.Sum(nil)[:cursorTag:cursorTag]
}

// page returns a page of what list returns, which it asks for one more than the
// limit. position is that of an item.
func page[T any](l list, p Paging, list func(after []byte) ([]T, error), position func(T) []byte) (Page[T], error) {
	return search(l, p, func(after []byte) ([]T, []byte, error) {
		items, err := list(after)
		if err != nil || len(items) <= p.Limit {
			return items, nil, err
		}
		items = items[:p.Limit]
		return items, position(items[p.Limit-1]), nil
	})
}

// search returns a page of what find returns: up to the limit of items, and the
// position from which it goes on, nil at the end.
func search[T any](l list, p Paging, find func(after []byte) ([]T, []byte, error)) (Page[T], error) {
	var none Page[T]
	if err := p.check(); err != nil {
		return none, err
	}
	after, err := l.position(p.Cursor)
	if err != nil {
		return none, err
	}
	items, next, err := find(after)
	if err != nil || next == nil {
		return Page[T]{Items: items}, err
	}
	return Page[T]{Items: items, Next: l.cursor(next)}, nil
}

func (p Paging) check() error {
	if p.Limit < 1 || p.Limit > MaxPage {
		return pki.Errorf(pki.Malformed, "limit %d: from 1 to %d", p.Limit, MaxPage)
	}
	return nil
}
