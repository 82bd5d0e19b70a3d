package restapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// TestEmptyParameters: a parameter that says nothing is refused on every route that has
// it: taken for none, it would find everything.
func TestEmptyParameters(t *testing.T) {
	s := serve(t)
	doc, _ := s.document(t)
	seen := 0
	for _, rt := range Routes() {
		for _, p := range doc.described(rt).Parameters {
			if p.In != "query" {
				continue
			}
			seen++
			if p.Schema.Type == "string" && p.Schema.MinLength != 1 {
				t.Errorf("the document does not say that %s of %s %s is not empty", p.Name, rt.Method, rt.Path)
			}
			for _, query := range []string{"?" + p.Name + "=", "?" + p.Name} {
				got := s.refused(t, 400, pki.Malformed, s.whoMay(rt), rt.Method, prefix+rt.Path+query, "")
				if !strings.Contains(got.Detail, `"`+p.Name+`" is empty`) {
					t.Errorf("%s %s%s: %s", rt.Method, rt.Path, query, got.Detail)
				}
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d parameters", seen)
	}
}

// TestDamagedCursors: what no list gave is refused, on every list that begins with the
// newest: it would begin anew, or be at its end.
func TestDamagedCursors(t *testing.T) {
	s := serve(t)
	doc, _ := s.document(t)
	seen := 0
	for _, rt := range Routes() {
		if !doc.described(rt).has("query", "before", false) {
			continue
		}
		seen++
		for _, cursor := range []string{"zz", "%00", "0d3k2", strings.Repeat("z", 26), strings.Repeat("0", 27), strings.Repeat("0", 25) + "%0a"} {
			got := s.refused(t, 400, pki.Malformed, s.whoMay(rt), rt.Method, prefix+rt.Path+"?before="+cursor, "")
			if len(got.Errors) != 1 || got.Errors[0].Message != "must be the next of the page before" {
				t.Errorf("%s?before=%s: %+v", rt.Path, cursor, got)
			}
		}
	}
	if seen != 6 {
		t.Errorf("%d lists begin with the newest, not 6", seen)
	}
	for _, cursor := range []string{"zz", "zz/0", "/0", strings.Repeat("0", 26) + "/-1", strings.Repeat("0", 26) + "/"} {
		s.refused(t, 400, pki.Malformed, "admin", "GET", "/api/v1/revocations/1/counts?cursor="+cursor, "")
	}
}

// TestDamagedCRLCursors: the list of CRLs goes on from a list of its own alone, lest it
// seem to be at its end.
func TestDamagedCRLCursors(t *testing.T) {
	m := newMatrix(t)
	status, text := m.ask(t, row{route: "GET /crls?limit=1"}, m.beta)
	_, next, _ := strings.Cut(text, `"next":"`)
	next, _, _ = strings.Cut(next, `"`)
	issuer, _, ok := strings.Cut(next, "/")
	if status != http.StatusOK || !ok {
		t.Fatalf("%d %s", status, text)
	}
	for cursor, want := range map[string]int{next: http.StatusOK, "zz/0": http.StatusBadRequest, "/0": http.StatusBadRequest,
		issuer: http.StatusBadRequest, issuer + "/-1": http.StatusBadRequest, issuer + "/9999": http.StatusBadRequest} {
		if status, text := m.ask(t, row{route: "GET /crls?cursor=" + cursor}, m.beta); status != want {
			t.Errorf("%s: %d %s", cursor, status, text)
		}
	}
}

// TestRetentionPlace: a tenant sees what archives are in, and not where on the server.
func TestRetentionPlace(t *testing.T) {
	m := newMatrix(t)
	if status, text := m.ask(t, row{route: "GET /retention"}, m.beta); status != http.StatusOK || !strings.Contains(text, `"place":"directory"`) {
		t.Errorf("%d %s", status, text)
	}
}
