package scep

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestMessageTypes decides all 256 types that a message can have.
func TestMessageTypes(t *testing.T) {
	served := map[messageType]string{17: "RenewalReq", 19: "PKCSReq", 20: "CertPoll", 21: "GetCert", 22: "GetCRL"}
	for n := range 256 {
		kind := messageType(n)
		name, ok := served[kind]
		err := kind.check()
		switch {
		case ok && (err != nil || kind.String() != name):
			t.Errorf("type %d is %s, %v", n, kind, err)
		case !ok && pki.KindOf(err) != pki.Malformed:
			t.Errorf("type %d is taken: %v", n, err)
		}
	}
	for _, text := range []string{"", " 19", "19 ", "+19", "019", "256", "-1", "0x13", "nineteen", "１９"} {
		if kind, ok := parseMessageType(text); ok {
			t.Errorf("%q is type %d", text, kind)
		}
	}
}

func TestMessage(t *testing.T) {
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	for _, cipher := range []cms.Cipher{cms.AES128CBC, cms.AES256CBC, cms.AES256GCM} {
		nonce := bytes.Repeat([]byte{7}, nonceSize)
		m, err := readMessage(device.send(t, request{kind: pkcsReq, id: "a+b/c=", nonce: nonce, content: []byte("a request"), to: ra.certificate, cipher: cipher}))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.verify(false); err != nil {
			t.Fatal(err)
		}
		content, answer, err := m.open([]cms.Key{ra.recipient()}, false)
		if err != nil || string(content) != "a request" || answer != cipher {
			t.Errorf("%q, to be answered with %d: %v", content, answer, err)
		}
		if m.kind != pkcsReq || m.id != "a+b/c=" || !bytes.Equal(m.nonce, nonce) || !bytes.Equal(m.signer, device.certificate) || m.legacy {
			t.Errorf("%+v", m)
		}
	}
}

// TestMessageRefuses has each message that is refused before anybody looks at what it
// asks for, by the step that refuses it.
func TestMessageRefuses(t *testing.T) {
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	other := newParty(t, newRSA(t, "other"), "RA")
	kind, id, nonce := printable(oidMessageType, "19"), printable(oidTransactionID, "1"), octets(oidSenderNonce, make([]byte, nonceSize))
	all := func(a ...cms.Attribute) request {
		return request{content: []byte("x"), to: ra.certificate, attributes: a}
	}
	good := device.send(t, all(kind, id, nonce))
	sealed := func(contentType string) []byte {
		envelope, err := cms.Encrypt(cms.Envelope{Content: []byte("x"), ContentType: contentType, Cipher: cms.AES128CBC}, cms.Recipient{Certificate: ra.certificate})
		if err != nil {
			t.Fatal(err)
		}
		return envelope
	}
	signer := cms.Signer{Key: device.key, Certificate: device.certificate, Attributes: []cms.Attribute{kind, id, nonce}}
	signed := func(envelope []byte, contentType string, signers ...cms.Signer) []byte {
		message, err := cms.Sign(cms.Message{Content: envelope, ContentType: contentType, Certificates: [][]byte{device.certificate}}, append(signers, signer)...)
		if err != nil {
			t.Fatal(err)
		}
		return message
	}
	two := signed(sealed(der.OIDData), der.OIDData, signer)
	bomb := bytes.Repeat([]byte{0x30, 0x80}, 40_000)
	for name, c := range map[string]struct {
		message []byte
		step    string // that refuses: read, verify or open
		kind    pki.Kind
	}{
		"nothing":                    {nil, "read", pki.Malformed},
		"garbage":                    {[]byte("garbage"), "read", pki.Malformed},
		"truncated":                  {good[:len(good)-10], "read", pki.Malformed},
		"octets after it":            {append(bytes.Clone(good), 0), "read", pki.Malformed},
		"nested without end":         {bomb, "read", pki.Malformed},
		"oversized":                  {device.send(t, request{kind: pkcsReq, id: "1", content: make([]byte, maxMessage), to: ra.certificate}), "read", pki.Malformed},
		"two signers":                {two, "read", pki.Malformed},
		"no signer":                  {certsOnly(t, device.certificate), "read", pki.Malformed},
		"no transactionID":           {device.send(t, all(kind, nonce)), "read", pki.Malformed},
		"empty transactionID":        {device.send(t, all(kind, nonce, printable(oidTransactionID, ""))), "read", pki.Malformed},
		"long transactionID":         {device.send(t, all(kind, nonce, printable(oidTransactionID, strings.Repeat("a", maxTransactionID+1)))), "read", pki.Malformed},
		"control characters in it":   {device.send(t, all(kind, nonce, printable(oidTransactionID, "a\nb"))), "read", pki.Malformed},
		"transactionID of octets":    {device.send(t, all(kind, nonce, octets(oidTransactionID, []byte("a")))), "read", pki.Malformed},
		"no messageType":             {device.send(t, all(id, nonce)), "read", pki.Malformed},
		"messageType no number":      {device.send(t, all(printable(oidMessageType, "PKCSReq"), id, nonce)), "read", pki.Malformed},
		"a CertRep":                  {device.send(t, all(printable(oidMessageType, "3"), id, nonce)), "verify", pki.Malformed},
		"unknown messageType":        {device.send(t, all(printable(oidMessageType, "99"), id, nonce)), "verify", pki.Malformed},
		"no nonce":                   {device.send(t, all(kind, id)), "verify", pki.Malformed},
		"short nonce":                {device.send(t, all(kind, id, octets(oidSenderNonce, make([]byte, 15)))), "verify", pki.Malformed},
		"oversized nonce":            {device.send(t, all(kind, id, octets(oidSenderNonce, make([]byte, maxNonce+1)))), "read", pki.Malformed},
		"nonce of text":              {device.send(t, all(kind, id, printable(oidSenderNonce, "0123456789abcdef"))), "read", pki.Malformed},
		"no content":                 {device.sign(t, nil, []cms.Attribute{kind, id, nonce}), "verify", pki.Malformed},
		"signed by somebody else":    {device.forge(t, ra.certificate, kind, id, nonce), "verify", pki.BadProof},
		"changed after signing":      {flip(good, bytes.Index(good, der.MustOID(der.OIDEnvelopedData))+40), "verify", pki.BadProof},
		"to another recipient":       {device.send(t, request{kind: pkcsReq, id: "1", content: []byte("x"), to: other.certificate}), "open", pki.BadProof},
		"content of another type":    {signed(sealed(der.OIDData), der.OIDEnvelopedData), "verify", pki.Malformed},
		"sealed as another type":     {signed(sealed(der.OIDSignedData), der.OIDData), "open", pki.BadProof},
		"content that is no CMS":     {device.sign(t, []byte("plain"), []cms.Attribute{kind, id, nonce}), "open", pki.Malformed},
		"content that is not sealed": {device.sign(t, certsOnly(t, device.certificate), []cms.Attribute{kind, id, nonce}), "open", pki.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			step := "read"
			m, err := readMessage(c.message)
			if err == nil {
				step, err = "verify", m.verify(false)
			}
			if err == nil {
				step = "open"
				_, _, err = m.open([]cms.Key{ra.recipient()}, false)
			}
			wantKind(t, err, c.kind)
			if step != c.step {
				t.Errorf("refused at %s, and not at %s: %v", step, c.step, err)
			}
		})
	}
}

// forge signs with p's key in the name of a certificate of another key.
func (p party) forge(t testing.TB, to []byte, attributes ...cms.Attribute) []byte {
	t.Helper()
	own := newParty(t, p.key, "forger")
	message := own.send(t, request{content: []byte("x"), to: to, attributes: attributes})
	// The message goes on naming the certificate, which is of another key now.
	return bytes.Replace(message, spki(t, own.key.Public()), spki(t, newRSA(t, "other").Public()), 1)
}

// flip returns the message with one bit changed.
func flip(message []byte, at int) []byte {
	changed := bytes.Clone(message)
	changed[at] ^= 1
	return changed
}

func certsOnly(t testing.TB, certificate []byte) []byte {
	t.Helper()
	message, err := cms.CertsOnly([][]byte{certificate})
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// TestLegacyNonce: what the legacy switch takes is told.
func TestLegacyNonce(t *testing.T) {
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	for _, nonce := range [][]byte{{}, {1}, make([]byte, 20)} {
		m, err := readMessage(device.send(t, request{kind: pkcsReq, id: "1", nonce: nonce, content: []byte("x"), to: ra.certificate}))
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, m.verify(false), pki.Malformed)
		if err := m.verify(true); err != nil || !m.legacy {
			t.Errorf("a nonce of %d octets: %v, legacy %v", len(nonce), err, m.legacy)
		}
	}
}

// TestReadNeverFails changes octets of good messages at random: each is refused with a
// kind, or is read, and nothing else.
func TestReadNeverFails(t *testing.T) {
	r := pandotest.Seeded(t)
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	good := device.send(t, request{kind: pkcsReq, id: "1", content: []byte("a request"), to: ra.certificate})
	for range 2000 {
		m, err := readMessage(flip(good, r.IntN(len(good))))
		if err == nil {
			if err = m.verify(true); err == nil {
				_, _, err = m.open([]cms.Key{ra.recipient()}, true)
			}
		}
		if err != nil && pki.KindOf(err) == pki.Internal {
			t.Fatalf("an error without a kind: %v", err)
		}
	}
}

func TestContent(t *testing.T) {
	name := der.Append(nil, asn1.SEQUENCE, nil)
	pair := func(parts ...[]byte) []byte { return der.Append(nil, asn1.SEQUENCE, bytes.Join(parts, nil)) }
	serial := der.AppendInteger(nil, 0xabcdef)
	if issuer, subject, ok := readIssuerAndSubject(pair(name, name)); !ok || !bytes.Equal(issuer, name) || !bytes.Equal(subject, name) {
		t.Error("issuer and subject are not read")
	}
	if issuer, got, ok := readIssuerAndSerial(pair(name, serial)); !ok || !bytes.Equal(issuer, name) || !strings.HasSuffix(got.String(), "abcdef") {
		t.Errorf("issuer and serial are not read: %s", got)
	}
	long := der.AppendUnsigned(nil, bytes.Repeat([]byte{0x7f}, 21))
	for _, bad := range [][]byte{nil, name, pair(name), pair(serial, name), pair(name, name, name), append(pair(name, name), 0)} {
		if _, _, ok := readIssuerAndSubject(bad); ok {
			t.Errorf("%x is read as issuer and subject", bad)
		}
	}
	for _, bad := range [][]byte{nil, name, pair(name), pair(name, name), pair(name, serial, serial), pair(name, long), pair(name, []byte{2, 1, 0xff})} {
		if _, _, ok := readIssuerAndSerial(bad); ok {
			t.Errorf("%x is read as issuer and serial", bad)
		}
	}
}

// FuzzMessage: what is read of a message is within its bounds, and every refusal has a
// kind.
func FuzzMessage(f *testing.F) {
	ra, device := newParty(f, newRSA(f, "ra"), "RA"), newParty(f, newRSA(f, "device"), "device")
	f.Add(device.send(f, request{kind: pkcsReq, id: "1", content: []byte("a request"), to: ra.certificate}))
	f.Add(device.send(f, request{kind: getCRL, id: "x", nonce: []byte{}, content: []byte{0x30, 0}, to: ra.certificate, cipher: cms.AES256GCM}))
	f.Add(certsOnly(f, device.certificate))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := readMessage(raw)
		if err == nil {
			if len(m.id) == 0 || len(m.id) > maxTransactionID || len(m.nonce) > maxNonce || len(m.idDER) > maxTransactionID+4 {
				t.Fatalf("%+v", m)
			}
			if err = m.verify(true); err == nil {
				_, _, err = m.open([]cms.Key{ra.recipient()}, true)
			}
		}
		if err != nil && pki.KindOf(err) == pki.Internal {
			t.Fatalf("an error without a kind: %v", err)
		}
		readIssuerAndSubject(raw)
		readIssuerAndSerial(raw)
	})
}
