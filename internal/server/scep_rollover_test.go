package server

import (
	"bytes"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
)

// TestSCEPRollover: a client gets ahead of time what GetCACert answers after the switch,
// signed by what it trusts by then. It reads it with an implementation that is not ours.
func TestSCEPRollover(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	ctx, g := t.Context(), st.Permit(t, "acme", access.ManageAuthorities)
	ask := func(operation string) (int, []byte) {
		t.Helper()
		answer, err := http.Get(s.URL("http") + "/scep/acme.device?operation=" + operation)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, body
	}
	read := func(message []byte) *pkcs7.PKCS7 {
		t.Helper()
		p, err := pkcs7.Parse(message)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if code, _ := ask("GetNextCACert"); code != http.StatusNotFound {
		t.Errorf("without a next issuer: %d", code)
	}
	_, now := ask("GetCACert")

	if _, err := s.hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); err != nil {
		t.Fatal(err)
	}
	request, err := s.hierarchy.Request(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.hierarchy.Install(ctx, g, st.Answer(t, "acme", request)); err != nil {
		t.Fatal(err)
	}
	var code int
	var next []byte
	for begun := time.Now(); time.Since(begun) < 2*time.Minute; time.Sleep(100 * time.Millisecond) {
		// What is known of the issuer's keys is read again each five seconds.
		if code, next = ask("GetNextCACert"); code == http.StatusOK {
			break
		}
	}
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, next)
	}
	if _, caps := ask("GetCACaps"); !strings.Contains(string(caps), "GetNextCACert\n") {
		t.Errorf("capabilities %q", caps)
	}
	trusted := x509.NewCertPool()
	signer := func(c *x509.Certificate) bool { return c.Equal(read(next).GetOnlySigner()) }
	known := false
	for _, c := range read(now).Certificates {
		trusted.AddCert(c)
		known = known || signer(c)
	}
	if err := read(next).VerifyWithChain(trusted); err != nil || !known {
		t.Errorf("signed by what the client does not know: %v", err)
	}

	v, err := s.hierarchy.Switch(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	_, then := ask("GetCACert")
	if !bytes.Equal(read(next).Content, then) {
		t.Errorf("GetNextCACert told of %d certificates, and GetCACert answers %d others", len(read(read(next).Content).Certificates), len(read(then).Certificates))
	}
	has := false
	for _, c := range read(then).Certificates {
		has = has || bytes.Equal(c.Raw, v.Active().Certificate)
	}
	if !has {
		t.Error("the new issuer's certificate is not there")
	}
	if code, _ := ask("GetNextCACert"); code != http.StatusNotFound {
		t.Errorf("after the switch: %d", code)
	}
}
