package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

func TestQuota(t *testing.T) {
	for line, want := range map[string]int64{"": 0, "quota: 1": 1, "quota: 1000000000000": maxQuota} {
		if got := parse(t, withApprovals(line)).Quota(); got != want {
			t.Errorf("%s: %d", line, got)
		}
	}
	for line, text := range map[string]string{
		"quota: 0":                       "a number of certificates, from 1",
		"quota: -1":                      "a number of certificates, from 1",
		"quota: 1000000000001":           "a number of certificates, from 1",
		"quota: 99999999999999999999999": "a number of certificates, from 1",
		"quota: 1_000":                   "a number of certificates, from 1",
		"quota: 0x10":                    "a number of certificates, from 1",
		"quota: 1.5":                     "a number of certificates, from 1",
		"quota: {tenant: 5}":             "[2:",
		"quota: 5\nextendedKeyUsage: {use: [OCSPSigning]}": "do not count",
	} {
		_, err := Parse([]byte(withApprovals(line)))
		if pki.KindOf(err) != pki.Malformed || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", line, err, text)
		}
	}
	ca := strings.Replace(withApprovals("quota: 5\nbasicConstraints: {ca: true}\nkeyUsage: {use: [keyCertSign]}"), "[authority]", "[authority, subject]", 1)
	if _, err := Parse([]byte(ca)); pki.KindOf(err) != pki.Malformed || !strings.Contains(err.Error(), "do not count") {
		t.Error(err)
	}
}

// TestQuotaDiffers: more widens, less narrows, and what says nothing any more does not
// hold a quota down.
func TestQuotaDiffers(t *testing.T) {
	for _, row := range []struct {
		before, after string
		want          []Change
	}{
		{"quota: 5", "quota: 5", nil},
		{"quota: 5", "quota: 6", []Change{{"quota", "5", "6", Widens}}},
		{"quota: 6", "quota: 5", []Change{{"quota", "6", "5", Narrows}}},
		{"quota: 5", "", []Change{{"quota", "5", "", Widens}}},
	} {
		if diff := cmp.Diff(row.want, Diff(parse(t, withApprovals(row.before)), parse(t, withApprovals(row.after)))); diff != "" {
			t.Errorf("%q to %q (-want +got):\n%s", row.before, row.after, diff)
		}
	}
}
