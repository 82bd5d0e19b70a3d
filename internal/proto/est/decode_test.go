package est

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pando-pki/pando/internal/pki"
)

// wrapped returns base64 in lines of n characters.
func wrapped(der []byte, n int, end string) string {
	var b strings.Builder
	for text := base64.StdEncoding.EncodeToString(der); text != ""; {
		line := text[:min(n, len(text))]
		text = text[len(line):]
		b.WriteString(line + end)
	}
	return b.String()
}

// TestReadCSR: base64 in one line or in many, whatever a client says of it, and what else
// comes. That nothing needs to be said of it TestEST of internal/server shows.
func TestReadCSR(t *testing.T) {
	der := bytes.Repeat([]byte{0x30, 0xa5, 0xff}, 200)
	one := base64.StdEncoding.EncodeToString(der)
	large := strings.NewReader(strings.Repeat("A", maxBody+1))
	for name, test := range map[string]struct {
		body        io.Reader
		contentType string
		status      int // 0 for none
	}{
		"one line":              {strings.NewReader(one), "application/pkcs10", 0},
		"lines with LF":         {strings.NewReader(wrapped(der, 64, "\n")), "application/pkcs10", 0},
		"lines with CRLF":       {strings.NewReader(wrapped(der, 76, "\r\n")), "application/pkcs10", 0},
		"blanks and tabs in it": {strings.NewReader(" \t" + wrapped(der, 8, " \t") + "\r\n"), "application/pkcs10", 0},
		"in parts":              {iotest.OneByteReader(strings.NewReader(one)), "application/pkcs10", 0},
		"type with a parameter": {strings.NewReader(one), `Application/PKCS10; charset="x"`, 0},
		"no type":               {strings.NewReader(one), "", http.StatusUnsupportedMediaType},
		"another type":          {strings.NewReader(one), "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType},
		"garbage":               {strings.NewReader("%$§"), "application/pkcs10", http.StatusBadRequest},
		"DER itself":            {bytes.NewReader(der), "application/pkcs10", http.StatusBadRequest},
		"PEM":                   {strings.NewReader("-----BEGIN CERTIFICATE REQUEST-----\n" + one + "\n-----END CERTIFICATE REQUEST-----\n"), "application/pkcs10", http.StatusBadRequest},
		"without its padding":   {strings.NewReader("MIIBAA"), "application/pkcs10", http.StatusBadRequest},
		"nothing":               {strings.NewReader(""), "application/pkcs10", http.StatusBadRequest},
		"blanks":                {strings.NewReader(" \r\n\t"), "application/pkcs10", http.StatusBadRequest},
		"too much":              {large, "application/pkcs10", http.StatusRequestEntityTooLarge},
		"cut short":             {io.MultiReader(strings.NewReader(one[:8]), iotest.ErrReader(io.ErrUnexpectedEOF)), "application/pkcs10", http.StatusBadRequest},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", test.body)
		r.Header.Set("Content-Type", test.contentType)
		r.Header.Set("Content-Transfer-Encoding", "binary") // which says nothing
		got, err := readCSR(httptest.NewRecorder(), r)
		status := 0
		if err != nil {
			status = statusOf(pki.KindOf(err))
			if e, ok := errors.AsType[imprecise](err); ok {
				status = e.status
			}
		}
		if status != test.status || err == nil && !bytes.Equal(got, der) {
			t.Errorf("%s: %d %v, want %d", name, status, err, test.status)
		}
	}
}

// FuzzDecodeBase64: what is read is what encoding/base64 reads without the blanks.
func FuzzDecodeBase64(f *testing.F) {
	f.Add([]byte("MIIBAA=="))
	f.Add([]byte("MIIB\r\nAA=="))
	f.Add([]byte("MIIBAB=="))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeBase64(bytes.Clone(body))
		text := strings.NewReplacer("\r", "", "\n", "", " ", "", "\t", "").Replace(string(body))
		want, wantErr := base64.StdEncoding.Strict().DecodeString(text)
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%q: %x %v, want %x %v", body, got, err, want, wantErr)
		}
		if err != nil && pki.KindOf(err) != pki.Malformed {
			t.Errorf("%q: %v", body, err)
		}
	})
}
