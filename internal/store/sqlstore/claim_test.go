package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// benchmarkClaims runs fn in a transaction of a store whose tables have half a million
// claims, with what makes chunks of 125 rows of a file.
func benchmarkClaims(b *testing.B, fn func(t *tx, file batchFile, chunk func() []*issuance.Item)) {
	s, err := Open(b.Context(), b.TempDir()+"/pando.db", Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	n := 0
	chunk := func() []*issuance.Item {
		items := make([]*issuance.Item, 125)
		for i := range items {
			n++
			items[i] = &issuance.Item{Owner: "acme", Device: pki.DeviceID("meter-" + strconv.Itoa(n)), Row: int64(n),
				KeyHash: sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))}
		}
		return items
	}
	err = s.update(b.Context(), func(t *tx) error {
		file := batchFile{first: "batch", batch: "batch"}
		if file.owner, err = t.intern(batchRef("batch")); err != nil {
			return err
		}
		for i := range int64(2000) {
			if err := t.claims(i+1, issuerInfo{owner: "acme"}, file, chunk(), time.Now()); err != nil {
				return err
			}
			if t.claimed != 250 {
				b.Fatalf("%d claims", t.claimed)
			}
			t.claimed = 0
		}
		for r := &s.recent; r.old != nil || r.young.size() > 0; {
			if err := t.moveClaims(math.MaxInt, true); err != nil {
				return err
			}
		}
		b.ReportAllocs()
		fn(t, file, chunk)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLookUp looks up what a chunk of a batch claims.
func BenchmarkLookUp(b *testing.B) {
	benchmarkClaims(b, func(t *tx, file batchFile, chunk func() []*issuance.Item) {
		r, err := t.recentClaims()
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			b.StopTimer()
			items := chunk()
			b.StartTimer()
			c := claiming{tx: t, recent: r, file: file}
			if err := c.lookUp(items); err != nil {
				b.Fatal(err)
			}
			if len(c.keys) > 0 {
				b.Fatal("a new key is claimed")
			}
		}
	})
}

// BenchmarkMove moves what 250 chunks of a batch claimed.
func BenchmarkMove(b *testing.B) {
	benchmarkClaims(b, func(t *tx, file batchFile, chunk func() []*issuance.Item) {
		intent := int64(1 << 40)
		for b.Loop() {
			b.StopTimer()
			for range 250 {
				intent++
				if err := t.claims(intent, issuerInfo{owner: "acme"}, file, chunk(), time.Now()); err != nil {
					b.Fatal(err)
				}
				t.claimed = 0
			}
			b.StartTimer()
			for first := true; first || t.s.recent.old != nil; first = false {
				if err := t.moveClaims(500, true); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
