package enrolauth

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"net/netip"
	"testing"
	"time"
)

// A fakeKey is a deployment's key.
type fakeKey byte

func (k fakeKey) MAC(label string, text []byte) []byte {
	sum := sha256.Sum256(append([]byte(label+string(rune(k))), text...))
	return sum[:]
}

// TestChosenHashIsKeyed: whoever has a row of a chosen secret cannot try texts without the
// deployment's key, and rows from before, which were not keyed, prove still.
func TestChosenHashIsKeyed(t *testing.T) {
	const text = "correct horse battery"
	one, other := newChosen(fakeKey(1)), newChosen(fakeKey(2))
	salt := bytes.Repeat([]byte{7}, keyedSalt)
	sum, err := one.hash(t.Context(), netip.Addr{}, "acme", text, salt)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := pbkdf2.Key(sha256.New, text, salt, rounds, sha256.Size)
	if err != nil || bytes.Equal(plain, sum) {
		t.Errorf("the hash is not keyed: %v", err)
	}
	before, err := pbkdf2.Key(sha256.New, text, salt[:16], rounds, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		under *chosen
		row   Secret
		want  bool
	}{
		"its own key":           {one, Secret{Salt: salt, Hash: sum}, true},
		"another key":           {other, Secret{Salt: salt, Hash: sum}, false},
		"a row from before":     {one, Secret{Salt: salt[:16], Hash: before}, true},
		"one that is not keyed": {one, Secret{Salt: salt, Hash: plain}, false},
	} {
		if got, err := c.under.matches(t.Context(), netip.Addr{}, "acme", &c.row, text, time.Now()); err != nil || got != c.want {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}
