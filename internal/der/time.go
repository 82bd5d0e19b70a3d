package der

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// AppendTime appends a Time as RFC 5280, 4.1.2.5 has it: UTCTime from 1950 through
// 2049, GeneralizedTime in other years. Fractions of a second are cut off. The
// year is 0 to 9999.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 1950 || year > 2049 {
		return appendGeneralized(dst, year, month, day, t)
	}
	dst = twoDigits(append(dst, byte(asn1.UTCTime), 13), year%100)
	return appendSeconds(dst, month, day, t)
}

// AppendGeneralizedTime appends t as a GeneralizedTime in UTC, with fractions of a
// second cut off. The year is 0 to 9999.
func AppendGeneralizedTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	return appendGeneralized(dst, year, month, day, t)
}

func appendGeneralized(dst []byte, year int, month time.Month, day int, t time.Time) []byte {
	dst = twoDigits(append(dst, byte(asn1.GeneralizedTime), 15), year/100)
	return appendSeconds(twoDigits(dst, year%100), month, day, t)
}

// appendSeconds appends MMDDHHMMSSZ.
func appendSeconds(dst []byte, month time.Month, day int, t time.Time) []byte {
	hour, minute, second := t.Clock()
	for _, n := range [...]int{int(month), day, hour, minute, second} {
		dst = twoDigits(dst, n)
	}
	return append(dst, 'Z')
}

func twoDigits(dst []byte, n int) []byte {
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

// ReadTime reads a Time as RFC 5280, 4.1.2.5 demands it: UTCTime from 1950 through
// 2049 and GeneralizedTime in other years, with seconds, in UTC as "Z".
func ReadTime(s *cryptobyte.String, out *time.Time) bool {
	var text cryptobyte.String
	if s.PeekASN1Tag(asn1.UTCTime) {
		if !s.ReadASN1(&text, asn1.UTCTime) || len(text) != 13 {
			return false
		}
		year, ok := readDigits(text[:2])
		if year < 50 {
			year += 100
		}
		return ok && readSeconds(1900+year, text[2:], out)
	}
	if !s.ReadASN1(&text, asn1.GeneralizedTime) || len(text) != 15 {
		return false
	}
	century, ok1 := readDigits(text[:2])
	year, ok2 := readDigits(text[2:4])
	year += 100 * century
	return ok1 && ok2 && (year < 1950 || year > 2049) && readSeconds(year, text[4:], out)
}

// readSeconds reads MMDDHHMMSSZ.
func readSeconds(year int, text []byte, out *time.Time) bool {
	var n [5]int
	for i := range n {
		var ok bool
		if n[i], ok = readDigits(text[2*i : 2*i+2]); !ok {
			return false
		}
	}
	t := time.Date(year, time.Month(n[0]), n[1], n[2], n[3], n[4], 0, time.UTC)
	_, month, day := t.Date()
	hour, minute, second := t.Clock()
	// time.Date carries 31 April into May: what it changed was no date.
	if text[10] != 'Z' || n != [5]int{int(month), day, hour, minute, second} {
		return false
	}
	*out = t
	return true
}

// readDigits reads two decimal digits.
func readDigits(b []byte) (int, bool) {
	tens, ones := b[0]-'0', b[1]-'0'
	return 10*int(tens) + int(ones), tens <= 9 && ones <= 9
}
