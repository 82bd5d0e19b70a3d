package statuscheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/pando-pki/pando/internal/egress"
	"github.com/pando-pki/pando/internal/pki"
)

const (
	fetchDeadline = 20 * time.Second
	maxOCSP       = 1 << 20
	// slack is what a CRL may be longer than the store's: an earlier one may have
	// had entries whose certificates expired since.
	slack = 256 << 10
)

// errUnreachable means that no answer came that says what there is: this host may have
// no way to it, and relying parties may.
var errUnreachable = errors.New("it cannot be reached from here")

// errStore means that it is the store that did not answer.
var errStore = errors.New("what is stored cannot be read")

// bound returns how many bytes are read where one CRL is expected.
func bound(expected []byte) int64 { return int64(len(expected)) + int64(len(expected))/4 + slack }

// A web fetches from status URLs, which are the tenants' word. It follows no redirect,
// and asks only addresses that package egress lets it.
type web struct{ test, production *http.Client }

func newWeb(networks []netip.Prefix) *web {
	return &web{test: newClient(networks, true), production: newClient(networks, false)}
}

func newClient(networks []netip.Prefix, loopback bool) *http.Client {
	return &http.Client{
		Timeout:       fetchDeadline,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: egress.Dialer(networks, loopback).DialContext, ResponseHeaderTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2, DisableCompression: true,
		},
	}
}

func (w *web) client(mode pki.Mode) *http.Client {
	if mode == pki.Test {
		return w.test
	}
	return w.production
}

// get fetches an object, of about the length of the expected one; same is true where it
// still has the given ETag.
func (w *web) get(ctx context.Context, mode pki.Mode, url, etag string, expected func() ([]byte, error)) (body []byte, newTag string, same bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", false, err
	}
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	resp, err := w.client(mode).Do(r)
	if err != nil {
		return nil, "", false, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && etag != "":
		return nil, etag, true, nil
	case resp.StatusCode >= 500:
		return nil, "", false, fmt.Errorf("%w: HTTP status %d", errUnreachable, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, "", false, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	like, err := expected()
	if err != nil {
		return nil, "", false, err
	}
	if resp.ContentLength > bound(like) {
		return nil, "", false, errTooLong(like)
	}
	if body, err = readLike(resp.Body, like); err != nil {
		return nil, "", false, err
	}
	return body, resp.Header.Get("ETag"), false, nil
}

func errTooLong(expected []byte) error {
	return fmt.Errorf("it is much longer than the %d bytes that are expected", len(expected))
}

// readLike reads a body of which the expected one is known. It holds nothing of its own
// for as long as the two are the same, and then what bound allows.
func readLike(from io.Reader, expected []byte) ([]byte, error) {
	same, part := 0, make([]byte, 32<<10)
	for {
		n, err := io.ReadFull(from, part)
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return nil, fmt.Errorf("%w: %w", errUnreachable, err)
		}
		if !bytes.HasPrefix(expected[same:], part[:n]) {
			part = part[:n]
			break
		}
		if same += n; ended {
			return expected[:same:same], nil
		}
	}
	body := append(bytes.Clone(expected[:same]), part...)
	rest, err := io.ReadAll(io.LimitReader(from, bound(expected)-int64(len(body))+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	case int64(len(body)+len(rest)) > bound(expected):
		return nil, errTooLong(expected)
	}
	return append(body, rest...), nil
}

// post asks an OCSP responder.
func (w *web) post(ctx context.Context, mode pki.Mode, url string, request []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	resp, err := w.client(mode).Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500:
		return nil, fmt.Errorf("%w: HTTP status %d", errUnreachable, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxOCSP))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return body, nil
}
