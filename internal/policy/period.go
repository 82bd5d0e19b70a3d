package policy

import (
	"regexp"
	"strconv"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// forever is the notAfter of a certificate without expiry, RFC 5280, 4.1.2.5.
var forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// A period is a length of validity. Years, months and days go by the calendar,
// in UTC.
type period struct {
	years, months, days int
	clock               time.Duration
	unlimited           bool // to forever
}

// maxYears bounds a period; a longer one is written 99991231235959Z.
const maxYears = 100

var periodText = regexp.MustCompile(`^([1-9][0-9]{0,8})(y|mo|d|h|min|s)$`)

// parsePeriod reads a number with its unit, or 99991231235959Z.
func parsePeriod(s string) (period, error) {
	if s == "99991231235959Z" {
		return period{unlimited: true}, nil
	}
	m := periodText.FindStringSubmatch(s)
	if m == nil {
		return period{}, pki.Errorf(pki.Malformed, "a period is a number and y, mo, d, h, min or s, as 90d, or 99991231235959Z")
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return period{}, err // cannot be: at most nine digits
	}
	var p period
	perYear := 1
	switch m[2] {
	case "y":
		p.years = n
	case "mo":
		p.months, perYear = n, 12
	case "d":
		p.days, perYear = n, 366
	case "h":
		p.clock, perYear = time.Duration(n)*time.Hour, 366*24
	case "min":
		p.clock, perYear = time.Duration(n)*time.Minute, 366*24*60
	case "s":
		p.clock, perYear = time.Duration(n)*time.Second, 366*24*60*60
	}
	if n > maxYears*perYear {
		return period{}, pki.Errorf(pki.Malformed, "a period is at most %d years; no expiry is 99991231235959Z", maxYears)
	}
	return p, nil
}

// last returns the last second of the period that begins at start. Validity
// includes both ends (RFC 5280, 4.1.2.5), so a day ends one second before the
// same time of the next.
func (p period) last(start time.Time) time.Time {
	if p.unlimited {
		return forever
	}
	return start.AddDate(p.years, p.months, p.days).Add(p.clock - time.Second)
}

// A window says when a profile's certificates are valid.
type window struct {
	validity period
	backdate time.Duration
	clip     bool // end with the issuer rather than refuse
}

// at returns the window of a certificate made now under an issuer that is valid
// from issuerFrom to issuerTo; zero times do not bind. Backdating ends at
// issuerFrom, since it only makes up for clocks that are slow.
func (w window) at(now, issuerFrom, issuerTo time.Time) (notBefore, notAfter time.Time, err error) {
	now = now.UTC().Truncate(time.Second)
	if now.Before(issuerFrom) || !issuerTo.IsZero() && now.After(issuerTo) {
		return now, now, pki.Errorf(pki.PolicyRefused, "the issuer is valid from %s to %s, not now", stamp(issuerFrom), stamp(issuerTo))
	}
	notBefore = now.Add(-w.backdate)
	if notBefore.Before(issuerFrom) {
		notBefore = issuerFrom
	}
	notAfter = w.validity.last(notBefore)
	if !issuerTo.IsZero() && notAfter.After(issuerTo) {
		if !w.clip {
			return now, now, pki.Errorf(pki.PolicyRefused, "the certificate would be valid until %s and outlive its issuer, which is valid until %s", stamp(notAfter), stamp(issuerTo))
		}
		notAfter = issuerTo
	}
	if notAfter.Before(now) {
		return now, now, pki.Errorf(pki.PolicyRefused, "the certificate would have expired at %s, before it is issued", stamp(notAfter))
	}
	return notBefore, notAfter, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
