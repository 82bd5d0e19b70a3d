package registry

import (
	"bytes"
	"io"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func FuzzCursor(f *testing.F) {
	f.Add("lots", []byte("a"), "")
	f.Add("lots", []byte("a"), encodeCursor("lots", []byte("a")))
	f.Add("devices", []byte{1, 7}, encodeCursor("lots", []byte("a")))
	f.Fuzz(func(t *testing.T, query string, position []byte, cursor string) {
		if _, err := decodeCursor(query, cursor); err != nil && pki.KindOf(err) != pki.Malformed {
			t.Errorf("%q: %v", cursor, err)
		}
		if len(position) == 0 || len(position) > 200 {
			return
		}
		got, err := decodeCursor(query, encodeCursor(query, position))
		if err != nil || !bytes.Equal(got, position) {
			t.Errorf("%q, %x: %x, %v", query, position, got, err)
		}
		if _, err := decodeCursor(query+"x", encodeCursor(query, position)); err == nil {
			t.Errorf("%q, %x: the cursor fits another query", query, position)
		}
	})
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
