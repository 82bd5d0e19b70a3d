package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// A call is one operation to perform.
type call struct {
	method      string
	path        string // escaped, after /api/v1
	query       url.Values
	accept      string    // "" is application/json
	contentType string    // of the body
	text        []byte    // the body, or
	body        io.Reader // the body as a stream
	idempotency string
	bulk        bool // the answer is long
}

// How a repeatable call is sent again.
const (
	attempts   = 4
	firstPause = 250 * time.Millisecond // doubled each time, with jitter
	longest    = 30 * time.Second       // that a Retry-After is heeded for
)

// maxAnswer bounds an answer that is read whole; streams have no bound.
const maxAnswer = 64 << 20

// do performs a call with a JSON body (nil for none) and decodes the JSON answer
// into out (nil for none).
func (c *Client) do(ctx context.Context, k call, in, out any) error {
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		k.text, k.contentType = text, "application/json"
	}
	text, err := c.read(ctx, k)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("decoding the server's answer: %w", err)
	}
	if l, ok := out.(interface{ listed() bool }); ok && !l.listed() {
		return errors.New("the server's answer is no list: what answers there is not this API; look at the server's address")
	}
	return nil
}

// read performs a call and returns the whole answer.
func (c *Client) read(ctx context.Context, k call) ([]byte, error) {
	body, err := c.open(ctx, k)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the server's answer: %w", err)
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("the server's answer is longer than %d bytes", maxAnswer)
	}
	return text, nil
}

// open performs a call and returns the answer's body as a stream, or a *Problem.
// A call that can be repeated without harm is sent again when the connection
// fails or the server is unavailable or has had too many.
func (c *Client) open(ctx context.Context, k call) (io.ReadCloser, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		body, again, err := c.send(ctx, k)
		if err == nil || again < 0 || attempt == attempts || !k.rewind() {
			return body, err
		}
		wait := max(again, pause/2+rand.N(pause))
		pause *= 2
		if c.waits != nil {
			c.waits(wait, err)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// rewind makes the call ready to be sent again, and reports whether that is safe.
func (k *call) rewind() bool {
	if k.method != http.MethodGet && k.idempotency == "" {
		return false
	}
	if k.body == nil {
		return true
	}
	s, ok := k.body.(io.Seeker)
	if !ok {
		return false
	}
	_, err := s.Seek(0, io.SeekStart)
	return err == nil
}

// sending is a body while it is sent once. After end nobody reads what was handed in: where
// an answer comes amid a body, net/http may be in a Read of it still, which would take from
// what is sent next. It does not close what was handed in, a file for instance.
type sending struct {
	mu   sync.Mutex
	body io.Reader // nil after end
}

func (s *sending) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == nil {
		return 0, errors.New("the request has been answered")
	}
	return s.body.Read(b)
}

// end waits for a Read to return.
func (s *sending) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = nil
}

// send sends a call once. After a failure that may pass, again is how long to
// wait at least; otherwise it is negative.
func (c *Client) send(ctx context.Context, k call) (body io.ReadCloser, again time.Duration, err error) {
	if k.body != nil {
		sent := &sending{body: k.body}
		defer sent.end()
		k.body = sent
	}
	req, err := c.request(ctx, k)
	if err != nil {
		return nil, -1, err
	}
	by := c.http
	if k.bulk {
		by = c.bulk
	}
	resp, err := by.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, -1, fmt.Errorf("asking the server: %w", ctx.Err())
		}
		return nil, 0, fmt.Errorf("asking the server: %w", err)
	}
	if waits(resp) {
		return nil, -1, waiting(resp)
	}
	if resp.StatusCode < 300 {
		return resp.Body, 0, nil
	}
	defer resp.Body.Close()
	p := problem(resp)
	passing := p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests
	if !passing || p.RetryAfter > longest {
		return nil, -1, p
	}
	return nil, p.RetryAfter, p
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	body := k.body
	if k.text != nil {
		body = bytes.NewReader(k.text)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	header := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	header("Content-Type", k.contentType)
	header("Idempotency-Key", k.idempotency)
	header("Accept", "application/json, application/problem+json")
	header("Accept", k.accept)
	if !c.token.IsZero() {
		header("Authorization", "Bearer "+c.token.Reveal())
	}
	return req, nil
}

// problem reads what the server refused with. Another than a problem document,
// from a proxy for instance, becomes one of that status.
func problem(resp *http.Response) *Problem {
	p := &Problem{Type: "about:blank", Title: http.StatusText(resp.StatusCode), Kind: "internal"}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "application/problem+json" {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil || json.Unmarshal(text, p) != nil {
			p.Detail = "the server's problem document could not be read"
		}
	}
	p.Status = resp.StatusCode
	p.RequestID = resp.Header.Get("Request-Id")
	p.RetryAfter = retryAfter(resp)
	return p
}

// retryAfter returns what the header says, and a day where it says more: what is
// beyond any wait does not overflow.
func retryAfter(resp *http.Response) time.Duration {
	const longest = 24 * 60 * 60
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, longest)) * time.Second
}
