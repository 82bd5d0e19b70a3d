package server

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// TestNetworksFirst: from where an endpoint takes no requests, nothing that a request brings is
// looked at, by EST or SCEP; what anybody may know is answered.
func TestNetworksFirst(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device", pki.ProtocolEST)
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: bootstrapOf(t, s)}}}
	t.Cleanup(over.CloseIdleConnections)
	status := func(method, url, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("device", "0123456789abcdef")
		answer, err := over.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	scep, est := s.URL("http")+"/scep/acme.device?operation=", s.URL("devices")+"/.well-known/est/acme.device/"
	is := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: status %d, want %d", what, got, want)
		}
	}
	is("a message of SCEP from anywhere", status("POST", scep+"PKIOperation", "garbage"), http.StatusBadRequest)
	is("a wrong secret from anywhere", status("POST", est+"simpleenroll", "garbage"), http.StatusUnauthorized)
	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "device", Networks: []string{"192.0.2.0/24"}}); err != nil {
		t.Fatal(err)
	}
	is("a message of SCEP from elsewhere", status("POST", scep+"PKIOperation", "garbage"), http.StatusForbidden)
	is("a wrong secret from elsewhere", status("POST", est+"simpleenroll", "garbage"), http.StatusForbidden)
	is("capabilities", status("GET", scep+"GetCACaps", ""), http.StatusOK)
	is("certificates", status("GET", est+"cacerts", ""), http.StatusOK)
	seen := 0
	for v := range s.visits.Watch(t.Context(), "acme.device", false) {
		if v.Kind == pki.Forbidden && strings.Contains(v.Why, "is not in its networks") {
			seen++
		}
	}
	if seen != 2 {
		t.Errorf("the trace shows %d refusals for networks, want 2", seen)
	}
}
