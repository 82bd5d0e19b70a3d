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

// always answers every request with the same rows.
type always string

func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(strings.NewReader(string(a))),
		Header: http.Header{"Content-Type": {"application/x-ndjson"}}}, nil
}

// FuzzResults: whatever a server sends, the end comes, and nothing after an error.
func FuzzResults(f *testing.F) {
	f.Add(`{"row":1,"status":"issued"}` + "\n" + `{"row":2,"status":"refused"}` + "\n")
	f.Add(`{"row":1}{"row":1}`)
	f.Add(`{"row":3}{"row":2}`)
	f.Add(`{"row":9223372036854775807}{"ro`)
	f.Add(`{"row":-1}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := New(Config{Server: "https://127.0.0.1", Token: TokenOf("x"), HTTPClient: &http.Client{Transport: always(text)}})
		if err != nil {
			t.Fatal(err)
		}
		ended := false
		for _, err := range c.Results(t.Context(), "b", 0) {
			if ended {
				t.Fatal("it goes on after an error")
			}
			ended = err != nil
		}
	})
}

func FuzzProblem(f *testing.F) {
	f.Add(`{"type":"urn:pando:error:conflict","title":"T","status":409,"detail":"d","kind":"conflict","errors":[{"message":"m"}]}`, "5")
	f.Add(`{"errors":null,"status":-1}`, "-1")
	f.Add(`0`, "10000000000")
	f.Fuzz(func(t *testing.T, body, after string) {
		p := problem(&http.Response{StatusCode: 503, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{"Content-Type": {"application/problem+json"}, "Retry-After": {after}}})
		if p.Status != 503 || p.RetryAfter < 0 || p.Error() == "" && p.Detail != "" {
			t.Fatalf("%+v", p)
		}
	})
}
