package est

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// statuses has the status that each kind becomes on the wire.
var statuses = map[pki.Kind]int{
	pki.Internal: 500, pki.Malformed: 400, pki.BadProof: 400, pki.BadKey: 400, pki.PolicyRefused: 403, pki.Forbidden: 403,
	pki.QuotaExceeded: 403, pki.Unauthenticated: 401, pki.NotFound: 404, pki.AlreadyRevoked: 409, pki.DuplicateKey: 409,
	pki.Conflict: 409, pki.NotReady: 409, pki.RateLimited: 429, pki.Unavailable: 503, pki.Pending: 202,
}

// TestEveryKindHasAStatus: each kind is answered with its status and its detail, and
// nothing that is only logged.
func TestEveryKindHasAStatus(t *testing.T) {
	const secret = "dial tcp 10.0.0.7: connection refused"
	s := New(Config{Log: slog.New(slog.DiscardHandler)})
	for _, kind := range pki.Kinds() {
		got := httptest.NewRecorder()
		s.fail(got, httptest.NewRequest(http.MethodPost, "/", nil), pki.Because(kind, errors.New(secret), "a detail"))
		if got.Code != statuses[kind] {
			t.Errorf("%s: %d, want %d", kind, got.Code, statuses[kind])
		}
		body := got.Body.String()
		if strings.Contains(body, secret) || strings.Contains(body, "a detail") != (kind != pki.Internal) || strings.Count(body, "\n") != 1 {
			t.Errorf("%s shows %q", kind, body)
		}
		again := kind == pki.Pending || kind == pki.RateLimited || kind == pki.Unavailable
		if (got.Header().Get("Retry-After") != "") != again {
			t.Errorf("%s: Retry-After %q", kind, got.Header().Get("Retry-After"))
		}
		if (got.Header().Get("WWW-Authenticate") != "") != (kind == pki.Unauthenticated) {
			t.Errorf("%s: WWW-Authenticate %q", kind, got.Header().Get("WWW-Authenticate"))
		}
	}
	got := httptest.NewRecorder()
	s.fail(got, httptest.NewRequest(http.MethodPost, "/", nil), &pki.Error{Kind: pki.Pending, Detail: "wait", RetryAfter: 90*time.Second + 1})
	if got.Header().Get("Retry-After") != "91" {
		t.Errorf("Retry-After %q", got.Header().Get("Retry-After"))
	}
}
