package statuscheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

const (
	fetchDeadline = 30 * time.Second
	maxOCSP       = 1 << 20
	maxCRL        = 1 << 30
)

// errUnreachable means that no answer came: this host may have no way to the URL,
// and relying parties may.
var errUnreachable = errors.New("it cannot be reached from here")

// A web fetches from status URLs. They are the tenants', so the machine's own
// addresses are asked for test authorities only, those of its surroundings (link-local,
// where clouds keep credentials) never, and no redirect is followed.
type web struct{ test, production *http.Client }

func newWeb() *web {
	return &web{test: newClient(true), production: newClient(false)}
}

func newClient(loopback bool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		return checkAddress(address, loopback)
	}}
	return &http.Client{
		Timeout:       fetchDeadline,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ResponseHeaderTimeout: 10 * time.Second,
			IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2, DisableCompression: true,
		},
	}
}

// keepsCredentials reports whether an address, beside link-local ones, is where a
// cloud keeps credentials, or reaches one of IPv4 by way of IPv6 (RFC 6052).
func keepsCredentials(ip netip.Addr) bool {
	return slices.ContainsFunc([]string{"fd00:ec2::254/128", "100.100.100.200/32", "64:ff9b::/96"}, func(prefix string) bool {
		return netip.MustParsePrefix(prefix).Contains(ip)
	})
}

// checkAddress refuses, after the name was resolved, addresses that no status is at.
func checkAddress(address string, loopback bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	switch {
	case ip.IsLoopback() && loopback:
		return nil
	case ip.IsLoopback(), ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified(), keepsCredentials(ip):
		return fmt.Errorf("no status is fetched from %s", ip)
	}
	return nil
}

func (w *web) client(mode pki.Mode) *http.Client {
	if mode == pki.Test {
		return w.test
	}
	return w.production
}

// get fetches a CRL; same is true where it still has the given ETag.
func (w *web) get(ctx context.Context, mode pki.Mode, url, etag string) (body []byte, newTag string, same bool, err error) {
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
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxCRL))
	if err != nil {
		return nil, "", false, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return body, resp.Header.Get("ETag"), false, nil
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
