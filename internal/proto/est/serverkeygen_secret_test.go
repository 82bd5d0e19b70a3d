package est

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// makers is a maker that several ask at once.
type makers struct {
	*maker
	mu sync.Mutex
}

func (m *makers) Enroll(ctx context.Context, r enroll.Request) (*pki.Enrollment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.maker.Enroll(ctx, r)
}

// TestSealedUnderSecret: a key is encrypted under a random secret without a slow
// derivation. Under one that somebody chose it is derived slowly, and whose organisation
// waits for too many of these is told so before anything is issued.
func TestSealedUnderSecret(t *testing.T) {
	const chosen = "hunter2"
	random := strings.Repeat("a", 26) + "-" + strings.Repeat("b", 32)
	limits := limit.New(limit.Config{Now: time.Now})
	m := &makers{maker: &maker{t: t, ca: pandotest.NewRoot(t, "an authority", time.Now())}}
	s := New(Config{RA: m, Prover: anybody{}, Limits: limits, Log: slog.New(slog.DiscardHandler)})
	csr := pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "SM-1"}, named(der.OIDDecryptKeyIdentifier, []byte("SM-1")))
	ask := func(secret string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", prefix+"acme.device/serverkeygen", strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
		r.Header.Set("Content-Type", "application/pkcs10")
		r.SetBasicAuth("SM-1", secret)
		w := httptest.NewRecorder()
		s.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
		return w
	}
	opens := func(w *httptest.ResponseRecorder, secret string, iterations uint64) {
		t.Helper()
		key := keyPart(t, w, "application/pkcs7-mime; smime-type=server-generated-key")
		if _, err := cms.Open(key, cms.OpenOptions{}, cms.Key{Password: pki.NewSecret(secret)}); err != nil {
			t.Error(err)
		}
		if !bytes.Contains(key, der.AppendInteger(nil, iterations)) {
			t.Errorf("not derived with %d iterations", iterations)
		}
	}
	leave, err := limits.Slow(t.Context(), "acme") // of whose four places it is one
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan *httptest.ResponseRecorder, 6)
	for range 6 {
		go func() { answers <- ask(chosen) }()
	}
	for range 3 {
		if w := <-answers; w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("one too many: %d %s", w.Code, w.Body)
		}
	}
	opens(ask(random), random, cms.RandomIterations) // waits for nobody
	if len(m.asked) != 1 {
		t.Errorf("%d keys are handed out, want one", len(m.asked))
	}
	leave()
	for range 3 {
		opens(<-answers, chosen, cms.PasswordIterations)
	}
	if len(m.asked) != 4 {
		t.Errorf("%d keys are handed out, want four", len(m.asked))
	}
}
