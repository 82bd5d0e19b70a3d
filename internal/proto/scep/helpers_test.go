package scep

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A party is somebody with a key and a certificate of it.
type party struct {
	key         crypto.Signer
	certificate []byte
}

// rsaKeys are made once for each name, since they take long.
var rsaKeys sync.Map

func newRSA(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	made, _ := rsaKeys.LoadOrStore(name, sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }))
	key, err := made.(func() (*rsa.PrivateKey, error))()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newParty returns a party with a certificate that it signed itself.
func newParty(t testing.TB, key crypto.Signer, name string) party {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return party{key, certificate}
}

func (p party) recipient() cms.Key {
	return cms.Key{Certificate: p.certificate, Decrypter: p.key.(crypto.Decrypter)}
}

func (p party) signer() *Signer { return &Signer{Key: p.key, Certificate: p.certificate} }

// newCSR returns a request of a key, with a challenge unless that is "".
func newCSR(t testing.TB, key crypto.Signer, name, challenge string) []byte {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	if challenge == "" {
		return csr
	}
	return withChallenge(t, csr, key, challenge)
}

// withChallenge returns the request with a challengePassword, signed again: crypto/x509
// makes no attribute but extensionRequest.
func withChallenge(t testing.TB, csr []byte, key crypto.Signer, challenge string) []byte {
	t.Helper()
	outer, _ := der.ReadOnly(csr, asn1.SEQUENCE)
	var info, attributes, algorithm cryptobyte.String
	if !outer.ReadASN1(&info, asn1.SEQUENCE) || !outer.ReadASN1Element(&algorithm, asn1.SEQUENCE) {
		t.Fatal("a request of another form")
	}
	head := info
	if !info.SkipASN1(asn1.INTEGER) || !info.SkipASN1(asn1.SEQUENCE) || !info.SkipASN1(asn1.SEQUENCE) {
		t.Fatal("a request of another form")
	}
	head = head[:len(head)-len(info)]
	if !info.ReadASN1(&attributes, der.Explicit(0)) {
		t.Fatal("a request of another form")
	}
	value := der.Append(nil, asn1.SET, der.Append(nil, asn1.UTF8String, []byte(challenge)))
	with := append(append([]byte{}, attributes...), der.Append(nil, asn1.SEQUENCE, append(der.MustOID(der.OIDChallengePassword), value...))...)
	tbs := der.Append(nil, asn1.SEQUENCE, append(append([]byte{}, head...), der.Append(nil, der.Explicit(0), with)...))
	sum := crypto.SHA256.New()
	sum.Write(tbs)
	signature, err := key.Sign(rand.Reader, sum.Sum(nil), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return der.Append(nil, asn1.SEQUENCE, der.AppendBitString(append(tbs, algorithm...), signature))
}

// A request is what a test's client sends; fields that are zero are as they should be.
type request struct {
	kind       messageType
	id         string
	nonce      []byte // nil: a fresh one
	content    []byte
	to         []byte // certificate of the recipient
	cipher     cms.Cipher
	attributes []cms.Attribute // instead of all others
}

// send returns the message of a request, signed by p.
func (p party) send(t testing.TB, r request) []byte {
	t.Helper()
	if r.cipher == 0 {
		r.cipher = cms.AES128CBC
	}
	if r.nonce == nil {
		r.nonce = make([]byte, nonceSize)
		rand.Read(r.nonce)
	}
	envelope, err := cms.Encrypt(cms.Envelope{Content: r.content, Cipher: r.cipher}, cms.Recipient{Certificate: r.to})
	if err != nil {
		t.Fatal(err)
	}
	if r.attributes == nil {
		r.attributes = []cms.Attribute{
			printable(oidMessageType, strconv.Itoa(int(r.kind))), printable(oidTransactionID, r.id), octets(oidSenderNonce, r.nonce),
		}
	}
	return p.sign(t, envelope, r.attributes)
}

func (p party) sign(t testing.TB, envelope []byte, attributes []cms.Attribute) []byte {
	t.Helper()
	message, err := cms.Sign(cms.Message{Content: envelope, Certificates: [][]byte{p.certificate}},
		cms.Signer{Key: p.key, Certificate: p.certificate, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// An answer is a CertRep as a client reads it.
type answer struct {
	status, failInfo, text, id string
	sender, recipient          []byte
	signer                     []byte
	content                    []byte // of the envelope; nil for none
}

// read reads a CertRep and opens its envelope with keys.
func read(t testing.TB, raw []byte, keys ...cms.Key) *answer {
	t.Helper()
	signed, err := cms.ParseSigned(raw)
	if err != nil {
		t.Fatalf("an answer that is no SignedData: %v", err)
	}
	a := new(answer)
	if a.signer, err = signed.Verify(0, cms.VerifyOptions{}); err != nil {
		t.Fatalf("an answer whose signature does not verify: %v", err)
	}
	attributes := signed.Signers[0].Attributes
	if kind, _ := readText(attributes.Get(oidMessageType)); kind != "3" {
		t.Fatalf("an answer of type %q", kind)
	}
	a.status, _ = readText(attributes.Get(oidPKIStatus))
	a.failInfo, _ = readText(attributes.Get(oidFailInfo))
	a.id, _ = readText(attributes.Get(oidTransactionID))
	a.sender, _ = der.ReadOnly(attributes.Get(oidSenderNonce), asn1.OCTET_STRING)
	a.recipient, _ = der.ReadOnly(attributes.Get(oidRecipientNonce), asn1.OCTET_STRING)
	text, _ := der.ReadOnly(attributes.Get(oidFailInfoText), asn1.UTF8String)
	a.text = string(text)
	if signed.Content == nil {
		return a
	}
	opened, err := cms.Open(signed.Content, cms.OpenOptions{}, keys...)
	if err != nil {
		t.Fatalf("an answer that cannot be opened: %v", err)
	}
	a.content = opened.Content
	return a
}

// wantKind checks that err is of the given kind.
func wantKind(t testing.TB, err error, kind pki.Kind) {
	t.Helper()
	if err == nil || pki.KindOf(err) != kind {
		t.Errorf("%v, of kind %s, where %s is due", err, pki.KindOf(err), kind)
	}
}

func spki(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
