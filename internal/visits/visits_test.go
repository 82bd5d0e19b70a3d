package visits

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

func numbers(b *Book, label string) (all []uint64) {
	for v := range b.Watch(context.Background(), label, false) {
		all = append(all, v.No)
	}
	return all
}

func TestBounds(t *testing.T) {
	b := NewBook()
	long := strings.Repeat("ä", maxText)
	for range kept + 5 {
		b.Note("acme.meter", Visit{Why: long, Who: long, Source: long, Device: pki.DeviceID(long)})
	}
	all := numbers(b, "acme.meter")
	if len(all) != kept || all[0] != 6 || all[kept-1] != kept+5 {
		t.Errorf("%d visits from %d to %d", len(all), all[0], all[len(all)-1])
	}
	for v := range b.Watch(t.Context(), "acme.meter", false) {
		if len(v.Why) > maxText+3 || len(v.Who) > maxText+3 || len(v.Source) > maxText+3 || len(v.Device) > maxText+3 {
			t.Fatal("a text is too long")
		}
	}
	b.Note("acme.door", Visit{Why: "a\x1b[2J\r\nb\xff\u009bc"})
	for v := range b.Watch(t.Context(), "acme.door", false) {
		if v.Why != "a\ufffd[2J\ufffd\ufffdb\ufffd\ufffdc" {
			t.Errorf("a terminal would get %q", v.Why)
		}
	}
	begin := time.Unix(0, 0)
	for i := range endpoints + 10 {
		b.Note(fmt.Sprintf("acme.%d", i), Visit{At: begin.Add(time.Duration(i) * time.Second)})
	}
	if len(b.pages) != endpoints || len(numbers(b, "acme.1009")) != 1 || len(numbers(b, "acme.3")) != 0 {
		t.Errorf("%d endpoints are remembered, not those that were quiet for shortest", len(b.pages))
	}
	b.since("acme.1009", 7) // it was forgotten, and begins anew
	if found, _ := b.since("acme.1009", 7); len(found) != 1 {
		t.Errorf("%d of an endpoint that was forgotten meanwhile", len(found))
	}
	(*Book)(nil).Note("acme.meter", Visit{})
}

// TestNoted: the mark is found from wherever the error went, and changes nothing of it.
func TestNoted(t *testing.T) {
	if Noted(nil) != nil || IsNoted(nil) {
		t.Error("no error is noted")
	}
	plain := pki.Errorf(pki.BadKey, "weak")
	marked := Noted(plain)
	if IsNoted(plain) || !IsNoted(marked) || Noted(marked) != marked || !errors.Is(marked, plain) || pki.KindOf(marked) != pki.BadKey || pki.DetailOf(marked) != "weak" || marked.Error() != "weak" {
		t.Errorf("%v, %v", plain, marked)
	}
	if !IsNoted(pki.Because(pki.NotFound, marked, "none")) {
		t.Error("an error that came of a noted one is not")
	}
}

// TestTallies: each visit counts once, under its protocol and what became of it, at whatever
// endpoint.
func TestTallies(t *testing.T) {
	b := NewBook()
	for i, v := range []Visit{
		{Protocol: pki.ProtocolEST, Serial: "01"},
		{Protocol: pki.ProtocolEST, Kind: pki.Pending},
		{Protocol: pki.ProtocolSCEP, Refused: true, Kind: pki.BadProof},
		{Refused: true, Kind: pki.Unauthenticated},
		{Protocol: "a new one", Serial: "02"},
	} {
		b.Note(fmt.Sprintf("acme.%d", i), v)
	}
	all := b.Tallies()
	if est := all[pki.ProtocolEST]; est.Issued.Value() != 1 || est.Others.Value(pki.Pending) != 1 {
		t.Errorf("EST: %d issued, %d wait", est.Issued.Value(), est.Others.Value(pki.Pending))
	}
	if n := all[pki.ProtocolSCEP].Others.Value(pki.BadProof); n != 1 {
		t.Errorf("SCEP: %d refused", n)
	}
	if n := all[""].Others.Value(pki.Unauthenticated); n != 1 || len(all) != len(pki.Protocols())+1 {
		t.Errorf("%d without a protocol, %d protocols", n, len(all))
	}
}

// TestWatch: whoever looks on sees what came before, and each that comes.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBook()
		b.Note("acme.meter", Visit{Why: "0"})
		ctx, stop := context.WithCancel(t.Context())
		var seen [2][]string
		var all sync.WaitGroup
		for i := range seen {
			all.Go(func() {
				for v := range b.Watch(ctx, "acme.meter", true) {
					seen[i] = append(seen[i], v.Why)
				}
			})
		}
		for i := range 3 {
			synctest.Wait()
			b.Note("acme.meter", Visit{Why: fmt.Sprint(i + 1)})
			b.Note("acme.door", Visit{Why: "elsewhere"})
		}
		synctest.Wait()
		stop()
		all.Wait()
		for _, s := range seen {
			if strings.Join(s, " ") != "0 1 2 3" {
				t.Errorf("seen: %q", s)
			}
		}
	})
}

// TestRaced: many note at once what others watch.
func TestRaced(t *testing.T) {
	b := NewBook()
	ctx, stop := context.WithCancel(t.Context())
	var watching, noting sync.WaitGroup
	for range 4 {
		watching.Go(func() {
			var before uint64
			for v := range b.Watch(ctx, "acme.meter", true) {
				if v.No <= before {
					t.Errorf("%d comes after %d", v.No, before)
				}
				before = v.No
			}
		})
		noting.Go(func() {
			for range 500 {
				b.Note("acme.meter", Visit{})
			}
		})
	}
	noting.Wait()
	stop()
	watching.Wait()
	if all := numbers(b, "acme.meter"); all[len(all)-1] != 2000 {
		t.Errorf("the last is %d", all[len(all)-1])
	}
}
