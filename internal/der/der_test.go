package der

import (
	"bytes"
	encoding "encoding/asn1"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// TestHeader compares lengths at the edges of their forms with cryptobyte's.
func TestHeader(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 24} {
		content := make([]byte, n)
		b := cryptobyte.NewBuilder(nil)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(content) })
		want := b.BytesOrPanic()
		if got := Append(nil, asn1.SEQUENCE, content); !bytes.Equal(got, want) {
			t.Errorf("Append of %d octets begins with %x, want %x", n, got[:6], want[:6])
		}
		if got := Wrap(append([]byte("before"), content...), 6, asn1.SEQUENCE); !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("Wrap of %d octets begins with %x", n, got[:12])
		}
		if got := Size(n); got != len(want) {
			t.Errorf("Size(%d) = %d, want %d", n, got, len(want))
		}
		if got, ok := ReadOnly(want, asn1.SEQUENCE); !ok || len(got) != n {
			t.Errorf("ReadOnly of %d octets: %d, %t", n, len(got), ok)
		}
		if _, ok := ReadOnly(append(want, 0), asn1.SEQUENCE); ok {
			t.Errorf("ReadOnly accepts an octet after %d", n)
		}
	}
}

func TestInteger(t *testing.T) {
	for _, n := range []uint64{0, 1, 127, 128, 255, 256, 1<<31 - 1, 1 << 31, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		want, err := encoding.Marshal(new(big.Int).SetUint64(n))
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendInteger(nil, n); !bytes.Equal(got, want) {
			t.Errorf("AppendInteger(%d) = %x, want %x", n, got, want)
		}
		padded := append(make([]byte, 5), new(big.Int).SetUint64(n).Bytes()...)
		if got := AppendUnsigned(nil, padded); !bytes.Equal(got, want) {
			t.Errorf("AppendUnsigned(%x) = %x, want %x", padded, got, want)
		}
	}
}

func TestBitString(t *testing.T) {
	for _, octets := range [][]byte{{}, {1}, bytes.Repeat([]byte{0xff}, 127), bytes.Repeat([]byte{0xff}, 128)} {
		want, err := encoding.Marshal(encoding.BitString{Bytes: octets, BitLength: 8 * len(octets)})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, AppendBitString(nil, octets)); diff != "" {
			t.Errorf("%d octets (-want +got):\n%s", len(octets), diff)
		}
	}
}

func TestTags(t *testing.T) {
	if got := []asn1.Tag{Implicit(0), Implicit(2), Explicit(0), Explicit(3)}; !cmp.Equal(got, []asn1.Tag{0x80, 0x82, 0xa0, 0xa3}) {
		t.Errorf("tags %x", got)
	}
}

// TestWrapDoesNotAllocate holds what the encoders of the hot path rest on.
func TestWrapDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1024)
	content := make([]byte, 300)
	if n := testing.AllocsPerRun(100, func() {
		b := append(buf, content...)
		b = Wrap(b, 0, asn1.SEQUENCE)
		b = Wrap(b, 0, Explicit(3))
		AppendUnsigned(b, content[:20])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
