package statuscheck

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestReadLike: what is read is bounded by the CRL that is expected, and what is the
// same as that is not held twice.
func TestReadLike(t *testing.T) {
	expected := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	other := bytes.Clone(expected)
	other[100_000]++
	for what, body := range map[string][]byte{
		"the same": expected, "shorter": expected[:40_000], "nothing": {}, "longer": append(bytes.Clone(expected), 1, 2, 3), "another": other,
		"another at its end": append(bytes.Clone(expected[:len(expected)-1]), 0), "the longest": make([]byte, bound(expected)),
	} {
		for _, from := range []io.Reader{bytes.NewReader(body), iotest.HalfReader(bytes.NewReader(body))} {
			got, err := readLike(from, expected)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %d bytes, %v", what, len(got), err)
			}
			if bytes.HasPrefix(expected, body) && len(body) > 0 && &got[0] != &expected[0] {
				t.Errorf("%s: it is held twice", what)
			}
		}
	}
	endless := &counted{}
	if _, err := readLike(endless, expected); err == nil || !strings.Contains(err.Error(), "much longer") || errors.Is(err, errUnreachable) {
		t.Errorf("an endless one: %v", err)
	}
	if endless.n > bound(expected)+64<<10 {
		t.Errorf("%d bytes were read of an endless one", endless.n)
	}
	if _, err := readLike(io.MultiReader(bytes.NewReader(expected), iotest.ErrReader(io.ErrClosedPipe)), expected); !errors.Is(err, errUnreachable) {
		t.Errorf("one that breaks off: %v", err)
	}
}

// counted has no end.
type counted struct{ n int64 }

func (c *counted) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
