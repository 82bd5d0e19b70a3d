package validator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/egress"
	"github.com/pando-pki/pando/internal/pki"
)

// apiVersion is that of the service's three actions.
const apiVersion = "2018-02-20"

// A statusError is an answer by a status of HTTP that is no success.
type statusError struct {
	what   string
	status int
}

func (e statusError) Error() string {
	return fmt.Sprintf("%s answered with status %d", e.what, e.status)
}

// kindOfFailure returns what it means that there was no verdict. A service that says it
// cannot read this request has said no to this one; all else is no answer.
func kindOfFailure(err error) pki.Kind {
	if e, ok := errors.AsType[statusError](err); ok && e.what == theService {
		switch e.status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			return pki.Unauthenticated
		}
	}
	return pki.Unavailable
}

// plain returns an error without the URL that net/http puts before it, which may hold what is
// secret.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// What is asked, as errors name it.
const (
	theService   = "the service"
	theDirectory = "the list of services"
	theTokens    = "the token endpoint"
)

// How long the list of services holds, and how long before its end a token counts as ended.
const (
	baseLife    = time.Hour
	tokenMargin = time.Minute
	maxTokens   = 24 * time.Hour
)

// A remote is a validator's service, reached over HTTP. It follows no redirect, takes no
// proxy of the environment, and connects to no address that package egress refuses: also the
// URL that the list of services names is somebody else's word.
type remote struct {
	Settings
	now  pki.Clock
	http *http.Client

	mu     sync.Mutex // guards the rest
	base   string
	until  time.Time // of base
	tokens map[string]heldToken
}

type heldToken struct {
	token pki.Secret
	until time.Time
}

func newRemote(s Settings, now pki.Clock) *remote {
	return &remote{Settings: s, now: now, tokens: make(map[string]heldToken), http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: egress.Dialer(s.Networks, true).DialContext, TLSHandshakeTimeout: patience / 2, ResponseHeaderTimeout: patience,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, DisableCompression: true, ForceAttemptHTTP2: true,
		},
	}}
}

// post asks for an action and returns what the service says. Where it is silent, or takes the
// token no more, it is asked once more: it may have moved.
func (r *remote) post(ctx context.Context, action string, body any) (*verdict, error) {
	said, err := r.once(ctx, action, body)
	if err == nil || kindOfFailure(err) != pki.Unavailable || ctx.Err() != nil {
		return said, err
	}
	r.mu.Lock()
	r.base = ""
	clear(r.tokens)
	r.mu.Unlock()
	return r.once(ctx, action, body)
}

func (r *remote) once(ctx context.Context, action string, body any) (*verdict, error) {
	base, err := r.where(ctx)
	if err != nil {
		return nil, err
	}
	token, err := r.token(ctx, r.Scope)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(base, "/")+"/ScepActions/"+action, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("api-version", apiVersion)
	resp, err := r.do(req, theService, token)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readVerdict(resp.Body)
}

// do sends a request and returns an answer of class 2xx, whose body is to be closed.
func (r *remote) do(req *http.Request, what string, token pki.Secret) (*http.Response, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", caller)
	req.Header.Set("client-request-id", newUUID())
	if !token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, plain(err))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body.Close()
		return nil, statusError{what, resp.StatusCode}
	}
	return resp, nil
}

// where returns the base URL of the service.
func (r *remote) where(ctx context.Context) (string, error) {
	if r.URL != "" {
		return r.URL, nil
	}
	r.mu.Lock()
	base, until := r.base, r.until
	r.mu.Unlock()
	if base != "" && r.now().Before(until) {
		return base, nil
	}
	token, err := r.token(ctx, r.DiscoveryScope)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Discovery, nil)
	if err != nil {
		return "", err
	}
	resp, err := r.do(req, theDirectory, token)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	base, err = readServices(resp.Body)
	if err == nil {
		err = egress.CheckURL(base)
	}
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base, r.until = base, r.now().Add(baseLife)
	return base, nil
}

// token returns a bearer token for a scope, by client credentials (RFC 6749, 4.4).
func (r *remote) token(ctx context.Context, scope string) (pki.Secret, error) {
	if r.Token == "" {
		return r.Secret, nil
	}
	r.mu.Lock()
	held, ok := r.tokens[scope]
	r.mu.Unlock()
	if ok && r.now().Before(held.until) {
		return held.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.Client}, "client_secret": {r.Secret.Reveal()}, "scope": {scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Settings.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return pki.Secret{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := r.do(req, theTokens, pki.Secret{})
	if err != nil {
		return pki.Secret{}, err
	}
	defer resp.Body.Close()
	text, seconds, err := readToken(resp.Body)
	if err != nil {
		return pki.Secret{}, err
	}
	life := min(time.Duration(min(max(seconds, 0), int64(maxTokens/time.Second)))*time.Second, maxTokens)
	held = heldToken{pki.NewSecret(text), r.now().Add(life - tokenMargin)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[scope] = held
	return held.token, nil
}

// newUUID returns a random UUID (RFC 9562, 5.4), by which the service names a request.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
