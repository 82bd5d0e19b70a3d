//go:build system

package acceptance

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/client"
)

// consistent sees that what is issued comes from the active issuer, that EST publishes the
// issuers that it should, and that each issuer that has signed anything has a CRL and
// answers by OCSP.
func (r *roller) consistent(t *testing.T) {
	t.Helper()
	a := r.show(t)
	certificates := make(map[string]*x509.Certificate) // by the issuer's id
	want := []string{}
	for _, i := range a.Issuers {
		if i.Certificate == "" {
			continue
		}
		c := parsePEM(t, i.Certificate)
		certificates[i.ID] = c
		if i.State != "dropped" {
			want = append(want, string(c.Raw))
		}
		if i.Active {
			r.probe(t, i.ID, c)
		}
	}
	want = append(want, string(readCertificates(t, r.file.Root)[0].Raw))
	var got []string
	for _, c := range r.published(t) {
		got = append(got, string(c.Raw))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("while issuers are %v, EST publishes %d certificates, not %d, or others", states(a), len(got), len(want))
	}
	r.status(t, certificates)
}

// status waits until each issuer has a CRL of its own, and asks by OCSP for what it signed.
func (r *roller) status(t *testing.T, issuers map[string]*x509.Certificate) {
	t.Helper()
	c := r.as(t, "")
	for begun := time.Now(); ; time.Sleep(pause) {
		all, err := c.CRLs(t.Context())
		if err != nil && !passing(t.Context(), err) {
			t.Fatal(err)
		}
		missing, seen := 0, make(map[string]bool)
		for _, l := range all {
			issuer := issuers[l.Issuer]
			if issuer == nil {
				continue
			}
			if seen[l.Issuer] = true; l.Number == 0 {
				missing++
				continue
			}
			list, err := x509.ParseRevocationList(fetch(t, l.URL))
			if err == nil {
				err = list.CheckSignatureFrom(issuer)
			}
			if err != nil || !list.NextUpdate.After(time.Now()) {
				t.Errorf("the CRL of issuer %s until %s: %v", l.Issuer, list.NextUpdate, err)
			}
		}
		if err == nil && missing == 0 && len(seen) == len(issuers) {
			break
		}
		if time.Since(begun) > patience {
			t.Fatalf("of %d issuers %d have CRLs, and %d CRLs are missing: %v", len(issuers), len(seen), missing, err)
		}
	}
	for id, probe := range r.probes {
		err := insist(t.Context(), func() error { return good(probe, issuers[id]) })
		if err != nil {
			t.Errorf("OCSP of issuer %s: %v", id, err)
		}
	}
}

// good asks by OCSP whether a certificate is.
func good(c, issuer *x509.Certificate) error {
	question, err := ocsp.CreateRequest(c, issuer, &ocsp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		return err
	}
	resp, err := http.Post(c.OCSPServer[0], "application/ocsp-request", bytes.NewReader(question))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer, err := ocsp.ParseResponseForCert(text, c, issuer)
	if late, ok := errors.AsType[ocsp.ResponseError](err); ok && late.Status == ocsp.TryLater {
		return &client.Problem{Kind: "unavailable", Detail: "try later"} // the issuer's responder has no certificate yet
	}
	if err == nil && answer.Status != ocsp.Good {
		return &client.Problem{Kind: "internal", Detail: fmt.Sprintf("status %d", answer.Status)}
	}
	if err != nil {
		return &client.Problem{Kind: "internal", Detail: err.Error()}
	}
	return nil
}

// probe has a certificate issued, which must come from the issuer.
func (r *roller) probe(t *testing.T, id string, issuer *x509.Certificate) {
	t.Helper()
	csr, err := request("probe-" + strconv.Itoa(r.random.Int()))
	if err != nil {
		t.Fatal(err)
	}
	var got *client.Enrolled
	c := r.as(t, "")
	if err := insist(t.Context(), func() (err error) {
		got, err = c.Enroll(t.Context(), client.Enrollment{Endpoint: r.endpoint, CSR: csr}, csr[:60])
		return err
	}); err != nil {
		t.Fatal(err)
	}
	p := parsePEM(t, got.Certificate)
	if err := p.CheckSignatureFrom(issuer); err != nil || got.Issuer != id {
		t.Errorf("issuer %s issues while %s is active: %v", got.Issuer, id, err)
	}
	r.probes[got.Issuer] = p
}

// published returns what EST says are the authorities' certificates.
func (r *roller) published(t *testing.T) []*x509.Certificate {
	t.Helper()
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certPool(t, r.file.TLSCA)}}}
	defer over.CloseIdleConnections()
	var body []byte
	err := insist(t.Context(), func() error {
		resp, err := over.Get(r.file.EST.Base + "/.well-known/est/" + r.file.EST.Label + "/cacerts")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if body, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\r\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	message, err := pkcs7.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return message.Certificates
}

func parsePEM(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("%.60q is no PEM", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
