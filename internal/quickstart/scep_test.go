package quickstart

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// testSCEP has a device enrol by SCEP with the challenge of quickstart.json, and renew by
// the certificate that it got; another challenge is refused.
func testSCEP(t *testing.T, f *File) {
	t.Helper()
	// smallstep/pkcs7 keeps both in variables.
	cipher := pkcs7.ContentEncryptionAlgorithm
	defer func() {
		pkcs7.ContentEncryptionAlgorithm = cipher
		_ = pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1)
	}()
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		t.Fatal(err)
	}
	authorities, err := scep.CACerts(get(t, f.SCEP.URL+"?operation=GetCACert"))
	if err != nil {
		t.Fatal(err)
	}
	key := pandotest.Key(t, pki.RSA2048)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "self"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	self := pandotest.Parse(t, raw)
	ask := func(kind scep.MessageType, by *x509.Certificate, newKey crypto.Signer, challenge string) *scep.PKIMessage {
		t.Helper()
		csr, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
			CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: "scep-rsa"}, SignatureAlgorithm: x509.SHA256WithRSA}, ChallengePassword: challenge,
		}, newKey)
		if err != nil {
			t.Fatal(err)
		}
		request, err := x509.ParseCertificateRequest(csr)
		if err != nil {
			t.Fatal(err)
		}
		message, err := scep.NewCSRRequest(request, &scep.PKIMessage{
			MessageType: kind, Recipients: scep.EnciphermentCertsSelector().SelectCerts(authorities), SignerKey: key, SignerCert: by})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Post(f.SCEP.URL+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(message.Raw))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", answer.Status, body, err)
		}
		got, err := scep.ParsePKIMessage(body, scep.WithCACerts(authorities))
		if err != nil {
			t.Fatal(err)
		}
		if got.PKIStatus == scep.SUCCESS {
			if err := got.DecryptPKIEnvelope(by, key); err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	if got := ask(scep.PKCSReq, self, key, "another"); got.PKIStatus != scep.FAILURE || got.FailInfo != scep.BadMessageCheck {
		t.Errorf("by another challenge: status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
	first := ask(scep.PKCSReq, self, key, f.SCEP.Challenge.Reveal())
	if first.PKIStatus != scep.SUCCESS {
		t.Fatalf("by the challenge: status %s, failInfo %q", first.PKIStatus, first.FailInfo)
	}
	next := pandotest.Key(t, pki.RSA2048)
	renewed := ask(scep.RenewalReq, first.Certificate, next, "")
	if renewed.PKIStatus != scep.SUCCESS {
		t.Fatalf("renewal: status %s, failInfo %q", renewed.PKIStatus, renewed.FailInfo)
	}
	if c := renewed.Certificate; c.Subject.CommonName != "scep-rsa" || c.SerialNumber.Cmp(first.Certificate.SerialNumber) == 0 || !next.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(c.PublicKey) {
		t.Errorf("renewed as %v", c.Subject)
	}
}
