package check_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/check"
)

// TestDocumented holds the operator's page to the invariants.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operator/check.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range check.Rules() {
		if row := "| `" + string(rule.Invariant) + "` | " + rule.Sentence + " |"; !strings.Contains(string(text), row) {
			t.Errorf("docs/operator/check.md has no line beginning %q", row)
		}
	}
}
