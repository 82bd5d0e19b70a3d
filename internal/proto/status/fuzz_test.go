package status

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// FuzzDecodePath holds that whatever stands in a GET path is either Malformed or
// the bytes that a client encodes to the same path.
func FuzzDecodePath(f *testing.F) {
	for _, seed := range []string{"", "/", "MEow//+x", "MEow%2F%2F%2Bx", "MEow%2", "M===", "%4D%45%6F%77", "MEo\n=", "TUVv dw=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := decodePath(path)
		if err != nil {
			if pki.KindOf(err) != pki.Malformed {
				t.Fatalf("%v has kind %s", err, pki.KindOf(err))
			}
			return
		}
		text := base64.StdEncoding.EncodeToString(got)
		for _, encoded := range []string{"/" + url.QueryEscape(text), url.PathEscape(text)} {
			again, err := decodePath(encoded)
			if err != nil || !bytes.Equal(again, got) {
				t.Fatalf("%q decodes to %x, %v; want %x", encoded, again, err, got)
			}
		}
	})
}
