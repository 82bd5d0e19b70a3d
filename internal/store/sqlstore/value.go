package sqlstore

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// micros returns t as it is stored: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the reverse of micros; times are in UTC.
func fromMicros(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}

// intoTime scans a stored time into t.
type intoTime struct{ t *time.Time }

// Scan implements sql.Scanner.
func (i intoTime) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", src)
	}
	*i.t = fromMicros(v)
	return nil
}

// intoArray scans bytes of exactly its length into it, as serials and hashes.
type intoArray []byte

// Scan implements sql.Scanner.
func (a intoArray) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(a) {
		return fmt.Errorf("%d bytes are wanted and %T of %d bytes is stored", len(a), src, len(b))
	}
	copy(a, b)
	return nil
}

// intoBytes scans bytes as the driver made them for this row alone: scanned into a
// slice they would be copied once more.
type intoBytes struct{ b *[]byte }

// Scan implements sql.Scanner.
func (i intoBytes) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok {
		return fmt.Errorf("bytes are stored as %T", src)
	}
	*i.b = b
	return nil
}

// bytesOf returns b as it is stored: empty, not NULL, where it is nil.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// number returns 1 for true; both databases store it as a small integer.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// joined returns slugs, which have no commas, as one text.
func joined[S ~string](slugs []S) string {
	text := make([]string, len(slugs))
	for i, s := range slugs {
		text[i] = string(s)
	}
	return strings.Join(text, ",")
}

// split is the reverse of joined.
func split[S ~string](text string) []S {
	if text == "" {
		return nil
	}
	var all []S
	for s := range strings.SplitSeq(text, ",") {
		all = append(all, S(s))
	}
	return all
}

// orNewest returns the id before which a list goes on: one above all, which are
// base32hex, where it is to begin with the newest.
func orNewest(before string) string { return cmp.Or(before, "~") }
