//go:build system

package acceptance

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/pando-pki/pando/client"
)

// certPool reads the certificates that a TLS client trusts.
func certPool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s has no certificate", file)
	}
	return pool
}

// web returns an HTTP client of its own that trusts the certificates of a file.
// With HTTP/1.1 it has one connection.
func web(t *testing.T, trusted string, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certPool(t, trusted)}, ForceAttemptHTTP2: http2, MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: hung}
}

// connection returns a client of the API with one HTTP/1.1 connection of its own.
func (h *house) connection(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: h.file.API, Token: h.file.Token, HTTPClient: web(t, h.file.TLSCA, false)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hostOf returns the host and port of a URL.
func hostOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}
