package registry

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func FuzzCursor(f *testing.F) {
	s := New(Config{CursorKey: [32]byte{1}})
	f.Add("lots", []byte("a"), "")
	f.Add("lots", []byte("a"), s.list("acme", "lots").cursor([]byte("a")))
	f.Add("devices", []byte{1, 7, 1, 0}, s.list("acme", "lots").cursor([]byte("a")))
	f.Fuzz(func(t *testing.T, query string, position []byte, cursor string) {
		l := s.list("acme", query)
		if _, err := l.position(cursor); err != nil && pki.KindOf(err) != pki.Malformed {
			t.Errorf("%q: %v", cursor, err)
		}
		if len(position) == 0 || len(position) > 200 {
			return
		}
		got, err := l.position(l.cursor(position))
		if err != nil || !bytes.Equal(got, position) {
			t.Errorf("%q, %x: %x, %v", query, position, got, err)
		}
		for _, other := range []list{s.list("acme", query+"x"), s.list("acm", "e"+query), New(Config{}).list("acme", query)} {
			if _, err := other.position(l.cursor(position)); pki.KindOf(err) != pki.Malformed {
				t.Errorf("%q, %x: the cursor fits another list: %v", query, position, err)
			}
		}
	})
}

// TestCursorsTellNothing: a cursor does not say which row of all tenants' a row is, not
// even how large its number is, and one that is changed is not believed.
func TestCursorsTellNothing(t *testing.T) {
	l := New(Config{CursorKey: [32]byte{1}}).list("acme", "certificates")
	first := l.cursor([]byte{0, 0, 1})
	for _, number := range []uint64{2, 300, 1 << 40} {
		position := binary.AppendUvarint([]byte{0, 0}, number)
		cursor := l.cursor(position)
		sealed, err := cursorEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		if len(cursor) != len(first) || cursor[:8] == first[:8] || bytes.Contains(sealed, position) {
			t.Errorf("%d: %s tells something, where 1 is %s", number, cursor, first)
		}
		for i := range sealed {
			sealed[i] ^= 0x80
			if p, err := l.position(cursorEncoding.EncodeToString(sealed)); pki.KindOf(err) != pki.Malformed {
				t.Fatalf("%d, byte %d changed: %x, %v", number, i, p, err)
			}
			sealed[i] ^= 0x80
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add(true, []byte("device,lot\na,lot-1\n\"b\",\"lot-1\"\n"))
	f.Add(true, []byte("\ufeffdevice\r\na\r\n\r\nb"))
	f.Add(false, []byte("{\"device\":\"a\",\"lot\":\"lot-1\"}\n{}\n"))
	f.Add(false, bytes.Repeat([]byte("x"), 3*maxRow))
	f.Fuzz(func(t *testing.T, isCSV bool, text []byte) {
		format := NDJSON
		if isCSV {
			format = CSV
		}
		r, err := newRowReader(format, bytes.NewReader(text))
		if err != nil {
			if pki.KindOf(err) != pki.Malformed {
				t.Error(err)
			}
			return
		}
		// Each line is a row at most, so that the reader comes to an end.
		for range bytes.Count(text, []byte("\n")) + 2 {
			d, err := r.next()
			switch {
			case err == io.EOF:
				return
			case err != nil && pki.KindOf(err) != pki.Malformed:
				t.Fatal(err)
			case err == nil && len(d.ID) > maxRow:
				t.Fatalf("an id of %d bytes", len(d.ID))
			}
		}
		t.Error("the reader does not come to an end")
	})
}
