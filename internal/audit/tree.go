package audit

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// TileHeight is the height of a log's tiles: TileWidth hashes lie side by side.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// An edge is the roots of the perfect subtrees that a tree is made of, the
// largest first. Its zero value is the empty tree.
type edge struct {
	hashes []tlog.Hash
	sizes  []int64
	size   int64 // the sum of sizes
}

// push appends a perfect subtree of n leaves, which is no larger than the last.
func (e *edge) push(h tlog.Hash, n int64) {
	e.size += n
	for last := len(e.sizes) - 1; last >= 0 && e.sizes[last] == n; last-- {
		h, n = tlog.NodeHash(e.hashes[last], h), 2*n
		e.hashes, e.sizes = e.hashes[:last], e.sizes[:last]
	}
	e.hashes, e.sizes = append(e.hashes, h), append(e.sizes, n)
}

// root returns the tree's hash (RFC 6962, 2.1).
func (e *edge) root() tlog.Hash {
	last := len(e.hashes) - 1
	if last < 0 {
		return sha256.Sum256(nil)
	}
	h := e.hashes[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(e.hashes[i], h)
	}
	return h
}

// edgeOf returns the edge of a tree of size leaves from the hashes that Edge
// returned.
func edgeOf(size int64, hashes []tlog.Hash) (*edge, error) {
	if size < 0 || bits.OnesCount64(uint64(size)) != len(hashes) {
		return nil, fmt.Errorf("a tree of %d leaves has %d subtrees, not %d", size, bits.OnesCount64(uint64(size)), len(hashes))
	}
	e := new(edge)
	for _, h := range hashes {
		n := int64(1) << (bits.Len64(uint64(size-e.size)) - 1)
		e.push(h, n)
	}
	return e, nil
}

// Edge returns the roots of the perfect subtrees of a tree's first size leaves,
// the largest first.
func Edge(size int64, r tlog.HashReader) ([]tlog.Hash, error) {
	var indexes []int64
	for at := int64(0); at < size; {
		level := bits.Len64(uint64(size-at)) - 1
		indexes = append(indexes, tlog.StoredHashIndex(level, at>>level))
		at += 1 << level
	}
	if len(indexes) == 0 {
		return nil, nil
	}
	return r.ReadHashes(indexes)
}

// A Tree is the growing end of a log's tree: its size, and the hashes of the
// tiles that are not full yet. From these the tree can be gone on with and its
// root computed, without anything else of it.
type Tree struct {
	size  int64
	open  [][]tlog.Hash // by level: what the level's last tile holds, fewer than TileWidth
	tiles []Tile        // that Append has filled
}

// A Tile is up to TileWidth hashes that lie side by side: of leaves at level 0, of
// full tiles of the level below at the others.
type Tile struct {
	Level int
	N     int64 // its number from the left
	Data  []byte
}

// OpenTiles returns which tiles of a tree of the given size are not full, by
// level, and how many hashes each has. Those that have none are left out.
func OpenTiles(size int64) []tlog.Tile {
	var open []tlog.Tile
	for level, n := 0, size; n > 0; level, n = level+1, n/TileWidth {
		if w := n % TileWidth; w > 0 {
			open = append(open, tlog.Tile{H: TileHeight, L: level, N: n / TileWidth, W: int(w)})
		}
	}
	return open
}

// NewTree takes a tree up: data has the content of each of OpenTiles(size).
func NewTree(size int64, data [][]byte) (*Tree, error) {
	tiles := OpenTiles(size)
	if len(tiles) != len(data) {
		return nil, fmt.Errorf("a tree of %d leaves has %d open tiles, not %d", size, len(tiles), len(data))
	}
	t := &Tree{size: size}
	for i, tile := range tiles {
		if len(data[i]) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %d of level %d has %d bytes instead of %d", tile.N, tile.L, len(data[i]), tile.W*tlog.HashSize)
		}
		for j := range tile.W {
			t.add(tile.L, tlog.Hash(data[i][j*tlog.HashSize:][:tlog.HashSize]))
		}
	}
	return t, nil
}

// Size returns how many leaves the tree has.
func (t *Tree) Size() int64 { return t.size }

// Append adds a leaf by its hash.
func (t *Tree) Append(h tlog.Hash) {
	t.add(0, h)
	t.size++
	for level := 0; len(t.open[level]) == TileWidth; level++ {
		var whole edge
		for _, h := range t.open[level] {
			whole.push(h, 1)
		}
		t.tiles = append(t.tiles, Tile{level, (t.size - 1) >> (TileHeight * (level + 1)), dataOf(t.open[level])})
		t.open[level] = t.open[level][:0]
		t.add(level+1, whole.root())
	}
}

func (t *Tree) add(level int, h tlog.Hash) {
	for len(t.open) <= level {
		t.open = append(t.open, nil)
	}
	t.open[level] = append(t.open[level], h)
}

// Root returns the tree's hash.
func (t *Tree) Root() tlog.Hash {
	var e edge
	for level := len(t.open) - 1; level >= 0; level-- {
		for _, h := range t.open[level] {
			e.push(h, 1<<(TileHeight*level))
		}
	}
	return e.root()
}

// Tiles returns the tiles that Append filled, and then those that are open.
func (t *Tree) Tiles() []Tile {
	tiles := t.tiles
	for level, hashes := range t.open {
		if len(hashes) > 0 {
			tiles = append(tiles, Tile{level, t.size >> (TileHeight * (level + 1)), dataOf(hashes)})
		}
	}
	return tiles
}

func dataOf(hashes []tlog.Hash) []byte {
	data := make([]byte, 0, len(hashes)*tlog.HashSize)
	for i := range hashes {
		data = append(data, hashes[i][:]...)
	}
	return data
}

// RootAt returns the hash of the tree of a log's first size leaves.
func RootAt(size int64, r tlog.HashReader) (tlog.Hash, error) {
	hashes, err := Edge(size, r)
	if err != nil {
		return tlog.Hash{}, err
	}
	e, err := edgeOf(size, hashes)
	if err != nil {
		return tlog.Hash{}, err
	}
	return e.root(), nil
}
