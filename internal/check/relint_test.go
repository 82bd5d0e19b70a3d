package check_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
)

// meterProfile makes what the fake store has.
const meterProfile = `profile: meter
keys: {allow: [p256]}
validity: 10y
subject: [{type: serialNumber, from: device.id}]
keyUsage: {use: [digitalSignature]}
keyIdentifiers: [authority]
`

func relint(t *testing.T, s *fakeStore, which check.Relint) *check.Report {
	t.Helper()
	report, err := check.Run(t.Context(), check.Config{Store: s, Now: func() time.Time { return s.now }, Relint: &which})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestRelintAll(t *testing.T) {
	s := newFakeStore(t)
	s.profile = meterProfile
	if got := relint(t, s, check.Relint{}); !got.OK() || got.Relinted != 5 {
		t.Errorf("%d linted again, findings %v", got.Relinted, got.Findings)
	}
	for name, row := range map[string]struct{ old, new, want string }{
		"another usage":  {"digitalSignature", "keyAgreement", "4.2.1.3"},
		"no usage":       {"keyUsage: {use: [digitalSignature]}\n", "", "not in its place"},
		"another key":    {"p256", "p384", "not allowed"},
		"not a document": {"profile: meter", "profil: meter", "no longer one"},
	} {
		s.profile = strings.Replace(meterProfile, row.old, row.new, 1)
		got := relint(t, s, check.Relint{})
		if got.Total != 5 || got.Findings[0].Invariant != check.Linted || !strings.Contains(got.Findings[0].Detail, row.want) {
			t.Errorf("%s: %d findings %v", name, got.Total, got.Findings)
		}
	}
	s.profile = meterProfile
	s.certificates[2].Profile.Name = "gone"
	if got := relint(t, s, check.Relint{}); got.Total != 1 || !strings.Contains(got.Findings[0].Detail, "there is no profile gone") {
		t.Errorf("a profile that is gone: %v", got.Findings)
	}
}

// TestRelintSample holds that a sample has its size, that its seed gives it again,
// and that each certificate can be in it.
func TestRelintSample(t *testing.T) {
	s := newFakeStore(t)
	s.profile = strings.Replace(meterProfile, "p256", "p384", 1) // so that each one that is read is a finding
	sampled := func(seed uint64, n int) (subjects []string) {
		got := relint(t, s, check.Relint{Sample: n, Seed: seed})
		if got.Relinted != int64(min(n, 5)) || got.Total != got.Relinted {
			t.Errorf("a sample of %d has %d, %d findings", n, got.Relinted, got.Total)
		}
		for _, f := range got.Findings {
			subjects = append(subjects, f.Subject)
		}
		return subjects
	}
	seen := make(map[string]bool)
	for seed := range uint64(40) {
		first := sampled(seed, 2)
		if again := sampled(seed, 2); !slices.Equal(first, again) {
			t.Errorf("seed %d: %v, then %v", seed, first, again)
		}
		for _, subject := range first {
			seen[subject] = true
		}
	}
	if len(seen) != 5 {
		t.Errorf("of five certificates, %d were ever in a sample", len(seen))
	}
	sampled(1, 9)
}

// TestRelintNotAsked holds that nothing is linted again unless it is asked for.
func TestRelintNotAsked(t *testing.T) {
	s := newFakeStore(t)
	if got := run(t, s, ""); !got.OK() || got.Relinted != 0 {
		t.Errorf("%d linted again, %v", got.Relinted, got.Findings)
	}
	s.certificates[0].Profile = pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 2}
	s.certificates[0].DER = nil
	if got := relint(t, s, check.Relint{}); slices.ContainsFunc(got.Findings, func(f check.Finding) bool {
		return f.Invariant == check.Linted && strings.HasSuffix(f.Subject, s.certificates[0].Serial.String())
	}) {
		t.Errorf("what cannot be read is linted: %v", got.Findings)
	}
}
