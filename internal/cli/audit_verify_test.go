package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/audit"
)

// TestVerdict: where older checkpoints could not be compared, the verdict is about what
// was, and says how to compare the others.
func TestVerdict(t *testing.T) {
	at := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	one := []audit.Older{{Size: 10, Signed: at}}
	for name, test := range map[string]struct {
		report audit.Report
		want   []string
	}{
		"all": {audit.Report{To: 20, Since: one, Given: 1}, []string{"\nnothing is wrong\n"}},
		"some": {audit.Report{From: 7, To: 20, Since: one, Given: 6, NotCompared: audit.NotCompared{Before: 2, Beyond: 3, Size: 90, Signed: at}}, []string{
			"not compared        2 of 6 older checkpoints: before the export's beginning at index 7; export from an earlier time to compare\n",
			"not compared        3 of 6 older checkpoints: beyond the export's end at index 20; export up to 2026-04-01T12:00:00Z or later to compare\n",
			"\nnothing that was compared is wrong; 5 of 6 older checkpoints could not be compared\n",
		}},
		"wrong": {audit.Report{To: 20, Given: 1, NotCompared: audit.NotCompared{Beyond: 1, Size: 90, Signed: at}, Total: 1, Findings: []string{"what"}}, []string{
			"1 of 1 older checkpoint: beyond the export's end at index 20;", "\nWRONG: what\n1 thing is wrong\n",
		}},
	} {
		var b strings.Builder
		if err := writeAudit(&b, &test.report); err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: it lacks %q:\n%s", name, want, &b)
			}
		}
		if len(test.want) > 1 && strings.Contains(b.String(), "nothing is wrong") {
			t.Errorf("%s:\n%s", name, &b)
		}
	}
}
