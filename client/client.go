package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config says which server to talk to, and as whom.
type Config struct {
	// Server is the server's URL, with or without /api/v1 at its end. It is
	// https wherever there is a token, also on a loopback address: which process
	// listens there is known by its certificate alone.
	Server string

	// Token is the API token. Empty: the server will refuse all but the OpenAPI
	// document.
	Token Token

	// CAFile is a PEM file of the certificates that the server's must verify to.
	// Empty is the system's. It is not used with HTTPClient.
	CAFile string

	// HTTPClient sends the requests. It must have no Timeout, which would cut
	// uploads and watches short; contexts bound a call. Nil is a client of our
	// own.
	HTTPClient *http.Client

	// Waits is told before each wait for a call to be sent again how long that is, and
	// why: a *Problem, or what became of the connection. It must be safe for concurrent
	// use where the Client is used so, and must not block. Nil is nobody.
	Waits func(wait time.Duration, why error)
}

// A Client talks to one server with one token. It is safe for concurrent use.
type Client struct {
	base  string // up to and with /api/v1
	token Token
	http  *http.Client
	bulk  *http.Client // of results, which are long
	waits func(wait time.Duration, why error)
}

const apiPath = "/api/v1"

// New returns a Client. It asks the server nothing yet.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.Server)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("server %q: write a URL, as https://pki.example.com:8443", cfg.Server)
	}
	switch {
	case u.Scheme == "http" && !cfg.Token.IsZero():
		return nil, fmt.Errorf("server %q: it must be https, since a token would travel in the clear", cfg.Server)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("server %q: write a URL, as https://pki.example.com:8443", cfg.Server)
	}
	c := &Client{
		base:  strings.TrimSuffix(strings.TrimSuffix(u.String(), "/"), apiPath) + apiPath,
		token: cfg.Token, http: cfg.HTTPClient, bulk: cfg.HTTPClient, waits: cfg.Waits,
	}
	if cfg.HTTPClient == nil {
		secure, err := newTLSConfig(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		c.http, c.bulk = newHTTPClient(secure), newBulkClient(secure)
	}
	return c, nil
}

func newTLSConfig(caFile string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("reading the server's CA certificates: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no PEM certificate", caFile)
		}
	}
	return cfg, nil
}

// newHTTPClient returns a client that follows no redirect, so that the token
// goes nowhere else.
func newHTTPClient(secure *tls.Config) *http.Client {
	return &http.Client{
		Transport: newTransport(secure),
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the server answered with a redirect, which is not followed")
		},
	}
}

func newTransport(secure *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:       secure,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
}

// newBulkClient returns a client like that of newHTTPClient, for long answers. It speaks
// HTTP/1.1: a stream that has a connection for itself needs no frames, no windows and no
// goroutines that share it out. Uploads do not go by it: an answer amid one is sure to be
// read by HTTP/2 alone.
func newBulkClient(secure *tls.Config) *http.Client {
	t := newTransport(secure.Clone())
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	c := newHTTPClient(secure)
	c.Transport = t
	return c
}
