package cms

import (
	"bytes"
	"crypto/cipher"
	"crypto/des"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// wireEnvelope is an envelope as encoding/asn1 reads and writes it, to be changed.
type wireEnvelope struct {
	Type    asn1.ObjectIdentifier
	Content struct {
		Version    int
		Recipients []asn1.RawValue `asn1:"set"`
		Encrypted  struct {
			Type      asn1.ObjectIdentifier
			Algorithm struct {
				OID        asn1.ObjectIdentifier
				Parameters asn1.RawValue `asn1:"optional"`
			}
			Content asn1.RawValue `asn1:"optional,tag:0"`
		}
		Attributes asn1.RawValue `asn1:"optional,tag:1"`
		MAC        []byte        `asn1:"optional"`
	} `asn1:"explicit,tag:0"`
}

func decode(t testing.TB, message []byte) (w wireEnvelope) {
	t.Helper()
	if rest, err := asn1.Unmarshal(message, &w); err != nil || len(rest) > 0 {
		t.Fatalf("%v, %d octets left", err, len(rest))
	}
	return w
}

func (w wireEnvelope) encode(t testing.TB) []byte {
	t.Helper()
	message, err := asn1.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func oidOf(t testing.TB, dotted string) (oid asn1.ObjectIdentifier) {
	t.Helper()
	if _, err := asn1.Unmarshal(der.MustOID(dotted), &oid); err != nil {
		t.Fatal(err)
	}
	return oid
}

// TestOpenRefuses has messages that are well-formed and cannot be opened, for what all can
// see of them.
func TestOpenRefuses(t *testing.T) {
	p, ec, other := newParty(t, pki.RSA2048), newParty(t, pki.P256), newParty(t, pki.P256)
	content := []byte("content")
	cbc := encrypt(t, Envelope{Content: content, Cipher: AES128CBC}, Recipient{Certificate: p.certificate})
	gcm := encrypt(t, Envelope{Content: content, Cipher: AES128GCM}, Recipient{Certificate: p.certificate})
	agreed := encrypt(t, Envelope{Content: content, Cipher: AES128CBC}, Recipient{Certificate: ec.certificate})
	typed := encrypt(t, Envelope{ContentType: der.OIDSignedData, Content: content, Cipher: AES128GCM}, Recipient{Certificate: p.certificate})
	edit := func(message []byte, change func(*wireEnvelope)) []byte {
		w := decode(t, message)
		change(&w)
		return w.encode(t)
	}
	algorithm := func(oid string) func(*wireEnvelope) {
		return func(w *wireEnvelope) { w.Content.Encrypted.Algorithm.OID = oidOf(t, oid) }
	}
	parameters := func(b []byte) func(*wireEnvelope) {
		return func(w *wireEnvelope) { w.Content.Encrypted.Algorithm.Parameters = asn1.RawValue{FullBytes: b} }
	}
	recipient := func(from, to []byte) func(*wireEnvelope) {
		return func(w *wireEnvelope) {
			r := &w.Content.Recipients[0].FullBytes
			if *r = bytes.Replace(*r, from, to, 1); !bytes.Contains(*r, to) {
				t.Fatalf("%x is not there", from)
			}
		}
	}
	gcmParameters := func(nonce, tag int) []byte {
		b := der.Append(nil, tags.OCTET_STRING, make([]byte, nonce))
		return der.Append(nil, tags.SEQUENCE, der.AppendInteger(b, uint64(tag)))
	}
	for name, c := range map[string]struct {
		kind    pki.Kind
		message []byte
	}{
		"for somebody else":        {pki.BadProof, encrypt(t, Envelope{Cipher: AES128CBC}, Recipient{Certificate: other.certificate})},
		"for a password":           {pki.BadProof, encrypt(t, Envelope{Cipher: AES128CBC}, Recipient{Password: pki.NewSecret("x")})},
		"signed":                   {pki.Malformed, sign(t, Message{}, Signer{Key: p.signer(), Certificate: p.certificate})},
		"unknown cipher":           {pki.BadKey, edit(cbc, algorithm("1.2.3.4"))},
		"3DES":                     {pki.BadKey, edit(edit(cbc, algorithm(der.OIDTripleDESCBC)), parameters(der.Append(nil, tags.OCTET_STRING, make([]byte, 8))))},
		"GCM that is not":          {pki.BadKey, edit(cbc, func(w *wireEnvelope) { w.Type = oidOf(t, der.OIDAuthEnvelopedData); w.Content.MAC = make([]byte, 16) })},
		"no vector":                {pki.Malformed, edit(cbc, parameters([]byte{5, 0}))},
		"short vector":             {pki.Malformed, edit(cbc, parameters(der.Append(nil, tags.OCTET_STRING, make([]byte, 8))))},
		"GCM without parameters":   {pki.Malformed, edit(gcm, parameters([]byte{5, 0}))},
		"GCM with a long nonce":    {pki.BadKey, edit(gcm, parameters(gcmParameters(16, 16)))},
		"GCM with another tag":     {pki.BadKey, edit(gcm, parameters(gcmParameters(12, 12)))},
		"GCM with a short tag":     {pki.BadKey, edit(edit(gcm, parameters(gcmParameters(12, 8))), func(w *wireEnvelope) { w.Content.MAC = make([]byte, 8) })},
		"no content":               {pki.Malformed, edit(cbc, func(w *wireEnvelope) { w.Content.Encrypted.Content = asn1.RawValue{} })},
		"type without attributes":  {pki.Malformed, edit(typed, func(w *wireEnvelope) { w.Content.Attributes = asn1.RawValue{} })},
		"type of the attributes":   {pki.Malformed, edit(typed, func(w *wireEnvelope) { w.Content.Encrypted.Type = oidOf(t, der.OIDData) })},
		"attributes are none":      {pki.Malformed, edit(typed, func(w *wireEnvelope) { w.Content.Attributes.FullBytes = []byte{0xa1, 2, 5, 0} })},
		"RSA algorithm":            {pki.BadKey, edit(cbc, recipient(rsaEncryption, identifier("1.2.840.113549.1.1.99", asn1Null)))},
		"RSA parameters":           {pki.Malformed, edit(cbc, recipient(rsaEncryption, identifier(der.OIDRSA, "\x04\x00")))},
		"OAEP without parameters":  {pki.BadKey, edit(cbc, recipient(rsaEncryption, identifier(der.OIDRSAOAEP, asn1Null)))},
		"agreement by another KDF": {pki.BadKey, edit(agreed, recipient(der.MustOID(der.OIDECDHSHA256), der.MustOID("1.3.132.1.11.9")))},
		"agreement with SHA-1":     {pki.BadKey, encryptLegacy(t, ec)},
		"another wrap":             {pki.BadKey, edit(agreed, recipient(der.MustOID(der.OIDAES128Wrap), der.MustOID(der.OIDAES128CBC)))},
		"key of another kind":      {pki.BadKey, edit(agreed, recipient(der.MustOID(der.OIDECPublicKey), der.MustOID("1.2.840.10045.2.9")))},
		"a static originator":      {pki.BadKey, edit(agreed, staticOriginator)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(c.message, OpenOptions{}, p.opener(t), ec.opener(t))
			wantKind(t, err, c.kind)
		})
	}
	for name, k := range map[string]Key{
		"no private key":     {Certificate: p.certificate},
		"of the wrong kind":  {Certificate: p.certificate, Agreer: ec.opener(t).Agreer},
		"no certificate":     {Decrypter: p.opener(t).Decrypter},
		"a certificate only": {Certificate: ec.certificate},
	} {
		for _, message := range [][]byte{cbc, agreed} {
			if _, err := Open(message, OpenOptions{}, k); err == nil {
				t.Errorf("%s opens", name)
			}
		}
	}
	if _, err := Open(cbc, OpenOptions{}); pki.KindOf(err) != pki.BadProof {
		t.Errorf("without a key: %v", err)
	}
}

// encryptLegacy returns a message with a key agreement by SHA-1, as OpenSSL's defaults make
// it.
func encryptLegacy(t testing.TB, p testParty) []byte {
	t.Helper()
	w := decode(t, encrypt(t, Envelope{Cipher: AES128CBC}, Recipient{Certificate: p.certificate}))
	r := w.Content.Recipients[0].FullBytes
	scheme := der.MustOID(der.OIDECDHSHA256)
	at := bytes.Index(r, scheme)
	algorithm := append(der.MustOID(der.OIDECDHSHA1), r[at+len(scheme):at+len(scheme)+13]...)
	content, _ := der.ReadOnly(r, der.Explicit(1))
	in := bytes.Index(content, scheme) - 2
	changed := append([]byte(nil), content[:in]...)
	changed = der.Append(changed, tags.SEQUENCE, algorithm)
	changed = append(changed, content[in+2+len(scheme)+13:]...)
	w.Content.Recipients[0].FullBytes = der.Append(nil, der.Explicit(1), changed)
	return w.encode(t)
}

// staticOriginator names the originator by a key identifier.
func staticOriginator(w *wireEnvelope) {
	content, _ := der.ReadOnly(w.Content.Recipients[0].FullBytes, der.Explicit(1))
	version, rest := content[:3], content[3:]
	if !rest.SkipASN1(der.Explicit(0)) {
		panic("no originator after the version")
	}
	changed := append([]byte(nil), version...)
	changed = der.Append(changed, der.Explicit(0), der.Append(nil, der.Implicit(0), []byte("a key")))
	changed = append(changed, rest...)
	w.Content.Recipients[0].FullBytes = der.Append(nil, der.Explicit(1), changed)
}

// oldCiphers are those of old clients.
var oldCiphers = map[string]struct {
	oid   string
	size  int
	block func([]byte) (cipher.Block, error)
}{"3des": {der.OIDTripleDESCBC, 24, des.NewTripleDESCipher}, "des": {der.OIDDESCBC, 8, des.NewCipher}}

// encryptOld returns a message by an old client's cipher, to an RSA key by OAEP.
func encryptOld(t testing.TB, p testParty, by string, content []byte) []byte {
	t.Helper()
	c := oldCiphers[by]
	key := newSecret(c.size)
	info, err := (&Recipient{Certificate: p.certificate, OAEP: true}).info(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := c.block(key)
	if err != nil {
		t.Fatal(err)
	}
	pad := 8 - len(content)%8
	iv, sealed := make([]byte, 8), append(bytes.Clone(content), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
	return envelopeOf(info, identifier(c.oid, string(der.Append(nil, tags.OCTET_STRING, iv))), sealed)
}

// TestOpenLegacy opens 3DES and DES, for those alone who take them.
func TestOpenLegacy(t *testing.T) {
	p := newParty(t, pki.RSA2048)
	for name := range oldCiphers {
		message := encryptOld(t, p, name, []byte("content"))
		opened, err := Open(message, OpenOptions{Legacy: true}, p.opener(t))
		if err != nil || string(opened.Content) != "content" || opened.Cipher != 0 {
			t.Errorf("%s: %+v, %v", name, opened, err)
		}
		_, err = Open(message, OpenOptions{}, p.opener(t))
		wantKind(t, err, pki.BadKey)
	}
}

// TestOpenBounds has recipients without number, in both ways to have them.
func TestOpenBounds(t *testing.T) {
	ec := newParty(t, pki.P256)
	message := encrypt(t, Envelope{Cipher: AES128CBC}, Recipient{Certificate: ec.certificate})
	w := decode(t, message)
	info := w.Content.Recipients[0]
	for len(w.Content.Recipients) < maxRecipients {
		w.Content.Recipients = append(w.Content.Recipients, info)
	}
	if _, err := Open(w.encode(t), OpenOptions{}, ec.opener(t)); err != nil {
		t.Error(err)
	}
	w.Content.Recipients = append(w.Content.Recipients, info)
	_, err := Open(w.encode(t), OpenOptions{}, ec.opener(t))
	wantKind(t, err, pki.Malformed)

	content, _ := der.ReadOnly(info.FullBytes, der.Explicit(1))
	keys := bytes.LastIndex(content, []byte{0x30})
	for content[keys+1] != byte(len(content)-keys-2) || content[keys] != 0x30 {
		keys = bytes.LastIndex(content[:keys], []byte{0x30})
	}
	var one []byte
	s := content[keys:]
	s.ReadASN1((*cryptobyte.String)(&one), tags.SEQUENCE)
	changed := append([]byte(nil), content[:keys]...)
	changed = der.Append(changed, tags.SEQUENCE, bytes.Repeat(one, maxRecipients+1))
	w.Content.Recipients = []asn1.RawValue{{FullBytes: der.Append(nil, der.Explicit(1), changed)}}
	_, err = Open(w.encode(t), OpenOptions{}, ec.opener(t))
	wantKind(t, err, pki.Malformed)
}

// TestPieces has content in pieces: a million empty ones, or ones of one octet. It takes
// memory in proportion to the message.
func TestPieces(t *testing.T) {
	p := newParty(t, pki.P256)
	const size = 1 << 20
	message := encrypt(t, Envelope{Content: make([]byte, size), Cipher: AES128CBC}, Recipient{Certificate: p.certificate})
	w := decode(t, message)
	sealed := w.Content.Encrypted.Content.Bytes
	pieces := bytes.Repeat([]byte{4, 0}, size)
	for _, b := range sealed {
		pieces = append(pieces, 4, 1, b)
	}
	w.Content.Encrypted.Content = asn1.RawValue{FullBytes: der.Append(nil, der.Explicit(0), pieces)}
	message = w.encode(t)
	k := p.opener(t)
	before := allocated()
	opened, err := Open(message, OpenOptions{}, k)
	if err != nil || !bytes.Equal(opened.Content, make([]byte, size)) {
		t.Fatal(err)
	}
	if got := allocated() - before; got > uint64(2*len(message)) {
		t.Errorf("%d octets allocated for a message of %d", got, len(message))
	}
}

// FuzzOpen opens whatever comes with keys of each kind: with an error of a kind that a
// message may cause, or content.
func FuzzOpen(f *testing.F) {
	password := pki.NewSecret("password")
	var keys []Key
	for _, kind := range []pki.KeyKind{rsa1024, pki.P256, x25519} {
		p := newParty(f, kind)
		keys = append(keys, p.opener(f))
		for _, cipher := range []Cipher{AES128CBC, AES256GCM} {
			for _, keyID := range []bool{false, true} {
				message := encrypt(f, Envelope{ContentType: der.OIDSignedData, Content: []byte("content"), Cipher: cipher}, Recipient{Certificate: p.certificate, KeyID: keyID, OAEP: keyID})
				f.Add(message)
				f.Add(toBER(message))
			}
		}
	}
	f.Add(encrypt(f, Envelope{Content: []byte("content"), Cipher: AES128CBC}, Recipient{Password: password}))
	keys = append(keys, Key{Password: password})
	f.Fuzz(func(t *testing.T, message []byte) {
		_, err := Open(message, OpenOptions{Legacy: true}, keys...)
		if k := pki.KindOf(err); err != nil && k != pki.Malformed && k != pki.BadKey && k != pki.BadProof {
			t.Fatal(err)
		}
	})
}

// TestLowOrder has a point of X25519 with which every key agrees on zero.
func TestLowOrder(t *testing.T) {
	p := newParty(t, x25519)
	message := encrypt(t, Envelope{Cipher: AES128CBC}, Recipient{Certificate: p.certificate})
	e, err := parseEnvelope(message)
	if err != nil {
		t.Fatal(err)
	}
	_ = wantClosed(t, bytes.Replace(message, e.recipients[0].point, make([]byte, 32), 1), nil, p.opener(t))
	if _, err := ecdh.X25519().NewPublicKey(e.recipients[0].point); err != nil {
		t.Error(err)
	}
}

// TestUKM has a message whose key is agreed upon with keying material of the sender, as
// static keys need it and others may have it (RFC 5753, 3.1).
func TestUKM(t *testing.T) {
	p := newParty(t, pki.P256)
	q, ok := readParty(p.certificate)
	if !ok {
		t.Fatal("the certificate is not read")
	}
	key, ukm := newSecret(16), []byte("keying material")
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	z, err := ephemeral.ECDH(agreementKey(q.spki))
	if err != nil {
		t.Fatal(err)
	}
	wrap := identifier(der.OIDAES128Wrap)
	// RFC 5753, 7.2, written down octet by octet.
	shared := append([]byte{0x30, 40}, wrap...)
	shared = append(append(shared, 0xa0, 17, 4, 15), ukm...)
	shared = append(shared, 0xa2, 6, 4, 4, 0, 0, 0, 128)
	h := sha256.New()
	h.Write(z)
	h.Write([]byte{0, 0, 0, 1})
	h.Write(shared)
	wrapped, err := wrapKey(h.Sum(nil)[:16], key)
	if err != nil {
		t.Fatal(err)
	}
	originator := der.AppendBitString(identifier(der.OIDECPublicKey, string(der.MustOID(der.OIDP256))), ephemeral.PublicKey().Bytes())
	info := der.AppendInteger(nil, 3)
	info = der.Append(info, der.Explicit(0), der.Append(nil, der.Explicit(1), originator))
	info = der.Append(info, der.Explicit(1), der.Append(nil, tags.OCTET_STRING, ukm))
	info = append(info, identifier(der.OIDECDHSHA256, string(wrap))...)
	encrypted := der.Append(q.appendIssuerAndSerial(nil), tags.OCTET_STRING, wrapped)
	info = der.Append(info, tags.SEQUENCE, der.Append(nil, tags.SEQUENCE, encrypted))
	algorithm, sealed, _, err := AES128CBC.seal(key, []byte("content"), nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := Open(envelopeOf(der.Append(nil, der.Explicit(1), info), algorithm, sealed), OpenOptions{}, p.opener(t))
	if err != nil || string(opened.Content) != "content" {
		t.Error(err)
	}
}
