package revocation

import (
	"runtime"
	"testing"
)

// sized returns a CRL that counts as so many bytes.
func sized(shard int, number int64, bytes int) *CRL {
	return &CRL{List: List{Issuer: "ca", Shard: shard}, Number: number, DER: make([]byte, bytes-crlOverhead)}
}

func TestCRLCacheIsBounded(t *testing.T) {
	const size, each = 1 << 20, 100_000
	c := newCRLCache(size)
	often := c.add(sized(0, 1, each))
	for i := range 1000 {
		c.add(sized(i+1, 1, each))
		if c.get(List{Issuer: "ca", Shard: 0}, 1) != often {
			t.Fatalf("the CRL in use was dropped after %d others", i)
		}
		if n := len(c.young) + len(c.old); n*each > size {
			t.Fatalf("%d CRLs of %d bytes are kept, of %d bytes in all", n, each, size)
		}
	}
	runtime.GC()
	if c.get(List{Issuer: "ca", Shard: 1}, 1) != nil {
		t.Error("a CRL of long ago is kept")
	}
	for i := range 100 { // sweeps
		c.add(sized(i+2000, 1, each))
	}
	if n := len(c.known); n > 200 {
		t.Errorf("%d CRLs are known of %d", n, len(c.young)+len(c.old))
	}
}

// TestCRLCacheSharesWhatIsHeld: a CRL that has no place any more is found for as
// long as somebody has it.
func TestCRLCacheSharesWhatIsHeld(t *testing.T) {
	const size = 1 << 20
	c := newCRLCache(size)
	held := c.add(sized(0, 1, size)) // more than a half: kept alone
	if c.get(List{Issuer: "ca", Shard: 0}, 1) != held {
		t.Error("a large CRL is not kept")
	}
	drop := func() {
		c.add(sized(1, 1, size))
		c.add(sized(2, 1, size))
		runtime.GC()
	}
	drop()
	if c.young[List{Issuer: "ca", Shard: 0}] != nil || c.old[List{Issuer: "ca", Shard: 0}] != nil {
		t.Fatal("three large CRLs are kept")
	}
	if c.get(List{Issuer: "ca", Shard: 0}, 1) != held {
		t.Error("a second copy would be read while a slow client has the first")
	}
	runtime.KeepAlive(held)
	held = nil
	drop()
	if c.get(List{Issuer: "ca", Shard: 0}, 1) != nil {
		t.Error("a CRL that nobody holds is still there")
	}
}

func TestCRLCacheNumbers(t *testing.T) {
	c := newCRLCache(1 << 20)
	key := List{Issuer: "ca", Shard: 0}
	second := c.add(sized(0, 2, 10_000))
	if got := c.add(sized(0, 1, 10_000)); got != second {
		t.Errorf("number %d takes the place of number 2", got.Number)
	}
	if got := c.add(sized(0, 2, 10_000)); got != second {
		t.Error("a second copy of number 2 takes the place of the first")
	}
	if c.get(key, 3) != nil {
		t.Error("number 2 is given where there is a third")
	}
	third := c.add(sized(0, 3, 20_000))
	for _, number := range []int64{2, 3} { // who asked for 2 came just before 3 was stored
		if c.get(key, number) != third {
			t.Errorf("number 3 is not given to who wants %d", number)
		}
	}
	if c.bytes != 20_000 || len(c.young) != 1 {
		t.Errorf("%d bytes of %d CRLs are counted, of one of 20000", c.bytes, len(c.young))
	}
}
