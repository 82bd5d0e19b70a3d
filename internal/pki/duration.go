package pki

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration reads a length of time as people write one, for flags and the
// configuration file: days of 24 hours before what Go's time.ParseDuration reads, as
// 30d, 12h, 2d12h or 90m. It is not below zero.
func ParseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 32)
	var clock time.Duration
	if err == nil && (rest != "" || !found) {
		clock, err = time.ParseDuration(rest)
	}
	if err != nil || clock < 0 || strings.ContainsAny(rest, "+-") || time.Duration(n) > (math.MaxInt64-clock)/day {
		return 0, Errorf(Malformed, "%.40q: write a time as 30d, 12h, 2d12h or 90m", text)
	}
	return time.Duration(n)*day + clock, nil
}

// FormatDuration writes a duration as ParseDuration reads it, without units of which
// there are none.
func FormatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + FormatDuration(-d)
	}
	text := d.String()
	if d >= day {
		text = fmt.Sprintf("%dd%s", d/day, d%day)
	}
	for _, none := range []string{"m0s", "h0m", "d0s"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-len(none)+1]
		}
	}
	return text
}
