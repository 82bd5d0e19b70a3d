package der

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

func TestTime(t *testing.T) {
	east := time.FixedZone("", 2*60*60)
	for _, tt := range []struct {
		at   time.Time
		want string // text, by which the tag follows
	}{
		{time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), "500101000000Z"},
		{time.Date(1999, 12, 31, 23, 59, 59, 999, time.UTC), "991231235959Z"},
		{time.Date(2000, 2, 29, 1, 2, 3, 0, time.UTC), "000229010203Z"},
		{time.Date(2026, 7, 8, 1, 2, 3, 0, east), "260707230203Z"},
		{time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), "491231235959Z"},
		{time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC), "20500101000000Z"},
		{time.Date(1949, 12, 31, 23, 59, 59, 0, time.UTC), "19491231235959Z"},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "99991231235959Z"},
	} {
		tag := asn1.UTCTime
		if len(tt.want) == 15 {
			tag = asn1.GeneralizedTime
		}
		got := AppendTime(nil, tt.at)
		if diff := cmp.Diff(Append(nil, tag, []byte(tt.want)), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.want, diff)
		}
		var back time.Time
		s := cryptobyte.String(got)
		if !ReadTime(&s, &back) || !s.Empty() || !back.Equal(tt.at.Truncate(time.Second)) {
			t.Errorf("%s is read as %s", tt.want, back)
		}
	}
	if diff := cmp.Diff(Append(nil, asn1.GeneralizedTime, []byte("20260708010203Z")),
		AppendGeneralizedTime(nil, time.Date(2026, 7, 8, 1, 2, 3, 4, time.UTC))); diff != "" {
		t.Errorf("GeneralizedTime (-want +got):\n%s", diff)
	}
}

func TestReadTimeRefuses(t *testing.T) {
	for _, tt := range []struct {
		tag  asn1.Tag
		text string
	}{
		{asn1.UTCTime, "2601020304Z"},                // no seconds
		{asn1.UTCTime, "260102030405+0000"},          // offset
		{asn1.UTCTime, "260102030405z"},              // lower case
		{asn1.UTCTime, "260431000000Z"},              // no such day
		{asn1.UTCTime, "261301000000Z"},              // no such month
		{asn1.UTCTime, "260100000000Z"},              // no day 0
		{asn1.UTCTime, "260101240000Z"},              // no such hour
		{asn1.UTCTime, "260101000060Z"},              // leap second
		{asn1.UTCTime, "2601010000-1Z"},              // no digits
		{asn1.UTCTime, ""},                           //
		{asn1.GeneralizedTime, "20260102030405Z"},    // UTCTime has it
		{asn1.GeneralizedTime, "20500102030405.5Z"},  // fraction
		{asn1.GeneralizedTime, "20500102030405"},     // local
		{asn1.GeneralizedTime, "20500229030405Z"},    // no leap year
		{asn1.GeneralizedTime, "2050010203040Z\x00"}, // no digits
		{asn1.UTF8String, "260102030405Z"},           // no time
	} {
		var at time.Time
		s := cryptobyte.String(Append(nil, tt.tag, []byte(tt.text)))
		if ReadTime(&s, &at) {
			t.Errorf("%q is read as %s", tt.text, at)
		}
	}
}

// FuzzReadTime checks that what is read is what cryptobyte reads, and is written
// back the same.
func FuzzReadTime(f *testing.F) {
	f.Add(AppendTime(nil, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	f.Add(AppendTime(nil, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)))
	f.Fuzz(func(t *testing.T, input []byte) {
		var got, want time.Time
		s, other := cryptobyte.String(input), cryptobyte.String(input)
		if !ReadTime(&s, &got) {
			return
		}
		ok := other.PeekASN1Tag(asn1.UTCTime) && other.ReadASN1UTCTime(&want) ||
			other.PeekASN1Tag(asn1.GeneralizedTime) && other.ReadASN1GeneralizedTime(&want)
		if !ok || !got.Equal(want) {
			t.Fatalf("%q is read as %s, by cryptobyte as %s", input, got, want)
		}
		if diff := cmp.Diff(input[:len(input)-len(s)], AppendTime(nil, got)); diff != "" {
			t.Fatalf("written back (-want +got):\n%s", diff)
		}
	})
}
