// Package scepclient speaks SCEP to a running server by smallstep/scep, and where that
// cannot by smallstep/pkcs7: nothing in it is pando's own encoder or parser. It is imported
// by tests alone.
package scepclient

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// A Client asks at one URL with one key.
type Client struct {
	T      testing.TB
	URL    string
	Key    *rsa.PrivateKey
	Signer *x509.Certificate   // of Key: that it made itself, at first
	RA     []*x509.Certificate // that GetCACert answered
}

// New returns a client with a new key, and has the package speak AES and SHA-256.
func New(t testing.TB, url string) *Client {
	t.Helper()
	Modern(t)
	c := &Client{T: t, URL: url, Key: pandotest.Key(t, pki.RSA2048).(*rsa.PrivateKey)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "self"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, c.Key.Public(), c.Key)
	if err != nil {
		t.Fatal(err)
	}
	c.Signer = pandotest.Parse(t, raw)
	c.RA = c.Certificates()
	return c
}

// Modern has smallstep/pkcs7 use SHA-256 and AES until the test ends: it keeps both in
// variables.
func Modern(t testing.TB) {
	cipher := pkcs7.ContentEncryptionAlgorithm
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pkcs7.ContentEncryptionAlgorithm = cipher
		_ = pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1)
	})
}

// Certificates returns what GetCACert answers.
func (c *Client) Certificates() []*x509.Certificate {
	c.T.Helper()
	answer := c.patiently(func() (*http.Response, error) { return http.Get(c.URL + "?operation=GetCACert") })
	body := c.body(answer)
	all, err := scep.CACerts(body)
	if contentType := answer.Header.Get("Content-Type"); err != nil || contentType != "application/x-x509-ca-ra-cert" {
		c.T.Fatalf("%s: %v", contentType, err)
	}
	return all
}

func (c *Client) body(answer *http.Response) []byte {
	c.T.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		c.T.Fatalf("%s: %s, %v", answer.Status, body, err)
	}
	return body
}

// Recipient returns the certificate to encrypt to.
func (c *Client) Recipient() []*x509.Certificate {
	return scep.EnciphermentCertsSelector().SelectCerts(c.RA)
}

// Ask sends a request and returns what answers it.
func (c *Client) Ask(kind scep.MessageType, csr []byte) *scep.PKIMessage {
	c.T.Helper()
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		c.T.Fatal(err)
	}
	message, err := scep.NewCSRRequest(request, &scep.PKIMessage{MessageType: kind, Recipients: c.Recipient(), SignerKey: c.Key, SignerCert: c.Signer})
	if err != nil {
		c.T.Fatal(err)
	}
	return c.Post(message.Raw)
}

// patience is how long a client comes again that is told so.
const patience = 2 * time.Minute

// Post sends a message and returns what answers it, opened where it is a success.
func (c *Client) Post(message []byte) *scep.PKIMessage {
	c.T.Helper()
	got, _ := c.post(message)
	if got.PKIStatus == scep.SUCCESS {
		if err := got.DecryptPKIEnvelope(c.Signer, c.Key); err != nil {
			c.T.Fatal(err)
		}
	}
	return got
}

func (c *Client) post(message []byte) (got *scep.PKIMessage, raw []byte) {
	c.T.Helper()
	raw = c.body(c.patiently(func() (*http.Response, error) {
		return http.Post(c.URL+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(message))
	}))
	got, err := scep.ParsePKIMessage(raw, scep.WithCACerts(c.RA))
	if err != nil {
		c.T.Fatal(err)
	}
	return got, raw
}

// patiently asks again while it is told to come later, for which SCEP's word is HTTP's.
func (c *Client) patiently(ask func() (*http.Response, error)) *http.Response {
	c.T.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		answer, err := ask()
		if err != nil {
			c.T.Fatal(err)
		}
		if answer.StatusCode != http.StatusServiceUnavailable || time.Since(begun) > patience {
			return answer
		}
		answer.Body.Close()
	}
}

// The attributes of a message (RFC 8894, 3.2.1).
func attribute(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n}
}

// Seal returns the envelope of a content, encrypted to the RA.
func (c *Client) Seal(content []byte) []byte {
	c.T.Helper()
	envelope, err := pkcs7.Encrypt(content, c.Recipient())
	if err != nil {
		c.T.Fatal(err)
	}
	return envelope
}

// Nonce returns a fresh senderNonce.
func Nonce() []byte {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	return nonce
}

// Message returns the message of an envelope, whatever that is.
func (c *Client) Message(kind int, transaction string, nonce, envelope []byte) []byte {
	c.T.Helper()
	signed, err := pkcs7.NewSignedData(envelope)
	if err != nil {
		c.T.Fatal(err)
	}
	err = signed.AddSigner(c.Signer, c.Key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{
		{Type: attribute(2), Value: strconv.Itoa(kind)}, {Type: attribute(7), Value: transaction}, {Type: attribute(5), Value: nonce},
	}})
	if err != nil {
		c.T.Fatal(err)
	}
	message, err := signed.Finish()
	if err != nil {
		c.T.Fatal(err)
	}
	return message
}

// Query sends a message that carries no request, as CertPoll, GetCert and GetCRL, and
// returns the status and failInfo that answer it, and what a success carries.
func (c *Client) Query(kind int, transaction string, content []byte) (got *scep.PKIMessage, carried *pkcs7.PKCS7) {
	c.T.Helper()
	got, raw := c.post(c.Message(kind, transaction, Nonce(), c.Seal(content)))
	if got.PKIStatus != scep.SUCCESS {
		return got, nil
	}
	outer, err := pkcs7.Parse(raw)
	if err != nil {
		c.T.Fatal(err)
	}
	inner, err := pkcs7.Parse(outer.Content)
	if err != nil {
		c.T.Fatal(err)
	}
	opened, err := inner.Decrypt(c.Signer, c.Key)
	if err != nil {
		c.T.Fatal(err)
	}
	if carried, err = pkcs7.Parse(opened); err != nil {
		c.T.Fatal(err)
	}
	return got, carried
}

// CSR returns a request with a challenge, or without one where it is "".
func CSR(t testing.TB, key crypto.Signer, name, challenge string) []byte {
	t.Helper()
	raw, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, SignatureAlgorithm: x509.SHA256WithRSA}, ChallengePassword: challenge,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
