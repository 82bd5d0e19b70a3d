package restapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

func TestEveryKindHasAStatus(t *testing.T) {
	want := map[pki.Kind]int{
		pki.Internal: 500, pki.Malformed: 400, pki.BadProof: 400, pki.BadKey: 400, pki.PolicyRefused: 403,
		pki.Forbidden: 403, pki.Unauthenticated: 401, pki.NotFound: 404, pki.AlreadyRevoked: 409,
		pki.DuplicateKey: 409, pki.Conflict: 409, pki.NotReady: 409, pki.RateLimited: 429, pki.Unavailable: 503,
		pki.QuotaExceeded: 403,
		pki.Pending:       202,
	}
	titles := map[string]pki.Kind{}
	for _, k := range pki.Kinds() {
		p := newRefusal(pki.Errorf(k, "the detail"))
		if p.Status != want[k] {
			t.Errorf("%s: status %d, want %d", k, p.Status, want[k])
		}
		if p.Kind != k.String() || p.Type != "urn:pando:error:"+k.String() {
			t.Errorf("%s: kind %q, type %q", k, p.Kind, p.Type)
		}
		if other, taken := titles[p.Title]; taken || p.Title == "" {
			t.Errorf("%s and %s have the title %q", k, other, p.Title)
		}
		titles[p.Title] = k
	}
}

func TestRefusalShowsNoCause(t *testing.T) {
	secret := errors.New("dial 10.0.0.1: password hunter2")
	for _, err := range []error{
		secret,
		fmt.Errorf("reading the authority: %w", secret),
		pki.Because(pki.Internal, secret, "the store is at 10.0.0.1"),
		pki.Because(pki.Unavailable, secret, "try again"),
	} {
		p := newRefusal(err)
		if text := fmt.Sprintf("%+v", p.Problem); strings.Contains(text, "10.0.0.1") || strings.Contains(text, "hunter2") {
			t.Errorf("%v is shown as %s", err, text)
		}
	}
}

func TestRefusalHeaders(t *testing.T) {
	tests := []struct {
		err  error
		want http.Header
	}{
		{pki.Errorf(pki.NotFound, "x"), http.Header{}},
		{pki.Errorf(pki.Unauthenticated, "x"), http.Header{"Www-Authenticate": {`Bearer realm="pando"`}}},
		{pki.Errorf(pki.Unavailable, "x"), http.Header{"Retry-After": {"5"}}},
		{pki.Errorf(pki.RateLimited, "x"), http.Header{"Retry-After": {"5"}}},
		{&pki.Error{Kind: pki.Unavailable, RetryAfter: 1200 * time.Millisecond}, http.Header{"Retry-After": {"2"}}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, newRefusal(tt.err).GetHeaders()); diff != "" {
			t.Errorf("%v: %s", tt.err, diff)
		}
	}
}
