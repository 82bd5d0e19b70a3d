package status_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/proto/status"
	"github.com/pando-pki/pando/internal/revocation"
)

// freshCRL is a Validator that forgets the CRL that it returned.
type freshCRL struct {
	status.Validator
	returned weak.Pointer[revocation.CRL]
}

func (f *freshCRL) CRL(context.Context, revocation.List) (*revocation.CRL, error) {
	c := &revocation.CRL{DER: make([]byte, 1<<20), NextUpdate: time.Now().Add(time.Hour)}
	f.returned = weak.Make(c)
	return c, nil
}

// A slowClient collects garbage while it is written to.
type slowClient struct {
	http.ResponseWriter
	wrote func()
}

func (c slowClient) Write(b []byte) (int, error) {
	runtime.GC()
	c.wrote()
	return c.ResponseWriter.Write(b)
}

// TestSlowClientHoldsItsCRL: what a slow client is being sent can be found by
// others, see revocation.Service.CRL.
func TestSlowClientHoldsItsCRL(t *testing.T) {
	v := &freshCRL{}
	s := status.New(status.Config{Limiter: (*limit.Limits)(nil), Validator: v, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	writes := 0
	client := slowClient{httptest.NewRecorder(), func() {
		if writes++; v.returned.Value() == nil {
			t.Error("the CRL is gone while it is being sent")
		}
	}}
	s.Handler(http.NotFoundHandler()).ServeHTTP(client, httptest.NewRequest(http.MethodGet, "/crl/issuer/0.crl", nil))
	runtime.GC()
	if writes == 0 || v.returned.Value() != nil {
		t.Errorf("%d writes, and the CRL is held after the last: %t", writes, v.returned.Value() != nil)
	}
}
