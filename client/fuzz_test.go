package client

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func FuzzReadEvents(f *testing.F) {
	f.Add("event: progress\ndata: {\"id\":\"b\",\"issued\":1}\n\nevent: end\ndata: {}\n\n")
	f.Add(": comment\n\ndata: {\"id\":5}\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		yielded := 0
		seen, err := readEvents(strings.NewReader(text), func(b *Batch, err error) bool {
			if b == nil || err != nil {
				t.Fatalf("yielded %v, %v", b, err)
			}
			yielded++
			return true
		})
		if yielded > 0 && !seen {
			t.Fatalf("%d events, none seen", yielded)
		}
		if err == nil && !strings.Contains(text, "event: end") {
			t.Fatal("ended without an end")
		}
	})
}

func FuzzProblem(f *testing.F) {
	f.Add(`{"type":"urn:pando:error:conflict","title":"T","status":409,"detail":"d","kind":"conflict","errors":[{"message":"m"}]}`, "5")
	f.Add(`{"errors":null,"status":-1}`, "-1")
	f.Fuzz(func(t *testing.T, body, after string) {
		p := problem(&http.Response{StatusCode: 503, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{"Content-Type": {"application/problem+json"}, "Retry-After": {after}}})
		if p.Status != 503 || p.RetryAfter < 0 || p.Error() == "" && p.Detail != "" {
			t.Fatalf("%+v", p)
		}
	})
}
