package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"

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

// A cursor is a check of the query that gave it and where that query has come to,
// in base32hex. It says nothing that its reader may not know, and a forged one
// only moves within what the query finds, so that it needs no key.
const (
	cursorCheck = 6   // bytes
	maxCursor   = 512 // characters
)

// cursorEncoding has letters and digits alone: a cursor can stand in a URL and in
// a spreadsheet as it is.
var cursorEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// encodeCursor returns the cursor of a query that goes on after a position.
func encodeCursor(query string, position []byte) string {
	sum := sha256.Sum256([]byte(query))
	return cursorEncoding.EncodeToString(append(sum[:cursorCheck:cursorCheck], position...))
}

// decodeCursor returns the position in a cursor of the query, nil for none. One
// of another query is Malformed.
func decodeCursor(query, cursor string) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	sum := sha256.Sum256([]byte(query))
	b, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(cursor) > maxCursor || cursorEncoding.EncodeToString(b) != cursor || len(b) <= cursorCheck || !bytes.Equal(b[:cursorCheck], sum[:cursorCheck]) {
		return nil, pki.Errorf(pki.Malformed, "the cursor %.20q is not one that this search gave: repeat the search as it was, or begin anew without a cursor", cursor)
	}
	return b[cursorCheck:], nil
}

// page returns a page of what list returns, which it asks for one more than the
// limit. query tells lists apart, position is that of an item.
func page[T any](query string, p Paging, list func(after []byte) ([]T, error), position func(T) []byte) (Page[T], error) {
	return search(query, p, func(after []byte) ([]T, []byte, error) {
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
func search[T any](query string, p Paging, find func(after []byte) ([]T, []byte, error)) (Page[T], error) {
	var none Page[T]
	if err := p.check(); err != nil {
		return none, err
	}
	after, err := decodeCursor(query, p.Cursor)
	if err != nil {
		return none, err
	}
	items, next, err := find(after)
	if err != nil || next == nil {
		return Page[T]{Items: items}, err
	}
	return Page[T]{Items: items, Next: encodeCursor(query, next)}, nil
}

func (p Paging) check() error {
	if p.Limit < 1 || p.Limit > MaxPage {
		return pki.Errorf(pki.Malformed, "limit %d: from 1 to %d", p.Limit, MaxPage)
	}
	return nil
}
