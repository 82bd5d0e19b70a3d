package audit

import (
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pandotest"
)

// rewritten returns a log of size leaves that is l up to the leaf at, and another from
// there on, signed by the same key.
func rewritten(t *testing.T, random *mathrand.Rand, l *ledger, at, size int) *ledger {
	t.Helper()
	evil := newLedger(t, random, size)
	evil.signer = l.signer
	copy(evil.leaves, l.leaves[:at])
	for i := at; i < size; i++ {
		evil.leaves[i].Event = &EventLeaf{ID: "another", At: day, Action: "endpoint.update"}
		evil.leaves[i].Certificate, evil.leaves[i].Revocation = nil, nil
	}
	return evil
}

// notesOf returns the checkpoints of a ledger that have these sizes.
func notesOf(t *testing.T, l *ledger, sizes ...int64) []string {
	t.Helper()
	l.keep(t, sizes...)
	return l.notes
}

// TestSeveralOlder: of the checkpoints of an anchor's file, those for which an export
// has no tree are counted, and are findings where no other is about the same entries.
func TestSeveralOlder(t *testing.T) {
	random := pandotest.Seeded(t)
	honest := newLedger(t, random, 110)
	file := notesOf(t, honest, 10, 30, 60, 90)
	with := func(sizes ...int64) []string { return append(slices.Clone(file), notesOf(t, honest, sizes...)...) }
	for name, test := range map[string]struct {
		rewritten, from, to, size int // the log is another from rewritten on; -1 is nowhere
		since                     []string
		compared                  int
		not                       NotCompared
		finding                   string // "" is none
	}{
		"whole":                    {-1, 0, 110, 110, file, 4, NotCompared{}, ""},
		"whole, rewritten":         {20, 0, 110, 110, file, 1, NotCompared{}, "rewritten: its first 30 entries"},
		"a period":                 {-1, 30, 60, 110, file, 2, NotCompared{Before: 1, Beyond: 1, Size: 90}, ""},
		"rewritten after its end":  {20, 0, 20, 110, file, 1, NotCompared{Beyond: 3, Size: 90}, "no other vouches for the entries from index 10 on"},
		"rewritten within":         {15, 0, 20, 110, file, 1, NotCompared{Beyond: 3, Size: 90}, "no other vouches for the entries from index 10 on"},
		"all of it vouched for":    {20, 0, 20, 110, with(20), 2, NotCompared{Beyond: 3, Size: 90}, ""},
		"as many as the newest":    {20, 0, 20, 90, with(20), 2, NotCompared{Beyond: 2, Size: 60}, "rewritten: its first 90 entries"},
		"the newest itself":        {-1, 0, 20, 90, file, 1, NotCompared{Beyond: 3, Size: 90}, ""},
		"more than the newest":     {20, 0, 20, 80, with(20), 2, NotCompared{Beyond: 2, Size: 60}, "has 90 entries, the log now 80"},
		"none within":              {-1, 31, 59, 110, file, 0, NotCompared{Before: 2, Beyond: 2, Size: 90}, "the older checkpoint of 2026-03-01T12:00:30Z has 30 entries and the export begins at index 31"},
		"nothing and none within":  {-1, 31, 31, 110, file, 0, NotCompared{Before: 2, Beyond: 2, Size: 90}, "so that it cannot be compared: export up to a later time"},
		"two of one size":          {-1, 0, 110, 110, append(slices.Clone(file), notesOf(t, rewritten(t, random, honest, 5, 60), 60)...), 4, NotCompared{}, "have 60 entries each, and not the same"},
		"two of one size, neither": {-1, 60, 70, 110, append(slices.Clone(file), notesOf(t, rewritten(t, random, honest, 5, 30), 30)...), 1, NotCompared{Before: 3, Beyond: 1, Size: 90}, "have 30 entries each, and not the same"},
	} {
		t.Run(name, func(t *testing.T) {
			l := honest
			if test.rewritten >= 0 {
				l = rewritten(t, random, honest, test.rewritten, test.size)
			}
			newest, text := l.sign(t, l.tree(), int64(test.size))
			r := verify(t, l.export(t, int64(test.from), int64(test.to), newest, text), VerifyConfig{Key: l.signer.key.String(), Since: test.since})
			got := r.NotCompared
			if got.Beyond > 0 && !got.Signed.Equal(day.Add(time.Duration(got.Size)*time.Second)) {
				t.Errorf("the largest beyond was signed %v", got.Signed)
			}
			got.Signed = test.not.Signed
			if len(r.Since) != test.compared || got != test.not || r.Given != int64(len(test.since)) {
				t.Errorf("%+v", r)
			}
			if r.OK() != (test.finding == "") || !strings.Contains(strings.Join(r.Findings, "\n"), test.finding) {
				t.Errorf("findings %q", r.Findings)
			}
		})
	}
}

// TestTamperingSeveralOlder: whichever checkpoints of the log as it was are given, and
// wherever the export ends, a log that was rewritten with its key is found where one of
// them is about what was rewritten and exported; where the report is silent, it says
// that others were not compared.
func TestTamperingSeveralOlder(t *testing.T) {
	random := pandotest.Seeded(t)
	for range 2000 {
		size := 2 + random.IntN(40)
		honest := newLedger(t, random, size)
		sizes := make([]int64, 1+random.IntN(6))
		for i := range sizes {
			sizes[i] = int64(1 + random.IntN(size))
		}
		since := notesOf(t, honest, sizes...)
		at := random.IntN(size) // the first that is changed
		evil := rewritten(t, random, honest, at, size+random.IntN(3))
		newest, text := evil.sign(t, evil.tree(), int64(len(evil.leaves)))
		to := int64(1 + random.IntN(len(evil.leaves)))
		r := verify(t, evil.export(t, 0, to, newest, text), VerifyConfig{Since: since})
		largest := slices.Max(sizes)
		switch {
		case r.OK() && largest > int64(at) && to > int64(at):
			t.Fatalf("rewritten from %d on, exported up to %d, checkpoints of %v: it was not found", at, to, sizes)
		case r.OK() && largest > int64(at) && r.NotCompared.Size != largest:
			t.Fatalf("rewritten from %d on, exported up to %d, checkpoints of %v: nothing is said of what was not compared: %+v", at, to, sizes, r)
		}
	}
}
