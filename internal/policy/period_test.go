package policy

import (
	"testing"
	"time"
)

func TestPeriodLast(t *testing.T) {
	for _, row := range []struct{ period, start, last string }{
		{"90d", "2026-03-01T12:00:00Z", "2026-05-30T11:59:59Z"},
		{"1s", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"},
		{"2y", "2024-02-29T00:00:00Z", "2026-02-28T23:59:59Z"},
		{"4y", "2024-02-29T00:00:00Z", "2028-02-28T23:59:59Z"},
		{"20y", "2026-01-01T00:00:00Z", "2045-12-31T23:59:59Z"},
		{"1mo", "2026-02-01T00:00:00Z", "2026-02-28T23:59:59Z"},
		{"12h", "2026-03-01T12:00:00Z", "2026-03-01T23:59:59Z"},
		{"5min", "2026-03-01T12:00:00Z", "2026-03-01T12:04:59Z"},
		{"100y", "2026-03-01T12:00:00Z", "2126-03-01T11:59:59Z"},
		{"99991231235959Z", "2026-03-01T12:00:00Z", "9999-12-31T23:59:59Z"},
	} {
		p, err := parsePeriod(row.period)
		if err != nil {
			t.Fatal(err)
		}
		start, err := time.Parse(time.RFC3339, row.start)
		if err != nil {
			t.Fatal(err)
		}
		if got := stamp(p.last(start)); got != row.last {
			t.Errorf("%s from %s: last %s, want %s", row.period, row.start, got, row.last)
		}
	}
}

func TestWindow(t *testing.T) {
	day := func(d, h int) time.Time { return time.Date(2026, 3, d, h, 0, 0, 0, time.UTC) }
	const twoDays, hour = 2, time.Hour
	for name, row := range map[string]struct {
		now                   time.Time
		backdate              time.Duration
		clip                  bool
		issuerFrom, issuerTo  time.Time
		wantBefore, wantAfter time.Time // zero for a refusal
	}{
		"free":             {now: day(5, 12), wantBefore: day(5, 12), wantAfter: day(7, 12)},
		"another zone":     {now: day(5, 12).In(time.FixedZone("x", 3600)), wantBefore: day(5, 12), wantAfter: day(7, 12)},
		"fraction":         {now: day(5, 12).Add(999 * time.Millisecond), wantBefore: day(5, 12), wantAfter: day(7, 12)},
		"backdated":        {now: day(5, 12), backdate: hour, issuerFrom: day(1, 0), wantBefore: day(5, 11), wantAfter: day(7, 11)},
		"young issuer":     {now: day(5, 12), backdate: 3 * hour, issuerFrom: day(5, 11), wantBefore: day(5, 11), wantAfter: day(7, 11)},
		"just fits":        {now: day(5, 12), issuerTo: day(7, 12).Add(-time.Second), wantBefore: day(5, 12), wantAfter: day(7, 12)},
		"one second":       {now: day(5, 12), issuerTo: day(7, 12).Add(-2 * time.Second)},
		"clipped":          {now: day(5, 12), clip: true, issuerTo: day(6, 12).Add(-time.Second), wantBefore: day(5, 12), wantAfter: day(6, 12)},
		"ends in the past": {now: day(5, 12), backdate: 48 * hour},
		"before issuer":    {now: day(5, 12), issuerFrom: day(5, 13)},
		"after issuer":     {now: day(5, 12), clip: true, issuerTo: day(5, 11)},
		"at its very end":  {now: day(5, 12), clip: true, issuerTo: day(5, 12), wantBefore: day(5, 12), wantAfter: day(5, 12).Add(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			w := window{validity: period{days: twoDays}, backdate: row.backdate, clip: row.clip}
			before, after, err := w.at(row.now, row.issuerFrom, row.issuerTo)
			if row.wantBefore.IsZero() {
				if err == nil {
					t.Fatalf("%s to %s", before, after)
				}
				return
			}
			if err != nil || !before.Equal(row.wantBefore) || !after.Equal(row.wantAfter.Add(-time.Second)) {
				t.Fatalf("%s to %s, %v", before, after, err)
			}
		})
	}
}
