package cms

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

func TestToDER(t *testing.T) {
	for name, c := range map[string]struct{ ber, der string }{
		"DER":                          {"3005 020101 0500", "3005 020101 0500"},
		"indefinite":                   {"3080 020101 0500 0000", "3005 020101 0500"},
		"nested":                       {"3080 a080 3080 0000 0000 0000", "3004 a002 3000"},
		"long form":                    {"308105 02820001 01", "3003 020101"},
		"leading zeros of a length":    {"3084000000 03 020101", "3003 020101"},
		"a string in pieces":           {"2480 0402aabb 0401cc 0400 0000", "0403 aabbcc"},
		"in definite pieces":           {"2405 0401aa 0400", "0401 aa"},
		"in pieces in pieces":          {"2480 2480 0401aa 0000 2403 0401bb 0000", "0402 aabb"},
		"an empty string in no pieces": {"2480 0000", "0400"},
		"implicit tags stay":           {"a080 0401aa 2480 0401bb 0000 0000", "a006 0401aa 0401bb"},
	} {
		got, ok := toDER(unhex(c.ber))
		if !ok || !bytes.Equal(got, unhex(c.der)) {
			t.Errorf("%s: %x, %t", name, got, ok)
		}
	}
}

// TestToDERLengths has contents at the edges where a header's length was guessed
// wrong in either way.
func TestToDERLengths(t *testing.T) {
	for _, n := range []int{0, 1, 120, 127, 128, 250, 255, 256, 65530, 65535, 65536} {
		content := bytes.Repeat([]byte{7}, n)
		var pieces []byte
		for _, b := range content {
			pieces = append(pieces, 4, 1, b)
		}
		ber := append(append([]byte{0x30, 0x80, 0x24, 0x80}, pieces...), 0, 0, 0, 0)
		got, ok := toDER(ber)
		checkDER(t, got)
		again, _ := toDER(toBER(got))
		if !ok || !bytes.HasSuffix(got, content) || !bytes.Equal(got, again) {
			t.Errorf("%d octets: %t, %x...", n, ok, got[:min(len(got), 12)])
		}
	}
}

func TestToDERRefuses(t *testing.T) {
	for name, ber := range map[string]string{
		"empty":                    "",
		"one octet":                "30",
		"no content":               "3001",
		"no end":                   "3080 020101",
		"half an end":              "3080 020101 00",
		"end in a definite length": "3002 0000",
		"end alone":                "0000",
		"primitive, indefinite":    "0480 0000",
		"trailing octet":           "3000 00",
		"a tag above 30":           "3f8100 00",
		"length without octets":    "3082 01",
		"length of nine octets":    "3089 000000000000000003 020101",
		"length of 2^63":           "3088 ffffffffffffffff 020101",
		"a piece is no string":     "2480 020101 0000",
		"a piece beyond its whole": "3005 2480 0402aabb 0000",
	} {
		if got, ok := toDER(unhex(ber)); ok {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// TestBombs has messages whose nesting or pieces would cost much where they are read
// naively: they are refused, or read with memory in proportion to their size.
func TestBombs(t *testing.T) {
	deep := bytes.Repeat([]byte{0x30, 0x80}, 1<<20)
	strings := bytes.Repeat([]byte{0x24, 0x80}, 1<<20)
	empty := append(append([]byte{0x30, 0x80, 0x24, 0x80}, bytes.Repeat([]byte{4, 0}, 1<<20)...), 0, 0, 0, 0)
	for name, message := range map[string][]byte{
		"nested":             deep,
		"nested and closed":  append(bytes.Clone(deep), make([]byte, len(deep))...),
		"strings in strings": append(append([]byte{0x30, 0x80}, strings...), 0, 0),
		"empty pieces":       empty,
		"nested to the limit": append(append(bytes.Repeat([]byte{0x30, 0x80}, maxDepth-1), append([]byte{4, 0x83, 0x20, 0, 0}, make([]byte, 0x200000)...)...),
			make([]byte, 2*(maxDepth-1))...),
		"too large": make([]byte, maxSize+1),
	} {
		before := allocated()
		_, err := ParseSigned(message)
		wantKind(t, err, pki.Malformed)
		_, err = Open(message, OpenOptions{})
		wantKind(t, err, pki.Malformed)
		if got := allocated() - before; got > uint64(2*len(message)+1<<16) {
			t.Errorf("%s: %d octets allocated for a message of %d", name, got, len(message))
		}
	}
}

// FuzzToDER checks that what comes out is read the same again, is hardly
// longer than the message, and, where it is DER, is the same.
func FuzzToDER(f *testing.F) {
	party := newParty(f, pki.P256)
	message, err := Sign(Message{Content: []byte("content")}, Signer{Key: party.signer(), Certificate: party.certificate})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Add(toBER(message))
	f.Add(unhex("3080 2480 0402aabb 2403 0401bb 0000 a080 0401aa 0000 0000"))
	f.Fuzz(func(t *testing.T, message []byte) {
		der, ok := toDER(message)
		if !ok {
			return
		}
		if len(der) > len(message)+growth(len(message)) {
			t.Fatalf("%d octets of %d", len(der), len(message))
		}
		again, ok := toDER(der)
		if diff := cmp.Diff(der, again); !ok || diff != "" || len(der) > 0 && &der[0] != &again[0] {
			t.Fatalf("read again: %t\n%s", ok, diff)
		}
	})
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		panic(err)
	}
	return b
}

// TestGrowth has the messages that grow most: deep indefinite lengths around contents of
// 64 KiB.
func TestGrowth(t *testing.T) {
	one := append([]byte{4, 0x83, 1, 0, 0}, make([]byte, 1<<16)...)
	for range maxDepth - 2 {
		one = append(append([]byte{0x30, 0x80}, one...), 0, 0)
	}
	message := append(append([]byte{0x30, 0x80}, bytes.Repeat(one, 20)...), 0, 0)
	before := allocated()
	der, ok := toDER(message)
	if got := allocated() - before; !ok || len(der) <= len(message) || len(der) > len(message)+growth(len(message)) || got > uint64(len(message)+2*growth(len(message))+1<<14) {
		t.Errorf("%t: %d octets of %d, %d allocated", ok, len(der), len(message), got)
	}
}
