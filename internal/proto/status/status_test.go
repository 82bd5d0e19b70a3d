package status_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/proto/status"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// chains serves the VA's two issuers.
type chains struct{ va *revocationtest.VA }

func (c chains) Chain(_ context.Context, issuer pki.IssuerID) ([][]byte, error) {
	switch issuer {
	case c.va.CA.Issuer.ID:
		return [][]byte{c.va.CA.Certificate.Raw, c.va.Root.Certificate.Raw}, nil
	case c.va.Root.Issuer.ID:
		return [][]byte{c.va.Root.Certificate.Raw}, nil
	}
	return nil, pki.Errorf(pki.NotFound, "no such issuer")
}

// serve starts a server over the VA, in front of a mux as the real one stands.
func serve(t testing.TB, v *revocationtest.VA) *httptest.Server {
	t.Helper()
	s := status.New(status.Config{Limiter: (*limit.Limits)(nil), Validator: v, Chains: chains{v}, Now: v.Clock.Now, Log: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /other", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "other") })
	server := httptest.NewServer(s.Handler(mux))
	t.Cleanup(server.Close)
	return server
}

// do sends one request whose path goes out as it is given.
func do(t testing.TB, server *httptest.Server, method, path string, body []byte, header http.Header) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path // net/http would encode it its own way
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, got
}

// ocspStatus returns an answer's OCSPResponseStatus, RFC 6960, 4.2.1.
func ocspStatus(t testing.TB, resp *http.Response, body []byte) ocsp.ResponseStatus {
	t.Helper()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/ocsp-response" {
		t.Errorf("%s, %q", resp.Status, resp.Header.Get("Content-Type"))
	}
	_, err := ocsp.ParseResponse(body, nil)
	if failed, ok := errors.AsType[ocsp.ResponseError](err); ok {
		return failed.Status
	}
	if err != nil {
		t.Errorf("%v in %x", err, body)
	}
	return ocsp.Success
}

func TestOCSPGet(t *testing.T) {
	v := revocationtest.New(t, 1)
	server := serve(t, v)
	var serial pki.Serial
	var text string
	for !strings.Contains(text, "//") || !strings.Contains(text, "+") { // a few thousand attempts
		serial = v.Issue()
		text = base64.StdEncoding.EncodeToString(revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, serial))
	}
	for name, path := range map[string]string{
		"raw":                  text,
		"percent-encoded":      url.QueryEscape(text),
		"path-escaped":         url.PathEscape(text),
		"all percent-encoded":  percent(text),
		"a base URL ends in /": "/" + text,
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := do(t, server, http.MethodGet, "/ocsp/issuer/"+path, nil, nil)
			if got := ocspStatus(t, resp, body); got != ocsp.Success {
				t.Fatalf("status %v", got)
			}
			parsed, err := ocsp.ParseResponseForCert(body, revocationtest.Certificate(serial), v.CA.Certificate)
			if err != nil || parsed.Status != ocsp.Good {
				t.Errorf("%+v, %v", parsed, err)
			}
		})
	}
}

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
	}
	return b.String()
}

func TestOCSPErrors(t *testing.T) {
	v, other := revocationtest.New(t, 1), revocationtest.New(t, 1)
	server := serve(t, v)
	good := revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, v.Issue())
	theirs := revocationtest.Request(t, other.CA.Certificate, crypto.SHA1, v.Issue())
	tests := []struct {
		name, method, path string
		body               []byte
		want               ocsp.ResponseStatus
	}{
		{"good", "POST", "/ocsp/issuer", good, ocsp.Success},
		{"empty POST", "POST", "/ocsp/issuer", nil, ocsp.Malformed},
		{"garbage POST", "POST", "/ocsp/issuer", []byte("serial=1"), ocsp.Malformed},
		{"64 KiB and one", "POST", "/ocsp/issuer", append(bytes.Clone(good), make([]byte, 64<<10+1-len(good))...), ocsp.Malformed},
		{"10 MB", "POST", "/ocsp/issuer", make([]byte, 10<<20), ocsp.Malformed},
		{"GET without a request", "GET", "/ocsp/issuer", nil, ocsp.Malformed},
		{"GET with an empty request", "GET", "/ocsp/issuer/", nil, ocsp.Malformed},
		{"GET that is not base64", "GET", "/ocsp/issuer/~", nil, ocsp.Malformed},
		{"GET of 300 kB", "GET", "/ocsp/issuer/" + strings.Repeat("M", 300_000), nil, ocsp.Malformed},
		{"no such issuer", "POST", "/ocsp/nobody", good, ocsp.Unauthorized},
		{"no issuer", "POST", "/ocsp/", good, ocsp.Unauthorized},
		{"another issuer's", "POST", "/ocsp/issuer", theirs, ocsp.Unauthorized},
		{"offline issuer", "POST", "/ocsp/root", good, ocsp.Unauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := do(t, server, tt.method, tt.path, tt.body, nil)
			if got := ocspStatus(t, resp, body); got != tt.want {
				t.Errorf("status %v, want %v", got, tt.want)
			}
			if got := resp.Header.Get("Cache-Control"); tt.want != ocsp.Success && got != "no-store" {
				t.Errorf("an error has Cache-Control %q", got)
			}
		})
	}
	v.Store.Fail(errors.New("no database"))
	resp, body := do(t, server, "POST", "/ocsp/issuer", revocationtest.Request(t, v.CA.Certificate, crypto.SHA256, v.Issue()), nil)
	if got := ocspStatus(t, resp, body); got != ocsp.InternalError {
		t.Errorf("status %v without a store", got)
	}
	if resp, _ := do(t, server, "PUT", "/ocsp/issuer", good, nil); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("PUT: %s, Allow %q", resp.Status, resp.Header.Get("Allow"))
	}
}

func TestOCSPCaching(t *testing.T) {
	v := revocationtest.New(t, 1)
	server := serve(t, v)
	serial := v.Issue()
	request := revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, serial)
	path := "/ocsp/issuer/" + base64.StdEncoding.EncodeToString(request)

	first, body := do(t, server, http.MethodGet, path, nil, nil)
	want := http.Header{
		"Cache-Control": {"max-age=3600, public, no-transform, must-revalidate"},
		"Expires":       {v.Clock.Now().Add(12 * time.Hour).Format(http.TimeFormat)},
		"ETag":          {fmt.Sprintf("\"%x\"", sha256.Sum256(body))},
		"Last-Modified": {v.Clock.Now().Add(-5 * time.Minute).Format(http.TimeFormat)},
	}
	for k := range want {
		if diff := cmp.Diff(want[k], first.Header[http.CanonicalHeaderKey(k)]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
	if posted, _ := do(t, server, http.MethodPost, "/ocsp/issuer", request, nil); posted.Header.Get("ETag") != first.Header.Get("ETag") {
		t.Errorf("POST has ETag %q, GET %q", posted.Header.Get("ETag"), first.Header.Get("ETag"))
	}
	if head, body := do(t, server, http.MethodHead, path, nil, nil); head.StatusCode != 200 || len(body) != 0 || head.ContentLength != first.ContentLength {
		t.Errorf("HEAD: %s with %d bytes of %d", head.Status, len(body), head.ContentLength)
	}

	seen := http.Header{"If-None-Match": {first.Header.Get("ETag")}}
	if got, body := do(t, server, http.MethodGet, path, nil, seen); got.StatusCode != http.StatusNotModified || len(body) != 0 {
		t.Errorf("a response that did not change: %s with %d bytes", got.Status, len(body))
	}
	if _, err := v.Revoke(t.Context(), revocationtest.Permit(t, revocationtest.Tenant, access.Revoke), v.CA.Issuer.ID, serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	if got, _ := do(t, server, http.MethodGet, path, nil, seen); got.StatusCode != http.StatusOK {
		t.Errorf("a response that changed: %s", got.Status)
	}

	nonce := revocationtest.RequestWith(v.CA.Certificate, []byte("sixteen octets!!"), serial)
	got, _ := do(t, server, http.MethodGet, "/ocsp/issuer/"+base64.StdEncoding.EncodeToString(nonce), nil, nil)
	if got.Header.Get("Cache-Control") != "max-age=0, must-revalidate" || got.Header.Get("ETag") != "" {
		t.Errorf("with a nonce: Cache-Control %q, ETag %q", got.Header.Get("Cache-Control"), got.Header.Get("ETag"))
	}
}

func TestCRL(t *testing.T) {
	v := revocationtest.New(t, 2)
	server := serve(t, v)
	if _, err := v.PublishDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp, body := do(t, server, http.MethodGet, "/crl/issuer/1.crl", nil, nil)
	list, err := x509.ParseRevocationList(body)
	if err != nil || list.CheckSignatureFrom(v.CA.Certificate) != nil {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/pkix-crl" {
		t.Errorf("Content-Type %q", got)
	}
	if got := resp.Header.Get("Cache-Control"); got != "max-age=300, public, no-transform, must-revalidate" {
		t.Errorf("Cache-Control %q", got)
	}
	seen := http.Header{"If-None-Match": {resp.Header.Get("ETag")}}
	if got, _ := do(t, server, http.MethodGet, "/crl/issuer/1.crl", nil, seen); got.StatusCode != http.StatusNotModified {
		t.Errorf("a CRL that did not change: %s", got.Status)
	}
	if got, body := do(t, server, http.MethodHead, "/crl/issuer/1.crl", nil, nil); got.StatusCode != 200 || len(body) != 0 || got.ContentLength != resp.ContentLength {
		t.Errorf("HEAD: %s with %d bytes of %d", got.Status, len(body), got.ContentLength)
	}
	v.Clock.Advance(24*time.Hour - 100*time.Second)
	if got, _ := do(t, server, http.MethodGet, "/crl/issuer/1.crl", nil, nil); !strings.HasPrefix(got.Header.Get("Cache-Control"), "max-age=100,") {
		t.Errorf("100 seconds before nextUpdate: Cache-Control %q", got.Header.Get("Cache-Control"))
	}
	for _, path := range []string{"/crl/issuer/2.crl", "/crl/issuer/01.crl", "/crl/issuer/-1.crl", "/crl/issuer/1", "/crl/issuer/.crl", "/crl/issuer", "/crl/nobody/0.crl", "/crl/", "/crl/issuer/0.crl/"} {
		if got, _ := do(t, server, http.MethodGet, path, nil, nil); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, got.Status)
		}
	}
	if got, _ := do(t, server, http.MethodPost, "/crl/issuer/0.crl", nil, nil); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s, want 405", got.Status)
	}
}

func TestCA(t *testing.T) {
	v := revocationtest.New(t, 1)
	server := serve(t, v)
	both := [][]byte{v.CA.Certificate.Raw, v.Root.Certificate.Raw}
	tests := []struct {
		path, contentType string
		read              func([]byte) [][]byte
		want              [][]byte
	}{
		{"/ca/issuer.cer", "application/pkix-cert", func(b []byte) [][]byte { return [][]byte{b} }, both[:1]},
		{"/ca/root.cer", "application/pkix-cert", func(b []byte) [][]byte { return [][]byte{b} }, both[1:]},
		{"/ca/issuer.pem", "application/pem-certificate-chain", readPEM, both},
		{"/ca/root.pem", "application/pem-certificate-chain", readPEM, both[1:]},
	}
	for _, tt := range tests {
		resp, body := do(t, server, http.MethodGet, tt.path, nil, nil)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s: %s, %q", tt.path, resp.Status, resp.Header.Get("Content-Type"))
		}
		if diff := cmp.Diff(tt.want, tt.read(body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.path, diff)
		}
		if resp.Header.Get("ETag") == "" || resp.Header.Get("Cache-Control") != "max-age=86400, public, no-transform, must-revalidate" {
			t.Errorf("%s: ETag %q, Cache-Control %q", tt.path, resp.Header.Get("ETag"), resp.Header.Get("Cache-Control"))
		}
	}
	resp, body := do(t, server, http.MethodGet, "/ca/issuer.p7c", nil, nil)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/pkcs7-mime; smime-type=certs-only" ||
		!bytes.Contains(body, both[0]) || !bytes.Contains(body, both[1]) {
		t.Errorf("/ca/issuer.p7c: %s, %q, %d bytes", resp.Status, resp.Header.Get("Content-Type"), len(body))
	}
	for _, path := range []string{"/ca/nobody.cer", "/ca/issuer", "/ca/issuer.der", "/ca/", "/ca/issuer.cer.pem"} {
		if got, _ := do(t, server, http.MethodGet, path, nil, nil); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, got.Status)
		}
	}
}

func readPEM(text []byte) (certificates [][]byte) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return certificates
		}
		certificates, text = append(certificates, block.Bytes), rest
	}
}

func TestOtherPathsGoOn(t *testing.T) {
	server := serve(t, revocationtest.New(t, 1))
	if resp, body := do(t, server, http.MethodGet, "/other", nil, nil); resp.StatusCode != 200 || string(body) != "other" {
		t.Errorf("%s %q", resp.Status, body)
	}
	if resp, _ := do(t, server, http.MethodGet, "/ocspx", nil, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("/ocspx: %s", resp.Status)
	}
}

// TestSlowReaders: fifty clients that do not read on cost one copy of a large CRL,
// and a conditional request after them costs none.
func TestSlowReaders(t *testing.T) {
	v := revocationtest.New(t, 1)
	server := serve(t, v)
	for range 60_000 {
		v.RevokeElsewhere(t, v.Issue(), pki.KeyCompromise)
	}
	if n, err := v.PublishDue(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	crl, err := v.Store.CRL(t.Context(), revocation.List{Issuer: v.CA.Issuer.ID})
	if err != nil {
		t.Fatal(err)
	}
	read := v.Store.Reads()
	var slow []*http.Response
	for range 50 {
		resp, err := server.Client().Get(server.URL + "/crl/issuer/0.crl")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		slow = append(slow, resp)
	}
	seen := http.Header{"If-None-Match": {slow[0].Header.Get("ETag")}}
	if got, _ := do(t, server, http.MethodGet, "/crl/issuer/0.crl", nil, seen); got.StatusCode != http.StatusNotModified {
		t.Errorf("a CRL that did not change: %s", got.Status)
	}
	if n := v.Store.Reads() - read; n != 1 {
		t.Errorf("the CRL was read %d times", n)
	}
	if body, err := io.ReadAll(slow[49].Body); err != nil || !bytes.Equal(body, crl.DER) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}
