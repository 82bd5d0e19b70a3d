package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pando-pki/pando/client"
)

// TestSerialAlone: how a certificate is named is said where that is what stands in the way,
// and not where the server says why there is none.
func TestSerialAlone(t *testing.T) {
	for _, test := range []struct {
		status       int
		kind, detail string
		hinted       bool
	}{
		{404, "not-found", `no certificate with serial \"0b\"`, true},
		{409, "conflict", "several issuers have a certificate with this serial, as a and b: name one", true},
		{404, "not-found", "the certificate with serial 0b has expired and is archived: archive 1, object a.zip", false},
		{404, "not-found", `no certificate with serial \"0b\" was issued here: it is that of the authority \"root\"`, false},
		{403, "forbidden", "needs certificates.read on tenant", false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(test.status)
			fmt.Fprintf(w, `{"kind": %q, "detail": "%s"}`, test.kind, test.detail)
		}))
		cl, err := client.New(client.Config{Server: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		err = (&certName{Issuer: "0b"}).resolve(t.Context(), cl)
		if err == nil || strings.Contains(hintOf(err), "serial number alone") != test.hinted {
			t.Errorf("%s: %v, hint %q", test.detail, err, hintOf(err))
		}
		server.Close()
	}
}
