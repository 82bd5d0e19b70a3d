package batch

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/archive"
	"github.com/pando-pki/pando/internal/pki"
)

func TestFileName(t *testing.T) {
	taken := archive.NewNames()
	for _, c := range []struct {
		device pki.DeviceID
		row    int64
		want   string
		pair   bool
	}{
		{"SM-1", 1, "SM-1.pem", false},
		{"SM-1", 2, "SM-1~2.pem", false},
		{"sm-1", 3, "sm-1~3.pem", false}, // one file where capitals do not count
		{"a/b\\c:d", 4, "a%2Fb%5Cc%3Ad.pem", false},
		{"50% ~x", 5, "50%25 %7Ex.pem", false},
		{"..", 6, "%2E..pem", false},
		{"-rf", 7, "%2Drf.pem", false},
		{"nul", 8, "%6Eul.pem", false},
		{"COM1.x", 9, "%43OM1.x.pem", false},
		{"COMET", 10, "COMET.pem", false},
		{"", 11, "~11.pem", false},
		{pki.DeviceID(strings.Repeat("/", 128)), 12, "~12.pem", false},
		{pki.DeviceID(strings.Repeat("x", 128)), 13, strings.Repeat("x", 128) + ".pem", false},
		{"GB-1", 15, "GB-1.pem", true},
		{"GB-1", 16, "GB-1.pair.pem", true},
		{"GB-1.pair", 17, "GB-1.pair~17.pem", true},
		{"", 18, "~18.pem", true},
	} {
		r := Result{Row: c.row, Device: c.device}
		if c.pair {
			r.PairRow = other(c.row)
		}
		if got := fileName(&r, taken); got != c.want {
			t.Errorf("%q: %q, want %q", c.device, got, c.want)
		}
	}
}

// FuzzEncodeName: an id is had again from its file's name, which no system refuses.
func FuzzEncodeName(f *testing.F) {
	f.Add("SM-1")
	f.Add("../LPT1:")
	f.Fuzz(func(t *testing.T, id string) {
		if pki.CheckDevice(pki.DeviceID(id)) != nil {
			return
		}
		name := encodeName(id)
		if back, err := url.PathUnescape(name); err != nil || back != id {
			t.Errorf("%q: %q is read as %q, %v", id, name, back, err)
		}
		if strings.ContainsAny(name, `/\:*?"<>|~`) || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || reserved(name) {
			t.Errorf("%q: %q", id, name)
		}
	})
}
