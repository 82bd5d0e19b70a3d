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

// enrolments returns what makes one enrolment by the API, whose answer is there
// already, without TLS and the connection.
func enrolments(t testing.TB) func() {
	s := serve(t)
	answer := &pki.Enrollment{Certificate: &pki.Certificate{Profile: pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 1}, DER: make([]byte, 700)},
		Chain: [][]byte{make([]byte, 600)}}
	s.enrolled = func(enroll.Request) (*pki.Enrollment, error) { return answer, nil }
	body := `{"endpoint":"demo.meter","csr":"` + base64.StdEncoding.EncodeToString(make([]byte, 330)) + `","device":"SM-000001","lot":"17"}`
	return func() {
		r := httptest.NewRequest("POST", "/api/v1/enrollments", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer factory")
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			t.Fatal(w.Code, w.Body)
		}
	}
}

// BenchmarkEnroll measures what the API adds to an enrolment.
func BenchmarkEnroll(b *testing.B) {
	enrol := enrolments(b)
	b.ReportAllocs()
	for b.Loop() {
		enrol()
	}
}
