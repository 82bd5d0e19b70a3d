package check

import (
	"bufio"
	"bytes"
	"container/heap"
	"fmt"
	"io"
	"iter"
	"os"
	"sort"
)

// spillBuffer is how many bytes of records a spill holds in memory.
const spillBuffer = 8 << 20

// A spill sorts any number of records of one size in bounded memory: full buffers
// are written, sorted, as runs of a temporary file, and merged at the end.
type spill struct {
	size   int // of a record, in bytes
	limit  int // of buffer, in bytes
	buffer []byte
	file   *os.File // nil until the first run; has no name
	runs   []*io.SectionReader
}

// newSpill returns a spill for records of the given size.
func newSpill(size int) *spill {
	return &spill{size: size, limit: spillBuffer / size * size}
}

// add adds a copy of record.
func (s *spill) add(record []byte) error {
	if len(s.buffer) == s.limit {
		if err := s.flush(); err != nil {
			return fmt.Errorf("sorting in a temporary file: %w", err)
		}
	}
	s.buffer = append(s.buffer, record...)
	return nil
}

// flush writes the buffer as one sorted run.
func (s *spill) flush() error {
	if s.file == nil {
		f, err := os.CreateTemp("", "pando-check-")
		if err != nil {
			return err
		}
		s.file = f
		// Nobody else opens it, and it is gone when the process is.
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
	}
	var at int64
	if n := len(s.runs); n > 0 {
		_, offset, size := s.runs[n-1].Outer()
		at = offset + size
	}
	sort.Sort(&records{s.buffer, s.size, make([]byte, s.size)})
	if _, err := s.file.WriteAt(s.buffer, at); err != nil {
		return err
	}
	s.runs = append(s.runs, io.NewSectionReader(s.file, at, int64(len(s.buffer))))
	s.buffer = s.buffer[:0]
	return nil
}

// sorted yields every record in order. A record is valid until the next one. It
// can be called once, after the last add.
func (s *spill) sorted() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		sort.Sort(&records{s.buffer, s.size, make([]byte, s.size)})
		var runs mergeHeap
		sources := []io.Reader{bytes.NewReader(s.buffer)}
		for _, r := range s.runs {
			sources = append(sources, bufio.NewReaderSize(r, 64<<10))
		}
		for _, r := range sources {
			run := &mergeRun{r, make([]byte, s.size)}
			more, err := run.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if more {
				runs = append(runs, run)
			}
		}
		heap.Init(&runs)
		for len(runs) > 0 {
			first := runs[0]
			if !yield(first.record, nil) {
				return
			}
			more, err := first.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if more {
				heap.Fix(&runs, 0)
			} else {
				heap.Pop(&runs)
			}
		}
	}
}

// close gives up the temporary file.
func (s *spill) close() {
	if s.file != nil {
		s.file.Close() // read to its end or abandoned: nothing can be lost
	}
}

// records sorts fixed-size records within a byte slice.
type records struct {
	bytes []byte
	size  int
	swap  []byte
}

func (r *records) at(i int) []byte    { return r.bytes[i*r.size : (i+1)*r.size] }
func (r *records) Len() int           { return len(r.bytes) / r.size }
func (r *records) Less(i, j int) bool { return bytes.Compare(r.at(i), r.at(j)) < 0 }
func (r *records) Swap(i, j int) {
	copy(r.swap, r.at(i))
	copy(r.at(i), r.at(j))
	copy(r.at(j), r.swap)
}

// A mergeRun is a sorted run with its first record that was not yet yielded.
type mergeRun struct {
	source io.Reader
	record []byte
}

// next reads the run's next record; more is false at its end.
func (r *mergeRun) next() (more bool, err error) {
	_, err = io.ReadFull(r.source, r.record)
	if err == io.EOF {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading back a temporary file: %w", err)
	}
	return true, nil
}

// mergeHeap has the run with the lowest record first.
type mergeHeap []*mergeRun

func (h mergeHeap) Len() int           { return len(h) }
func (h mergeHeap) Less(i, j int) bool { return bytes.Compare(h[i].record, h[j].record) < 0 }
func (h mergeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *mergeHeap) Push(x any)        { *h = append(*h, x.(*mergeRun)) }
func (h *mergeHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
