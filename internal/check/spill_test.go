package check

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSpillSorts(t *testing.T) {
	const size = 12
	for _, test := range []struct{ records, inMemory int }{
		{0, 10}, {1, 10}, {10, 10}, {11, 10}, {20, 10}, {1005, 10}, {1000, 2000},
	} {
		s := newSpill(size)
		s.limit = test.inMemory * size
		defer s.close()
		random := rand.New(rand.NewPCG(1, 2))
		var want [][]byte
		for i := range test.records {
			record := make([]byte, size)
			binary.BigEndian.PutUint32(record, random.Uint32N(500)) // some are equal so far
			binary.BigEndian.PutUint64(record[4:], uint64(i))
			want = append(want, record)
			if err := s.add(record); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(want, bytes.Compare)
		var got [][]byte
		for record, err := range s.sorted() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, bytes.Clone(record))
		}
		if !slices.EqualFunc(want, got, bytes.Equal) {
			t.Errorf("%d records, %d in memory: not in order, or not the same", test.records, test.inMemory)
		}
	}
}
