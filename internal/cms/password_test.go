package cms

import (
	"bytes"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// TestOpenPasswords has several passwords, wrong ones, and what would cost much.
func TestOpenPasswords(t *testing.T) {
	one, two := pki.NewSecret("one"), pki.NewSecret("two")
	message := encrypt(t, Envelope{Content: []byte("content"), Cipher: AES128CBC}, Recipient{Password: one})
	for name, keys := range map[string][]Key{
		"right":             {{Password: one}},
		"the second":        {{Password: two}, {Password: one}},
		"with certificates": {newParty(t, pki.P256).opener(t), {Password: one}},
	} {
		if opened, err := Open(message, OpenOptions{}, keys...); err != nil || string(opened.Content) != "content" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = wantClosed(t, message, []byte("content"), Key{Password: two})

	// Recipients with passwords are tried until the iterations are spent.
	info := decode(t, message).Content.Recipients[0].FullBytes
	w := decode(t, message)
	w.Content.Recipients = append(w.Content.Recipients, asn1.RawValue{FullBytes: info}, asn1.RawValue{FullBytes: info})
	start := time.Now()
	_, err := Open(w.encode(t), OpenOptions{}, Key{Password: two})
	wantKind(t, err, pki.BadKey)
	t.Logf("two tries in %s", time.Since(start))
	iterations := der.AppendInteger(nil, PasswordIterations)
	for name, c := range map[string]struct {
		kind     pki.Kind
		from, to []byte
	}{
		"too many iterations": {pki.BadKey, iterations, der.AppendInteger(nil, 0x7fffff)},
		"no iterations":       {pki.BadKey, iterations, []byte{2, 3, 0xff, 0, 0}},
		"another derivation":  {pki.BadKey, der.MustOID(der.OIDPBKDF2), der.MustOID("1.2.840.113549.1.5.99")},
		"another function":    {pki.BadKey, der.MustOID(der.OIDHMACSHA256), der.MustOID("1.2.840.113549.2.99")},
		"another wrap":        {pki.BadKey, der.MustOID(der.OIDPWRIKEK), der.MustOID("1.2.840.113549.1.9.16.3.99")},
		"a cipher of GCM":     {pki.BadKey, der.MustOID(der.OIDAES256CBC), der.MustOID(der.OIDAES256GCM)},
	} {
		changed := bytes.Replace(message, c.from, c.to, 1)
		_, err := Open(changed, OpenOptions{}, Key{Password: one})
		if bytes.Equal(changed, message) {
			t.Errorf("%s: nothing is changed", name)
		}
		wantKind(t, err, c.kind)
	}
}
