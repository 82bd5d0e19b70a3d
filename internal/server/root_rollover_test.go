package server

import (
	"bytes"
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestRootRollover: a client of EST gets the new root and the links with it before the
// switch, and no root ends after the new one (RFC 7030, 4.1.3); one of SCEP gets the links;
// and what it had verifies by what it gets.
func TestRootRollover(t *testing.T) {
	s, st, meter, _ := trusting(t)
	ctx, g := t.Context(), st.Permit(t, "acme", access.ManageAuthorities)
	if _, err := s.enroll.UpdateEndpoint(ctx, st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "meter", Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolEST, pki.ProtocolSCEP}}); err != nil {
		t.Fatal(err)
	}
	authority, device := meter.chain[1], meter.chain[0]
	meter.chain = nil
	published := func() []*x509.Certificate {
		t.Helper()
		return certificates(t, meter.est("GET", estPath("acme.meter", "cacerts"), nil))
	}
	before := published()
	old := before[slices.IndexFunc(before, func(c *x509.Certificate) bool { return !bytes.Equal(c.Raw, authority) })]
	answer := st.Follow(t, "acme", "")
	if n := len(published()); n != len(before) {
		t.Errorf("%d certificates while the new root is made", n)
	}
	if _, err := s.hierarchy.Install(ctx, g, answer); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		answered := published()
		if len(answered) != 5 {
			t.Fatalf("%d certificates", len(answered))
		}
		var got []*x509.Certificate
		for _, der := range [][]byte{authority, answer.Certificate, answer.NewWithOld, answer.OldWithNew, old.Raw} {
			at := slices.IndexFunc(answered, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, der) })
			if at < 0 {
				t.Fatalf("there is no %s", pandotest.Parse(t, der).Subject)
			}
			got = append(got, answered[at])
			if answered[at].NotAfter.After(pandotest.Parse(t, answer.Certificate).NotAfter) {
				t.Errorf("%s ends after the newest root", answered[at].Subject)
			}
		}
		// Step by step: crypto/x509 counts links against the path length.
		for _, step := range [][2]*x509.Certificate{{pandotest.Parse(t, device), got[0]}, {got[0], got[3]}, {got[3], got[1]}, {got[2], got[4]}} {
			if err := step[0].CheckSignatureFrom(step[1]); err != nil {
				t.Error(err)
			}
		}
	}
	check()
	if _, err := s.hierarchy.Switch(ctx, g, "root"); err != nil {
		t.Fatal(err)
	}
	check()

	// hand waits until an operation of SCEP hands out all of some certificates.
	hand := func(operation string, all ...[]byte) {
		t.Helper()
		has := 0
		for end := time.Now().Add(time.Minute); has < len(all) && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			answered, err := http.Get(s.URL("http") + "/scep/acme.meter?operation=" + operation)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answered.Body)
			answered.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			message, err := pkcs7.Parse(body)
			if err == nil && operation == "GetNextCACert" {
				message, err = pkcs7.Parse(message.Content)
			}
			if err != nil {
				continue // there are no keys yet
			}
			has = 0
			for _, c := range message.Certificates {
				if slices.ContainsFunc(all, func(der []byte) bool { return bytes.Equal(c.Raw, der) }) {
					has++
				}
			}
		}
		if has < len(all) {
			t.Errorf("%s has %d of %d certificates", operation, has, len(all))
		}
	}
	hand("GetCACert", authority, answer.NewWithOld, answer.OldWithNew)

	// The authority's next issuer is below the new root, and comes with the links too.
	if _, err := s.hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); err != nil {
		t.Fatal(err)
	}
	request, err := s.hierarchy.Request(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	next := st.Answer(t, "acme", request)
	if err := pandotest.Parse(t, next.Certificate).CheckSignatureFrom(pandotest.Parse(t, answer.Certificate)); err != nil {
		t.Errorf("the next issuer is not below the new root: %v", err)
	}
	if _, err := s.hierarchy.Install(ctx, g, next); err != nil {
		t.Fatal(err)
	}
	hand("GetNextCACert", next.Certificate, answer.Certificate, answer.NewWithOld, answer.OldWithNew)
}
