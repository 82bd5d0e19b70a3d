package anchor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/egress"
	"github.com/pando-pki/pando/internal/pki"
)

// A Webhook posts checkpoints to an HTTP service that keeps them.
//
// The body is the signed checkpoint, as text. With a secret, the header
// Pando-Signature is "sha256=" and the HMAC-SHA256 of the body under it in
// hexadecimal. Any answer of class 2xx takes the checkpoint; a redirect does not,
// and is not followed.
type Webhook struct {
	url    *url.URL
	secret pki.Secret
	client *http.Client
}

// webhookTimeout bounds one request.
const webhookTimeout = 10 * time.Second

// NewWebhook returns the anchor at a URL; secret may be empty.
func NewWebhook(text string, secret pki.Secret) (*Webhook, error) {
	if err := egress.CheckURL(text); err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{ // no proxy of the environment: the URL is where it goes
		DialContext:           (&net.Dialer{Timeout: webhookTimeout / 2}).DialContext,
		TLSHandshakeTimeout:   webhookTimeout / 2,
		ResponseHeaderTimeout: webhookTimeout,
		MaxIdleConns:          1,
		IdleConnTimeout:       2 * time.Minute,
	}
	return &Webhook{url: u, secret: secret, client: &http.Client{
		Transport: transport, Timeout: webhookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Name implements auditlog.Anchor. The path and the query may hold what is secret.
func (w *Webhook) Name() string { return "webhook " + w.url.Scheme + "://" + w.url.Host }

// Put implements auditlog.Anchor.
func (w *Webhook) Put(ctx context.Context, note string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), strings.NewReader(note))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if !w.secret.IsZero() {
		mac := hmac.New(sha256.New, []byte(w.secret.Reveal()))
		mac.Write([]byte(note))
		req.Header.Set("Pando-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return w.without(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the service answered %s", resp.Status)
	}
	return nil
}

// without returns the error without the URL that net/http puts before it.
func (w *Webhook) without(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}
