package der

import (
	encoding "encoding/asn1"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

func TestOID(t *testing.T) {
	for _, tt := range []struct {
		dotted string
		oid    encoding.ObjectIdentifier
	}{
		{"0.0", encoding.ObjectIdentifier{0, 0}},
		{"1.39", encoding.ObjectIdentifier{1, 39}},
		{"2.40", encoding.ObjectIdentifier{2, 40}},
		{"2.999.1", encoding.ObjectIdentifier{2, 999, 1}},
		{"1.3.6.1.4.1.32473.1.1", encoding.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1, 1}},
		{"1.2.127.128.16383.16384.2147483647", encoding.ObjectIdentifier{1, 2, 127, 128, 16383, 16384, 2147483647}},
		{"2.2147483567", encoding.ObjectIdentifier{2, 2147483567}},
		{OIDSubjectAltName, encoding.ObjectIdentifier{2, 5, 29, 17}},
	} {
		want, err := encoding.Marshal(tt.oid)
		if err != nil {
			t.Fatal(err)
		}
		got, err := AppendOID([]byte("before"), tt.dotted)
		if err != nil {
			t.Errorf("%s: %v", tt.dotted, err)
			continue
		}
		if diff := cmp.Diff(append([]byte("before"), want...), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.dotted, diff)
		}
		var back string
		s := cryptobyte.String(want)
		if !ReadOID(&s, &back) || back != tt.dotted || !s.Empty() {
			t.Errorf("%s is read as %q", tt.dotted, back)
		}
	}
}

func TestAppendOIDRefuses(t *testing.T) {
	for _, dotted := range []string{
		"", "1", "1.", ".1", "3.1", "0.40", "1.40", "1.2.-3", "1.2.+3", "1.2.03", "1.2.3.", "1.2..3", "1.2.x",
		"1.2.2147483648", "2.2147483568", "1.2.3 ", "2.25.329800735698586629295641978511506172918",
	} {
		if got, err := AppendOID(nil, dotted); err == nil {
			t.Errorf("%q is encoded as %x", dotted, got)
		}
	}
}

func TestReadOIDRefuses(t *testing.T) {
	for name, content := range map[string]string{
		"empty":       "",
		"truncated":   "\x55\x1d\x81",
		"not minimal": "\x55\x80\x01",
		"too large":   "\x55\x88\x80\x80\x80\x00",
		"larger yet":  "\x55\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
	} {
		var dotted string
		s := cryptobyte.String(Append(nil, asn1.OBJECT_IDENTIFIER, []byte(content)))
		if ReadOID(&s, &dotted) {
			t.Errorf("%s: read as %s", name, dotted)
		}
	}
}

// FuzzReadOID has cryptobyte as the oracle, both ways.
func FuzzReadOID(f *testing.F) {
	f.Add(MustOID(OIDHardwareModuleName))
	f.Add(MustOID("2.999.2147483647"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var got string
		var want encoding.ObjectIdentifier
		s, other := cryptobyte.String(input), cryptobyte.String(input)
		ok := ReadOID(&s, &got)
		if ok != other.ReadASN1ObjectIdentifier(&want) || ok && got != want.String() {
			t.Fatalf("%x is read as %q, by cryptobyte as %s", input, got, want)
		}
		if !ok {
			return
		}
		back, err := AppendOID(nil, got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(input[:len(input)-len(s)], back); diff != "" {
			t.Fatalf("written back (-want +got):\n%s", diff)
		}
	})
}
