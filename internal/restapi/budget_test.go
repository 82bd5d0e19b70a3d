//go:build !race

package restapi

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// What the API adds to an enrolment is bounded, with what the test's own request and
// answer take. (The race detector allocates too.)
func TestEnrollAllocations(t *testing.T) {
	const budget = 92
	s := serve(t)
	answer := &pki.Enrollment{Certificate: &pki.Certificate{Profile: pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 1}, DER: make([]byte, 700)},
		Chain: [][]byte{make([]byte, 600)}}
	s.enrolled = func(enroll.Request) (*pki.Enrollment, error) { return answer, nil }
	body := `{"endpoint":"demo.meter","csr":"` + base64.StdEncoding.EncodeToString(make([]byte, 330)) + `","device":"SM-000001","lot":"17"}`
	got := testing.AllocsPerRun(100, func() {
		r := httptest.NewRequest("POST", "/api/v1/enrollments", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer factory")
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			t.Fatal(w.Code, w.Body)
		}
	})
	if got > budget {
		t.Errorf("an enrolment takes %v allocations in the API, more than %d", got, budget)
	}
}
