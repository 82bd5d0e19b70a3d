// Package visits keeps what came to each endpoint lately, on this node and in memory,
// for people who look on: which request got a certificate, and which rule refused
// another.
//
// It is not a log: what was issued stands in the store. No secret comes here.
package visits

import (
	"context"
	"iter"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// A Visit is one request at an endpoint.
type Visit struct {
	No       uint64 // from 1 at each endpoint, since this node began to remember it
	At       time.Time
	Protocol pki.Protocol // "" where the request did not come so far
	Source   string       // address that it came from; "" is not known
	Who      string       // id of the principal; "" where nobody was proved
	Device   pki.DeviceID // that it was for, or that proved itself; claimed alone where nobody was proved; "" is none
	Refused  bool
	Kind     pki.Kind // of the refusal
	Why      string   // of the refusal, for the operator
	Serial   string   // of the certificate
}

// The bounds of what is remembered: some 20 MB at most.
const (
	kept      = 200  // visits of one endpoint
	endpoints = 1000 // the one that was quiet for longest is forgotten
	maxText   = 500  // bytes of each text
)

// A Book remembers visits. A nil *Book remembers nothing. Its methods are safe for
// concurrent use.
type Book struct {
	tallies map[pki.Protocol]*Tally // of every protocol and of ""; not changed

	mu    sync.Mutex
	pages map[string]*page // by label; guarded by mu
}

// A page is an endpoint's.
type page struct {
	visits []Visit // the last, each at its number modulo kept
	last   uint64
	at     time.Time
	came   chan struct{} // closed when the next comes; nil where nobody waits for it
}

// wake has those who wait look again.
func (p *page) wake() {
	if p.came != nil {
		close(p.came)
		p.came = nil
	}
}

// NewBook returns an empty Book.
func NewBook() *Book {
	b := &Book{tallies: map[pki.Protocol]*Tally{"": new(Tally)}, pages: make(map[string]*page)}
	for _, p := range pki.Protocols() {
		b.tallies[p] = new(Tally)
	}
	return b
}

// A Tally counts the visits of one protocol, at all endpoints.
type Tally struct {
	Issued stat.Counter
	Others stat.ByKind // refused, and those that wait: pki.Pending
}

func (t *Tally) add(v Visit) {
	if v.Serial != "" {
		t.Issued.Add(1)
	} else {
		t.Others.Add(v.Kind)
	}
}

// Tallies returns what is counted of each protocol, and under "" of what did not come so
// far as to show one.
func (b *Book) Tallies() map[pki.Protocol]*Tally { return b.tallies }

// Note remembers a visit at an endpoint, which exists: nobody fills the book with labels
// that they make up.
func (b *Book) Note(label string, v Visit) {
	if b == nil {
		return
	}
	for _, text := range []*string{&v.Source, &v.Who, (*string)(&v.Device), &v.Why} {
		*text = short(*text)
	}
	if t := b.tallies[v.Protocol]; t != nil {
		t.add(v)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.page(label)
	p.last++
	v.No, p.at = p.last, v.At
	if len(p.visits) < kept {
		p.visits = append(p.visits, v)
	} else {
		p.visits[(v.No-1)%kept] = v
	}
	p.wake()
}

// page returns an endpoint's page, b.mu being held.
func (b *Book) page(label string) *page {
	if p := b.pages[label]; p != nil {
		return p
	}
	if len(b.pages) >= endpoints {
		var quiet string
		for l, p := range b.pages {
			if quiet == "" || p.at.Before(b.pages[quiet].at) {
				quiet = l
			}
		}
		b.pages[quiet].wake()
		delete(b.pages, quiet)
	}
	p := new(page)
	b.pages[label] = p
	return p
}

// short bounds a text and leaves nothing in it that a terminal would obey.
func short(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// since returns the visits after a number, and what is closed when the next comes.
func (b *Book) since(label string, after uint64) ([]Visit, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.page(label)
	if p.last < after {
		after = 0 // it was forgotten meanwhile
	}
	if p.came == nil {
		p.came = make(chan struct{})
	}
	var found []Visit
	for no := max(after+1, p.last-uint64(len(p.visits))+1); no <= p.last; no++ {
		found = append(found, p.visits[(no-1)%kept])
	}
	return found, p.came
}

// Watch yields the visits of an endpoint that are remembered, and with follow each that
// comes, until ctx ends. Where more come than are taken some are left out, as their
// numbers show.
func (b *Book) Watch(ctx context.Context, label string, follow bool) iter.Seq[Visit] {
	return func(yield func(Visit) bool) {
		var after uint64
		for {
			found, came := b.since(label, after)
			for _, v := range found {
				if after = v.No; !yield(v) {
					return
				}
			}
			if !follow {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-came:
			}
		}
	}
}
