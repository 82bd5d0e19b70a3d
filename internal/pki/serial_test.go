package pki_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestClassOf(t *testing.T) {
	tests := []struct {
		name     string
		notAfter time.Time
		want     pki.SerialClass
	}{
		{"a day", noon.AddDate(0, 0, 1), pki.SerialShort},
		{"13 months", noon.AddDate(0, 13, 0), pki.SerialShort},
		{"a second more", noon.AddDate(0, 13, 0).Add(time.Second), pki.SerialLong},
		{"20 years", noon.AddDate(20, 0, 0), pki.SerialLong},
		{"no expiry", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), pki.SerialForever},
	}
	for _, test := range tests {
		if got := pki.ClassOf(noon, test.notAfter); got != test.want {
			t.Errorf("%s: class %#x, want %#x", test.name, got, test.want)
		}
	}
}

func TestNewSerial(t *testing.T) {
	for _, class := range []pki.SerialClass{pki.SerialShort, pki.SerialLong, pki.SerialForever} {
		var before pki.Serial
		for i := range 1000 {
			s := pki.NewSerial(class, noon.Add(time.Duration(i)*time.Millisecond))
			if s[0] != byte(class) {
				t.Fatalf("serial %s is not of class %#x", s, class)
			}
			if bytes.Compare(before[:], s[:]) >= 0 {
				t.Fatalf("serial %s of the next millisecond is below %s", s, before)
			}
			before = s
		}
	}
	// Of one millisecond they differ, in the 104 bits alone.
	a, b := pki.NewSerial(pki.SerialLong, noon), pki.NewSerial(pki.SerialLong, noon)
	if !bytes.Equal(a[:7], b[:7]) || bytes.Equal(a[7:], b[7:]) {
		t.Errorf("two serials of one moment: %s, %s", a, b)
	}
	a, b = pki.NewSerial(pki.SerialRandom, noon), pki.NewSerial(pki.SerialRandom, noon)
	if a[0] != byte(pki.SerialRandom) || bytes.Equal(a[1:7], b[1:7]) {
		t.Errorf("two random serials of one moment: %s, %s", a, b)
	}
	// RFC 5280, 4.1.2.2: positive, 20 octets at most. A first octet below 0x80
	// needs no octet more.
	if a[0] >= 0x80 || len(a.Bytes()) != 20 {
		t.Errorf("%s is negative or too long as a DER INTEGER", a)
	}
}

func TestShard(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 2, 7, 64, 4096} {
		hit := make(map[int]bool)
		for range 20 * max(n, 1) {
			s := pki.NewSerial(pki.SerialLong, noon)
			shard := s.Shard(n)
			if shard < 0 || shard >= max(n, 1) {
				t.Fatalf("shard %d of %d", shard, n)
			}
			if other := (pki.Serial{16: s[16], 17: s[17], 18: s[18], 19: s[19]}); other.Shard(n) != shard {
				t.Fatalf("the shard of %s depends on more than its last random bits", s)
			}
			hit[shard] = true
		}
		if len(hit) < max(n, 1)*9/10 {
			t.Errorf("of %d shards %d have certificates", n, len(hit))
		}
	}
	if got := (pki.Serial{16: 0xff, 17: 0xff, 18: 0xff, 19: 0xff}).Shard(1000); got != 0xffffffff%1000 {
		t.Errorf("the largest shard number is %d", got)
	}
}

func TestParseSerial(t *testing.T) {
	tests := []struct {
		text, want string // "" is a refusal
	}{
		{"01", "01"},
		{"1", "01"},
		{"abc", "0abc"},
		{"0000ff", "ff"},
		{"42AbCd", "42abcd"},
		{strings.Repeat("7f", 20), strings.Repeat("7f", 20)},
		{"00" + strings.Repeat("7f", 20), strings.Repeat("7f", 20)},
		{strings.Repeat("7f", 21), ""},
		{"", ""},
		{"0", ""},
		{"0000", ""},
		{"-1", ""},
		{"0x12", "12"},
		{"0X1ab", "01ab"},
		{"12:34", "1234"},
		{"42:AB:0c:" + strings.Repeat("7f:", 16) + "01", "42ab0c" + strings.Repeat("7f", 16) + "01"},
		{"0x", ""},
		{"0x0x12", ""},
		{"0x12:34", ""},
		{"12:", ""},
		{":12", ""},
		{"12:345", ""},
		{"12:3:45", ""},
		{"1:2", ""},
		{"12::34", ""},
		{" 12", ""},
		{strings.Repeat("z", 1<<16), ""},
	}
	for _, test := range tests {
		s, err := pki.ParseSerial(test.text)
		if test.want == "" {
			if pki.KindOf(err) != pki.Malformed || len(pki.DetailOf(err)) > 200 {
				t.Errorf("%.30q: %v, want a short refusal", test.text, err)
			}
			continue
		}
		if err != nil || s.String() != test.want {
			t.Errorf("%.30q: %s, %v, want %s", test.text, s, err, test.want)
		}
	}
	if got := (pki.Serial{}).Bytes(); !bytes.Equal(got, []byte{0}) {
		t.Errorf("the zero serial has octets %x", got)
	}
}

func FuzzParseSerial(f *testing.F) {
	for _, text := range []string{"", "0", "1", "4201a2033b8b9798df1246fa99863cfa4fc1d154", strings.Repeat("f", 41)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := pki.ParseSerial(text)
		if err != nil {
			if pki.KindOf(err) != pki.Malformed {
				t.Errorf("kind %s", pki.KindOf(err))
			}
			return
		}
		again, err := pki.ParseSerial(s.String())
		if diff := cmp.Diff(s, again); diff != "" || err != nil {
			t.Errorf("%q does not come back: %v %s", text, err, diff)
		}
		octets, err := pki.SerialFromBytes(s.Bytes())
		if diff := cmp.Diff(s, octets); diff != "" || err != nil {
			t.Errorf("the octets of %q do not come back: %v %s", text, err, diff)
		}
	})
}

func FuzzSerialFromBytes(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{0, 0x80})
	f.Add(bytes.Repeat([]byte{0xff}, 21))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := pki.SerialFromBytes(b)
		if significant := bytes.TrimLeft(b, "\x00"); err == nil && !bytes.Equal(s.Bytes(), significant) {
			t.Errorf("%x became %x", significant, s.Bytes())
		} else if ok := len(significant) > 0 && len(significant) <= 20; ok != (err == nil) {
			t.Errorf("%x: %v", b, err)
		}
	})
}
