package quickstart

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// testEST has devices enrol by EST as quickstart.json says, with EC and RSA keys, and
// renew by the certificate that they got.
func testEST(t *testing.T, f *File, roots *x509.CertPool) {
	t.Helper()
	for name, kind := range map[string]pki.KeyKind{"est-ec": pki.P256, "est-rsa": pki.RSA2048} {
		first, next := pandotest.Key(t, kind), pandotest.Key(t, kind)
		got := f.enrol(t, roots, "/.well-known/est/"+f.EST.Label+"/simpleenroll", nil, pandotest.CSR(t, first, pkix.Name{CommonName: name}))
		identity := &tls.Certificate{Certificate: [][]byte{got.Raw}, PrivateKey: crypto.Signer(first)}
		renewed := f.enrol(t, roots, "/.well-known/est/simplereenroll", identity, pandotest.CSR(t, next, pkix.Name{CommonName: name}))
		if renewed.Subject.CommonName != name || renewed.SerialNumber.Cmp(got.SerialNumber) == 0 {
			t.Errorf("%s renewed as %v", name, renewed.Subject)
		}
	}
}

// enrol sends a request by EST, by a certificate or else by the secret.
func (f *File) enrol(t *testing.T, roots *x509.CertPool, path string, by *tls.Certificate, csr []byte) *x509.Certificate {
	t.Helper()
	secure := &tls.Config{RootCAs: roots}
	r, err := http.NewRequest(http.MethodPost, f.EST.Base+path, strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/pkcs10")
	if by != nil {
		secure.Certificates = []tls.Certificate{*by}
	} else {
		r.SetBasicAuth(f.EST.User, f.EST.Password.Reveal())
	}
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: secure}}
	defer over.CloseIdleConnections()
	answer, err := over.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", path, answer.Status, text, err)
	}
	der, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	message, err := pkcs7.Parse(der)
	if err != nil || len(message.Certificates) != 1 {
		t.Fatalf("%d certificates: %v", len(message.Certificates), err)
	}
	return message.Certificates[0]
}
