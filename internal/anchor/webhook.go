package anchor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/egress"
	"github.com/pando-pki/pando/internal/pki"
)

// A Webhook posts checkpoints to an HTTP service that keeps them.
//
// The body is the signed checkpoint, as text. With a secret, the header
// Pando-Signature is "sha256=" and the HMAC-SHA256 of the body under it in
// hexadecimal. Any answer of class 2xx takes the checkpoint; a redirect does not,
// and is not followed. What it says besides is not read.
type Webhook struct {
	url    *url.URL
	secret pki.Secret
	client *http.Client
}

const (
	// webhookTimeout bounds one request.
	webhookTimeout = 10 * time.Second
	// maxNewest bounds what a service answers with, in bytes: the checkpoints of some
	// fifty thousand logs.
	maxNewest = 16 << 20
)

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
	_, err := w.ask(ctx, http.MethodPost, note, 0)
	return err
}

// ask sends a request and returns the body of an answer of class 2xx, up to limit bytes.
func (w *Webhook) ask(ctx context.Context, method, body string, limit int64) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.url.String(), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if !w.secret.IsZero() {
		mac := hmac.New(sha256.New, []byte(w.secret.Reveal()))
		mac.Write([]byte(body))
		req.Header.Set("Pando-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return "", w.without(err)
	}
	defer resp.Body.Close()
	var text []byte
	if limit > 0 {
		text, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return "", fmt.Errorf("the service answered %s", resp.Status)
	case err != nil:
		return "", w.without(err)
	case int64(len(text)) > limit:
		return "", fmt.Errorf("the service answered with more than %d bytes", limit)
	}
	return string(text), nil
}

// without returns the error without the URL that net/http puts before it.
func (w *Webhook) without(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}

// A ReadableWebhook is a Webhook whose service gives back what it took: to a GET, signed
// as a body that is empty, it answers with the newest checkpoint of each log that it has,
// as text, each followed by an empty line, as in the file of a File.
type ReadableWebhook struct{ *Webhook }

// Newest implements auditlog.Reader. What is no checkpoint is an error: a page of some
// other service must not pass for one that has nothing.
func (w ReadableWebhook) Newest(ctx context.Context, _ string, _ []string) ([]string, error) {
	text, err := w.ask(ctx, http.MethodGet, "", maxNewest)
	if err != nil {
		return nil, err
	}
	notes := audit.SplitNotes(text)
	if len(notes) == 0 && strings.TrimSpace(text) != "" {
		return nil, errors.New("the service answered with something else than checkpoints")
	}
	return notes, nil
}
