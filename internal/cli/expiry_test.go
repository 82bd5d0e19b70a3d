package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pando-pki/pando/client"
)

// TestExpiryTables: certificates that end have a table, and none has none.
func TestExpiryTables(t *testing.T) {
	for certificates, want := range map[string]bool{
		`[]`: false,
		`[{"month":"2026-12","profile":"meter","version":1,"count":7}]`: true,
	} {
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"until":"2027-01-01T00:00:00Z","items":[],"certificates":`+certificates+`}`)
		}))
		defer srv.Close()
		cl, err := client.New(client.Config{Server: srv.URL, Token: client.TokenOf("x"), HTTPClient: srv.Client()})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := new(expiryCommand).Run(t.Context(), &console{out: &out, err: io.Discard}, cl); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "MONTH"); got != want || !strings.HasPrefix(out.String(), "ENDS") || strings.HasSuffix(out.String(), "\n\n") {
			t.Errorf("%s: %q", certificates, &out)
		}
	}
}
