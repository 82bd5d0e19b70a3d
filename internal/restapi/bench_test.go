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

// BenchmarkEnroll measures what the API adds to an enrolment, without TLS and
// the connection.
func BenchmarkEnroll(b *testing.B) {
	s := serve(b)
	answer := &pki.Enrollment{Certificate: &pki.Certificate{Profile: pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 1}, DER: make([]byte, 700)},
		Chain: [][]byte{make([]byte, 600)}}
	s.enrolled = func(enroll.Request) (*pki.Enrollment, error) { return answer, nil }
	body := `{"endpoint":"demo.meter","csr":"` + base64.StdEncoding.EncodeToString(make([]byte, 330)) + `","device":"SM-000001","lot":"17"}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/api/v1/enrollments", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer factory")
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			b.Fatal(w.Code, w.Body)
		}
	}
}
