package audit

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// reference is a tree as package tlog keeps it: every hash.
type reference []tlog.Hash

func (r *reference) add(t *testing.T, n int64, h tlog.Hash) {
	t.Helper()
	hashes, err := tlog.StoredHashesForRecordHash(n, h, *r)
	if err != nil {
		t.Fatal(err)
	}
	*r = append(*r, hashes...)
}

func (r reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, r[i])
	}
	return out, nil
}

func randomHash(random *rand.Rand) (h tlog.Hash) {
	for i := range h {
		h[i] = byte(random.Uint32())
	}
	return h
}

// tiles keeps what a Tree gives out, as a store does.
type tiles map[[2]int64][]byte

func (s tiles) put(t *Tree) {
	for _, tile := range t.Tiles() {
		s[[2]int64{int64(tile.Level), tile.N}] = tile.Data
	}
}

func (tiles) Height() int { return TileHeight }

func (s tiles) ReadTiles(want []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range want {
		data = append(data, s[[2]int64{int64(tile.L), tile.N}][:tile.W*tlog.HashSize])
	}
	return data, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// TestTree grows a tree in random steps and takes it up from its open tiles each
// time: roots, tiles and edges are those of package tlog.
func TestTree(t *testing.T) {
	random := pandotest.Seeded(t)
	var want reference
	stored := tiles{}
	size := int64(0)
	for size < 3*TileWidth*TileWidth/2 {
		data, err := stored.ReadTiles(OpenTiles(size))
		if err != nil {
			t.Fatal(err)
		}
		tree, err := NewTree(size, data)
		if err != nil {
			t.Fatal(err)
		}
		step := random.IntN(1 << random.IntN(15))
		for range step {
			h := randomHash(random)
			want.add(t, size, h)
			tree.Append(h)
			size++
		}
		stored.put(tree)
		if tree.Size() != size {
			t.Fatalf("size %d, want %d", tree.Size(), size)
		}
		root, err := tlog.TreeHash(size, want)
		if err != nil {
			t.Fatal(err)
		}
		if got := tree.Root(); got != root {
			t.Fatalf("at %d the root is %v, want %v", size, got, root)
		}
		if size == 0 {
			continue
		}
		// The tiles prove each other, up to the root.
		part := random.Int64N(size + 1)
		hashes, err := Edge(part, tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, stored))
		if err != nil {
			t.Fatal(err)
		}
		e, err := edgeOf(part, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if root, _ = tlog.TreeHash(part, want); e.root() != root {
			t.Fatalf("the root at %d from its edge is %v, want %v", part, e.root(), root)
		}
	}
}

func TestTreeRefusesOtherTiles(t *testing.T) {
	for _, data := range [][][]byte{{}, {make([]byte, 32)}, {make([]byte, 64), make([]byte, 32)}, {make([]byte, 33), make([]byte, 32)}} {
		if _, err := NewTree(TileWidth+1, data); (err == nil) != (len(data) == 2 && len(data[0]) == 32) {
			t.Errorf("%d tiles: %v", len(data), err)
		}
	}
	if _, err := edgeOf(3, make([]tlog.Hash, 1)); err == nil {
		t.Error("a tree of three leaves has two subtrees")
	}
}

// TestLeafData holds the encoding of leaves to what it was when the first was
// logged: it can never change.
func TestLeafData(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)
	serial := Serial{0: 0x41, 19: 7}
	for name, c := range map[string]struct {
		leaf Leaf
		want string
	}{
		"certificate": {
			Leaf{Certificate: &CertificateLeaf{Issuer: "i", Serial: serial, SHA256: Digest{0xaa}, Owner: "acme", Device: "SM-1", ProductLine: "p", Lot: "l", Site: "s",
				Profile: ProfileOfLeaf{"acme", "meter", 2}, Intent: "n", Place: 3, Batch: "b", Row: 4, NotBefore: at, NotAfter: at, Issued: at}},
			"0101" + "0169" + "4100000000000000000000000000000000000007" + "aa" + zeros(31) + "0461636d65" + "04534d2d31" + "0170" + "016c" + "0173" +
				"0461636d65" + "056d65746572" + "0000000000000002" + "016e" + "0000000000000003" + "0162" + "0000000000000004" +
				"00064bf535b0f240" + "00064bf535b0f240" + "00064bf535b0f240",
		},
		"event":      {Leaf{Event: &EventLeaf{ID: "e", At: at, Actor: "a", Action: "b", Target: "c", Detail: "ü"}}, "0102" + "0165" + "00064bf535b0f240" + "0161" + "0162" + "0163" + "02c3bc"},
		"revocation": {Leaf{Revocation: &RevocationLeaf{Issuer: "i", Serial: serial, N: 1, Reason: 8, At: at, Shard: 2}}, "0103" + "0169" + "4100000000000000000000000000000000000007" + "0000000000000001" + "0000000000000008" + "00064bf535b0f240" + "0000000000000002" + "0000000000000000"},
		"nothing":    {},
	} {
		data := c.leaf.Data()
		if got := hex.EncodeToString(data); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if c.leaf.Hash() != tlog.RecordHash(data) {
			t.Errorf("%s: the hash is not that of RFC 6962", name)
		}
	}
}

func zeros(n int) string { return hex.EncodeToString(make([]byte, n)) }

func TestOrigin(t *testing.T) {
	if a, b := Origin("d", pki.Platform), Origin("d", "platform"); a == b {
		t.Errorf("the platform and a tenant of its name share the origin %s", a)
	}
}

// TestHashAllocates nothing on the hot path.
func TestHashAllocates(t *testing.T) {
	leaf := Leaf{Certificate: &CertificateLeaf{Issuer: "issuer", Device: "SM-1", Owner: "acme"}}
	var h Hasher
	h.Hash(&leaf)
	if n := testing.AllocsPerRun(100, func() { h.Hash(&leaf) }); n != 0 {
		t.Errorf("%v allocations a leaf", n)
	}
}

func BenchmarkHash(b *testing.B) {
	leaf := Leaf{Certificate: &CertificateLeaf{Issuer: "0123456789abcdefghijklmnop", Device: "SM-000001", Owner: "acme", ProductLine: "meters", Lot: "lot-1", Site: "plant-1",
		Profile: ProfileOfLeaf{"acme", "meter", 1}, Intent: "0123456789abcdefghijklmnop", Batch: "0123456789abcdefghijklmnop"}}
	var h Hasher
	for b.Loop() {
		h.Hash(&leaf)
	}
}

func TestSplitNotes(t *testing.T) {
	sig := "\u2014 k " + base64.StdEncoding.EncodeToString(make([]byte, 68)) + "\n"
	a, b := "pando/d/platform\n1\nx\n\n"+sig+sig, "pando/d/platform\n2\nx\n\n"+sig
	for text, want := range map[string][]string{
		"":                  nil,
		a:                   {a},
		a + b:               {a, b},
		a + "\n\n" + b:      {a, b},
		a + b[:len(b)-1]:    {a},
		a + b[:len(b)-12]:   {a},
		a + b[:20]:          {a},
		"no note\n\nat all": nil,
		// What follows a write that was cut off is read.
		b[:len(b)-12] + "\n\n" + a: {a},
		b[:20] + "\n\n" + a + b:    {a, b},
	} {
		if got := SplitNotes(text); !slices.Equal(got, want) {
			t.Errorf("%q:\n%q", text, got)
		}
	}
}
