package cli

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAlarmsCheck: --check fails for a critical alarm alone, and a person reads
// what to do below the table, and to whom not all are shown that it is so.
func TestAlarmsCheck(t *testing.T) {
	late := `{"tenant":"demo","name":"crl.late","target":"issuer:1","severity":"warning","what":"A CRL is late.","do":"Wait.","since":"2026-11-25T12:00:00Z"}`
	wrong := `{"tenant":"","name":"clock.wrong","severity":"critical","what":"The clock is wrong.","do":"Set it.","since":"2026-11-25T12:00:00Z"}`
	items, tenant := "", ""
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/whoami") {
			fmt.Fprintf(w, `{"tenant":%q,"id":"token:1","name":"x","grants":[],"expires":"2027-11-25T12:00:00Z"}`, tenant)
			return
		}
		w.Write([]byte(`{"items":[` + items + `]}`))
	}))
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(serverVariable, srv.URL)
	t.Setenv(tlsCAVariable, ca)
	t.Setenv(tokenVariable, "pando_x")
	alarms := func(args ...string) (status int, out string) {
		var stdout, stderr strings.Builder
		status = Run(t.Context(), append([]string{"alarms"}, args...), strings.NewReader(""), &stdout, &stderr)
		return status, stdout.String() + stderr.String()
	}
	items = late
	if status, out := alarms("--check"); status != exitDone {
		t.Errorf("a warning: %d %s", status, out)
	}
	items = wrong + "," + late
	if status, _ := alarms(); status != exitDone {
		t.Errorf("without --check: %d", status)
	}
	status, out := alarms("--check")
	want := `SEVERITY  ALARM        TENANT  TARGET    SINCE
critical  clock.wrong  -       -         2026-11-25 12:00:00Z
warning   crl.late     demo    issuer:1  2026-11-25 12:00:00Z

clock.wrong: The clock is wrong.
  Set it.

crl.late of issuer:1, tenant demo: A CRL is late.
  Wait.
`
	if diff := cmp.Diff(want, out); diff != "" || status != exitRefused {
		t.Errorf("%d %s", status, diff)
	}
	items = strings.Join([]string{late, wrong, strings.ReplaceAll(late, "issuer:1", "issuer:2"), strings.ReplaceAll(late, "Wait.", "Make it in a ceremony.")}, ",")
	want = `
crl.late of issuer:1, tenant demo: A CRL is late.
crl.late of issuer:2, tenant demo: A CRL is late.
  Wait.

clock.wrong: The clock is wrong.
  Set it.

crl.late of issuer:1, tenant demo: A CRL is late.
  Make it in a ceremony.
`
	if _, out := alarms(); !strings.HasSuffix(out, want) {
		t.Errorf("several of a kind: %s", out)
	}
	items = ""
	if _, out := alarms(); out != "no alarms\n" {
		t.Errorf("to the operator: %q", out)
	}
	tenant = "demo"
	if _, out := alarms(); out != "no alarms of the tenant demo; those of the deployment need the platform operator's token\n" {
		t.Errorf("to a tenant: %q", out)
	}
	items = late
	if _, out := alarms(); !strings.HasSuffix(out, "\n  Wait.\n\nThese are the alarms of the tenant demo; those of the deployment need the platform operator's token.\n") {
		t.Errorf("to a tenant with one: %q", out)
	}
}
