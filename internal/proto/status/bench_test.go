package status_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/proto/status"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// BenchmarkOCSP is the handler alone, with an answer that is kept.
func BenchmarkOCSP(b *testing.B) {
	v := revocationtest.New(b, 1)
	request := revocationtest.Request(b, v.CA.Certificate, crypto.SHA1, v.Issue())
	s := status.New(status.Config{Limiter: (*limit.Limits)(nil), Validator: v, Now: v.Clock.Now, Log: slog.New(slog.DiscardHandler)})
	handler := s.Handler(http.NotFoundHandler())
	path := "/ocsp/issuer/" + base64.StdEncoding.EncodeToString(request)
	serve := func(b *testing.B, r *http.Request) {
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusOK || w.Body.Len() < 500 {
			b.Fatal(w.Code, w.Body.Len())
		}
	}
	b.Run("GET", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			serve(b, httptest.NewRequest(http.MethodGet, path, nil))
		}
	})
	b.Run("POST", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			serve(b, httptest.NewRequest(http.MethodPost, "/ocsp/issuer", bytes.NewReader(request)))
		}
	})
}
