package status

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

func TestEveryKindHasACode(t *testing.T) {
	const secret = "dial tcp 10.0.0.7: connection refused"
	s := New(Config{Log: slog.New(slog.DiscardHandler)})
	for _, kind := range pki.Kinds() {
		err := pki.Because(kind, errors.New(secret), "a detail")
		r := httptest.NewRequest(http.MethodGet, "/crl/x/0.crl", nil)

		plain := httptest.NewRecorder()
		s.fail(plain, r, err)
		if plain.Code < 400 || plain.Code > 599 || (plain.Code == http.StatusInternalServerError) != faultOfOurs[kind] {
			t.Errorf("%s: HTTP %d", kind, plain.Code)
		}
		if strings.Contains(plain.Body.String(), secret) || kind == pki.Internal && strings.Contains(plain.Body.String(), "detail") {
			t.Errorf("%s shows %q", kind, plain.Body)
		}

		answer := httptest.NewRecorder()
		s.failOCSP(answer, r, err)
		want := string(tbs.OCSPError(codeOf(kind).ocsp))
		if answer.Code != http.StatusOK || answer.Body.String() != want || (codeOf(kind).ocsp == tbs.OCSPInternalError) != faultOfOurs[kind] {
			t.Errorf("%s: HTTP %d with %x", kind, answer.Code, answer.Body)
		}
	}
}

// faultOfOurs has the kinds that no request about status should lead to.
var faultOfOurs = map[pki.Kind]bool{
	pki.Internal: true, pki.AlreadyRevoked: true, pki.DuplicateKey: true, pki.Conflict: true, pki.Pending: true,
}
