package soft

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// FuzzParseKEK holds that a text is refused as Malformed without a word of it, or
// is the one way, but for its line end, to write its key.
func FuzzParseKEK(f *testing.F) {
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xa5}, kekSize))
	for _, text := range []string{good, good + "\n", good + "\r\n", good + "\n\n", good[:40] + "\n" + good[40:], good[:43], good + good, "", "\n", " " + good} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		given := bytes.Clone(text)
		k, err := parseKEK(text, "file:kek")
		if !bytes.Equal(text, given) {
			t.Fatal("the text was changed")
		}
		if err != nil {
			if pki.KindOf(err) != pki.Malformed {
				t.Errorf("error %v of kind %v", err, pki.KindOf(err))
			}
			if word := bytes.TrimSpace(text); len(word) > 16 && bytes.Contains([]byte(err.Error()), word[:16]) {
				t.Errorf("the error tells the key: %v", err)
			}
			return
		}
		key, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil {
			t.Fatal(err)
		}
		again, err := newKEK(key)
		if err != nil {
			t.Fatal(err)
		}
		written := base64.StdEncoding.EncodeToString(key)
		if k.ID() != again.ID() || string(bytes.TrimRight(text, "\r\n")) != written || len(text)-len(written) > 2 {
			t.Errorf("%q is read as another text's key", text)
		}
	})
}
