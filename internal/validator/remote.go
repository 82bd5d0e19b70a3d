package validator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/egress"
	"github.com/pando-pki/pando/internal/pki"
)

// apiVersion is that of the service's three actions.
const apiVersion = "2018-02-20"

// How long the list of services holds, how long before its end a token counts as ended, and
// for how long one is good that does not say so (RFC 6749, 5.1).
const (
	baseLife    = time.Hour
	tokenMargin = time.Minute
	unsaidLife  = time.Minute
	maxTokens   = 24 * time.Hour
)

// A remote is a validator's service, reached over HTTP. It follows no redirect, takes no
// proxy of the environment, and connects to no address that package egress refuses: also the
// URL that the list of services names is somebody else's word.
type remote struct {
	Settings
	http   *http.Client
	base   *fetched[string]
	tokens map[string]*fetched[pki.Secret] // by scope; not changed
}

func newRemote(s Settings, now pki.Clock) *remote {
	return &remote{Settings: s, base: newFetched[string](now), tokens: map[string]*fetched[pki.Secret]{
		s.DiscoveryScope: newFetched[pki.Secret](now), s.Scope: newFetched[pki.Secret](now),
	}, http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: egress.Dialer(s.Networks, true).DialContext, TLSHandshakeTimeout: patience / 2, ResponseHeaderTimeout: patience,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, DisableCompression: true, ForceAttemptHTTP2: true,
		},
	}}
}

// versions are those of token and address that a service was asked with, or that are not to
// be used; 0 is none.
type versions struct{ base, token, directory uint64 }

// post asks for an action and returns what the service says. Where the answer says that the
// token or the address is bad it is asked once more, with another.
func (r *remote) post(ctx context.Context, action string, body any) (*verdict, error) {
	said, with, err := r.once(ctx, versions{}, action, body)
	if err == nil || ctx.Err() != nil {
		return said, err
	}
	var not versions
	renewable := false
	switch suspected(err) {
	case serviceToken:
		not.token, renewable = with.token, r.tokens[r.Scope].renewable(with.token)
	case directoryToken:
		not.directory, renewable = with.directory, r.tokens[r.DiscoveryScope].renewable(with.directory)
	case address:
		not.base, renewable = with.base, r.base.renewable(with.base)
	}
	if renewable {
		said, _, err = r.once(ctx, not, action, body)
	}
	return said, err
}

// once asks one time, with nothing of the versions not.
func (r *remote) once(ctx context.Context, not versions, action string, body any) (said *verdict, with versions, err error) {
	base, err := r.where(ctx, not, &with)
	if err != nil {
		return nil, with, unaskedError{err}
	}
	token, version, err := r.token(ctx, r.Scope, not.token)
	if err != nil {
		return nil, with, unaskedError{err}
	}
	with.token = version
	said, err = r.act(ctx, base, token, action, body)
	return said, with, err
}

// act asks for an action at an address with a token.
func (r *remote) act(ctx context.Context, base string, token pki.Secret, action string, body any) (*verdict, error) {
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
	var connected atomic.Bool
	resp, err := r.http.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})))
	switch {
	case err != nil && !connected.Load():
		return nil, unreachedError{what, plain(err)}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, plain(err))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body.Close()
		return nil, statusError{what, resp.StatusCode}
	}
	return resp, nil
}

// where returns the base URL of the service.
func (r *remote) where(ctx context.Context, not versions, with *versions) (base string, err error) {
	if r.URL != "" {
		return r.URL, nil
	}
	base, with.base, err = r.base.get(ctx, not.base, func() (string, time.Duration, error) {
		base, err := r.discover(ctx, not, with)
		return base, baseLife, err
	})
	return base, err
}

// discover asks the list of services where the service is.
func (r *remote) discover(ctx context.Context, not versions, with *versions) (string, error) {
	token, version, err := r.token(ctx, r.DiscoveryScope, not.directory)
	if err != nil {
		return "", err
	}
	with.directory = version
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Discovery, nil)
	if err != nil {
		return "", err
	}
	resp, err := r.do(req, theDirectory, token)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	base, err := readServices(resp.Body)
	if err != nil {
		return "", err
	}
	return base, egress.CheckURL(base)
}

// token returns a bearer token for a scope, of another version than not.
func (r *remote) token(ctx context.Context, scope string, not uint64) (pki.Secret, uint64, error) {
	if r.Token == "" {
		return r.Secret, 0, nil
	}
	return r.tokens[scope].get(ctx, not, func() (pki.Secret, time.Duration, error) { return r.askToken(ctx, scope) })
}

// askToken gets a token by client credentials (RFC 6749, 4.4).
func (r *remote) askToken(ctx context.Context, scope string) (pki.Secret, time.Duration, error) {
	none := pki.Secret{}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.Client}, "client_secret": {r.Secret.Reveal()}, "scope": {scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Settings.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return none, 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := r.do(req, theTokens, none)
	if err != nil {
		return none, 0, err
	}
	defer resp.Body.Close()
	text, seconds, err := readToken(resp.Body)
	if err != nil {
		return none, 0, err
	}
	life := unsaidLife
	if seconds > 0 {
		life = time.Duration(min(seconds, int64(maxTokens/time.Second))) * time.Second
	}
	return pki.NewSecret(text), life - min(tokenMargin, life/2), nil
}

// newUUID returns a random UUID (RFC 9562, 5.4), by which the service names a request.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
