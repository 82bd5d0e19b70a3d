package sqlstore

import (
	"bytes"
	"testing"
)

func FuzzPosition(f *testing.F) {
	f.Add(hit{id: 7, num: 1 << 50, text: "sm-000001"}.position())
	f.Add([]byte{0})
	f.Add([]byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, begun := parsePosition(b)
		if begun != (len(b) > 0) || h.id < 0 || h.num < 0 {
			t.Errorf("%x: %+v", b, h)
		}
		again, _ := parsePosition(h.position())
		if begun && again != h || !bytes.Equal(again.position(), h.position()) {
			t.Errorf("%x: %+v, then %+v", b, h, again)
		}
	})
}
