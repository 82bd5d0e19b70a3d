package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// TestTraceOfBatch: of a certificate from a batch, its row and who submitted it are shown
// with and without the request, and without the batch what the certificate itself says.
func TestTraceOfBatch(t *testing.T) {
	b := &client.Batch{ID: "B", Rows: 9, Endpoint: "meter", By: "token:1 (asks)", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	of := client.Certificate{Batch: "B", Row: 4, Status: &client.Status{State: client.Good}}
	const full = "B, row 4 of 9, at meter"
	for _, test := range []struct {
		name            string
		trace           client.Trace
		batch, by, says string
	}{
		{"kept", client.Trace{Certificate: of, Batch: b, CSR: "PEM"}, full, "2026-01-02 03:04:05Z by token:1 (asks)", "kept: --json has it"},
		{"purged", client.Trace{Certificate: of, Batch: b, CSRGone: "it ended"}, full, "2026-01-02 03:04:05Z by token:1 (asks)", "not kept: it ended"},
		{"without its batch", client.Trace{Certificate: of}, "B, row 4", "", "not kept"},
		{"of no batch", client.Trace{Certificate: client.Certificate{Status: of.Status}}, "", "", "not kept"},
	} {
		var out strings.Builder
		if err := traceOf(&test.trace)(&out); err != nil {
			t.Fatal(err)
		}
		facts := make(map[string]string)
		for line := range strings.Lines(out.String()) {
			name, value, _ := strings.Cut(line, " ")
			facts[name] = strings.TrimSpace(value)
		}
		for name, want := range map[string]string{"batch": test.batch, "submitted": test.by, "request": test.says} {
			if facts[name] != want {
				t.Errorf("%s: %s is %q, want %q", test.name, name, facts[name], want)
			}
		}
	}
}
