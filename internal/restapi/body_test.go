package restapi

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

// TestBrokenBodies: a body that is no HTTP is its sender's fault on every route that
// reads one, and the log has its line, which is no error of the server.
func TestBrokenBodies(t *testing.T) {
	s := serve(t)
	s.submitted = func(_ batch.Submission, body io.Reader) (*batch.Batch, error) {
		_, err := io.Copy(io.Discard, body)
		return new(batch.Batch), err
	}
	clear := httptest.NewServer(s.Config.Handler)
	defer clear.Close()
	doc, _ := s.document(t)
	routes := 0
	for _, rt := range Routes() {
		medias := slices.Sorted(maps.Keys(doc.described(rt).RequestBody.Content))
		if len(medias) == 0 {
			continue
		}
		routes++
		query := ""
		if doc.described(rt).has("query", "endpoint", true) {
			query = "?endpoint=x"
		}
		for _, body := range []string{"zz", "fffffffffffffffff\r\n", "2\r\n{}XX", "5\r\n{"} {
			what := fmt.Sprintf("%s %s with %q", rt.Method, rt.Path, body)
			status, id, p := sendBroken(t, clear.Listener.Addr().String(), rt.Method, prefix+rt.Path+query, s.whoMay(rt), medias[0], body)
			if status != http.StatusBadRequest || p.Kind != "malformed" || !strings.Contains(p.Detail, "broke off, or is not well-formed HTTP") {
				t.Errorf("%s: %d %+v", what, status, p)
			}
			if line := s.logged(id, "request failed"); !strings.Contains(line, "level=INFO") && !strings.Contains(line, "level=DEBUG") || !strings.Contains(line, "kind=malformed") {
				t.Errorf("%s: the log has %q", what, line)
			}
		}
	}
	if routes < 30 {
		t.Errorf("only %d routes have bodies", routes)
	}
}

// sendBroken sends a request with a body in chunks that are none.
func sendBroken(t *testing.T, addr, method, path, token, media, body string) (status int, id string, p *client.Problem) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%s", method, path, token, media, body); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite() // the server may have answered already
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	p = new(client.Problem)
	if err := json.Unmarshal(text, p); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return resp.StatusCode, resp.Header.Get("Request-Id"), p
}

// whoMay returns a token of somebody who may use a route.
func (s *served) whoMay(rt Route) string {
	who := access.Principal{Tenant: "demo", ID: "token:9"}
	if access.PlatformOnly(rt.Permission) || rt.Tenant {
		who.Tenant = pki.Platform
	}
	for _, role := range access.Roles() {
		who.Grants = append(who.Grants, access.Given(role)...)
	}
	s.tokens["whoever"] = who
	return "whoever"
}

// logged returns the line of a request that says something, "" where there is none.
func (s *served) logged(id, says string) string {
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "request="+id) && strings.Contains(line, says) {
			return line
		}
	}
	return ""
}
