package cms

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"testing"

	"github.com/google/go-cmp/cmp"
	tags "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// TestOpenHasOneError holds what Bleichenbacher, Manger and Vaudenay need and do not get:
// whatever is wrong with a key or with content that CBC protects, the error is one.
func TestOpenHasOneError(t *testing.T) {
	p, ec := newParty(t, pki.RSA2048), newParty(t, pki.P256)
	pub := &p.key.(*rsa.PrivateKey).PublicKey
	pkcs1 := func(b []byte) []byte {
		//lint:ignore SA1019 clients of CMS know nothing else (RFC 3370, 4.2.1)
		encrypted, err := rsa.EncryptPKCS1v15(rand.Reader, pub, b)
		if err != nil {
			t.Fatal(err)
		}
		return encrypted
	}
	message := encrypt(t, Envelope{Content: []byte("content"), Cipher: AES256CBC}, Recipient{Certificate: p.certificate})
	oaep := encrypt(t, Envelope{Content: []byte("content"), Cipher: AES256CBC}, Recipient{Certificate: p.certificate, OAEP: true})
	gcm := encrypt(t, Envelope{Content: []byte("content"), Cipher: AES256GCM}, Recipient{Certificate: p.certificate})
	agreed := encrypt(t, Envelope{Content: []byte("content"), Cipher: AES256CBC}, Recipient{Certificate: ec.certificate})
	replace := func(message, encrypted []byte) []byte {
		w := decode(t, message)
		r := w.Content.Recipients[0].FullBytes
		copy(r[len(r)-256:], encrypted)
		return w.encode(t)
	}
	sealed := func(message []byte, change func(b []byte) []byte) []byte {
		w := decode(t, message)
		c := &w.Content.Encrypted.Content
		*c = asn1.RawValue{FullBytes: der.Append(nil, der.Implicit(0), change(bytes.Clone(c.Bytes)))}
		return w.encode(t)
	}
	flip := func(i int) func([]byte) []byte {
		return func(b []byte) []byte { b[(i+len(b))%len(b)] ^= 0x80; return b }
	}
	// One key in 256 makes sense of the padding: then another is taken.
	another := replace(message, pkcs1(make([]byte, 32)))
	for i := range byte(20) {
		if _, err := Open(another, OpenOptions{}, p.opener(t), ec.opener(t)); err != nil {
			break
		}
		another = replace(message, pkcs1(bytes.Repeat([]byte{i + 1}, 32)))
	}
	var want string
	for name, m := range map[string][]byte{
		"padding of PKCS #1":      replace(message, make([]byte, 256)),
		"above the modulus":       replace(message, bytes.Repeat([]byte{0xff}, 256)),
		"a key of another length": replace(message, pkcs1(make([]byte, 16))),
		"a key of no length":      replace(message, pkcs1(nil)),
		"another key":             another,
		"OAEP":                    replace(oaep, pkcs1(make([]byte, 32))),
		"PKCS #1 for OAEP":        replace(oaep, make([]byte, 256)),
		"GCM, another key":        replace(gcm, pkcs1(make([]byte, 32))),
		"GCM, content":            sealed(gcm, flip(0)),
		"GCM, no content":         sealed(gcm, func([]byte) []byte { return nil }),
		"agreement, another key":  bytes.Replace(agreed, keyOf(t, agreed), make([]byte, 40), 1),
		"agreement, no point":     bytes.Replace(agreed, []byte{3, 0x42, 0, 4}, []byte{3, 0x42, 0, 7}, 1),
		"content not of blocks":   sealed(message, func(b []byte) []byte { return b[1:] }),
		"no blocks":               sealed(message, func([]byte) []byte { return nil }),
		"padding of zero":         paddedWith(t, p, 0),
		"padding of 17":           paddedWith(t, p, 17),
		"padding of 255":          paddedWith(t, p, 255),
		"padding that differs":    paddedWith(t, p, 2),
	} {
		err := wantClosed(t, m, []byte("content"), p.opener(t), ec.opener(t))
		if want == "" {
			want = err.Error()
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		// A key in hardware, which says what is wrong, tells no more.
		_, err = Open(m, OpenOptions{}, Key{Certificate: p.certificate, Decrypter: token{p.key.(*rsa.PrivateKey)}}, ec.opener(t))
		if err != nil && err.Error() != want {
			t.Errorf("%s, in hardware: %v", name, err)
		}
	}
}

// keyOf returns the encrypted key at the end of the one recipient.
func keyOf(t testing.TB, message []byte) []byte {
	t.Helper()
	r := decode(t, message).Content.Recipients[0].FullBytes
	return r[len(r)-40:]
}

// paddedWith returns a message whose last octet of padding is n, the ones before being 1.
func paddedWith(t testing.TB, p testParty, n byte) []byte {
	t.Helper()
	key := newSecret(32)
	info, err := (&Recipient{Certificate: p.certificate}).info(key)
	if err != nil {
		t.Fatal(err)
	}
	// Content of a block whose end stands for padding, and the block of padding cut off.
	content := append(bytes.Repeat([]byte{1}, 15), n)
	algorithm, sealed, _, err := AES256CBC.seal(key, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	return envelopeOf(info, algorithm, sealed[:16])
}

// envelopeOf puts an EnvelopedData together.
func envelopeOf(infos, algorithm, sealed []byte) []byte {
	encrypted := append(der.MustOID(der.OIDData), algorithm...)
	encrypted = der.Append(encrypted, der.Implicit(0), sealed)
	b := der.AppendInteger(nil, 0)
	b = der.Append(b, tags.SET, infos)
	b = der.Append(b, tags.SEQUENCE, encrypted)
	return newContentInfo(der.OIDEnvelopedData, b)
}
