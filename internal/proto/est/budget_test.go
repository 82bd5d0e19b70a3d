//go:build !race

package est

import (
	"crypto/x509/pkix"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// What EST adds to an enrolment is bounded, with what the test's own request and answer
// take. (The race detector allocates too.)
func TestEnrollAllocations(t *testing.T) {
	const budget = 69
	s := New(Config{RA: issuer{certificate: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{})}, Prover: anybody{}, Log: slog.New(slog.DiscardHandler)})
	h := s.Handler(http.NotFoundHandler())
	body := base64.StdEncoding.EncodeToString(pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "SM-1"}))
	got := testing.AllocsPerRun(100, func() {
		r := httptest.NewRequest("POST", prefix+"acme.device/simpleenroll", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/pkcs10")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
	})
	if got > budget {
		t.Errorf("an enrolment takes %v allocations in EST, more than %d", got, budget)
	}
}
