package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestGrace: for how long after its end a certificate is renewed.
func TestGrace(t *testing.T) {
	with := func(renew string) string { return strings.Replace(minimal, "[p256]", "[p256], renew: "+renew, 1) }
	before, after := parse(t, with("same-key")), parse(t, with("{key: same-key, grace: 90d}"))
	if before.RenewalGrace() != 0 || after.RenewalGrace() != 90*24*time.Hour || !after.RenewSameKey() {
		t.Errorf("graces %v and %v", before.RenewalGrace(), after.RenewalGrace())
	}
	if diff := cmp.Diff([]Change{{"keys.renew.grace", "", "90d", Widens}}, Diff(before, after)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Change{{"keys.renew.grace", "90d", "", Narrows}}, Diff(after, before)); diff != "" {
		t.Error(diff)
	}
	for renew, want := range map[string]string{
		"{grace: 90d}":                     "same-key beside it",
		"{key: new-key, grace: 90d}":       "same-key beside it",
		"{key: same-key, grace: long}":     "as 90d or 12h",
		"{key: same-key, grace: 0s}":       "as 90d or 12h",
		"{key: same-key, grace: 2000d}":    "at most 5 years",
		"{key: same-key, graze: 90d}":      "graze",
		"{key: same-key, grace: [90d, 1]}": "one word",
	} {
		if _, err := Parse([]byte(with(renew))); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "^") {
			t.Errorf("%s: %v, want %q with a caret", renew, err, want)
		}
	}
}
