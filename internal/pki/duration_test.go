package pki_test

import (
	"math"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		text string
		want time.Duration
		back string // as it is written, where that is different
	}{
		{"30d", 30 * day, ""},
		{"12h", 12 * time.Hour, ""},
		{"2d12h", 2*day + 12*time.Hour, ""},
		{"1d1m", day + time.Minute, ""},
		{"1d0h5s", day + 5*time.Second, "1d5s"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"36h", 36 * time.Hour, "1d12h"},
		{"24h0m0s", day, "1d"},
		{"1h0m1s", time.Hour + time.Second, ""},
		{"10m", 10 * time.Minute, ""},
		{"20h", 20 * time.Hour, ""},
		{"100ms", 100 * time.Millisecond, ""},
		{"1.5h", 90 * time.Minute, "1h30m"},
		{"0s", 0, ""},
		{"0", 0, "0s"},
		{"0d", 0, "0s"},
		{"106751d", 106751 * day, ""},
	} {
		got, err := pki.ParseDuration(test.text)
		if err != nil || got != test.want {
			t.Errorf("%q is %v, %v; want %v", test.text, got, err, test.want)
		}
		if test.back == "" {
			test.back = test.text
		}
		if back := pki.FormatDuration(got); back != test.back {
			t.Errorf("%q is written %q, want %q", test.text, back, test.back)
		}
	}
	for _, text := range []string{"", "d", "30", "-1h", "+1h", "-1d", "1d-1h", "1d+1h", "1d1d", "12h2d", "1.5d", "1w", "1 d", "1d ", "106752d", "4294967295d", "99999999999999999999d", "9999999h", "soon"} {
		if got, err := pki.ParseDuration(text); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// FuzzParseDuration: what is written of a duration is read as the same.
func FuzzParseDuration(f *testing.F) {
	f.Add("2d12h", int64(0))
	f.Add("1h0m1.5s", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, text string, n int64) {
		read, err := pki.ParseDuration(text)
		for _, d := range []time.Duration{read, max(time.Duration(n), 0)} {
			if back, again := pki.ParseDuration(pki.FormatDuration(d)); again != nil || back != d {
				t.Errorf("%q, %v: %v is written %q and read %v, %v", text, err, d, pki.FormatDuration(d), back, again)
			}
		}
	})
}
