package est

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// A maker is an RA that makes a key for whoever asks.
type maker struct {
	RA
	t     *testing.T
	ca    *pandotest.CA
	asked []enroll.Request
	gave  []pki.PrivateKey
	sent  []byte // a copy of the key
}

func (m *maker) Enroll(_ context.Context, r enroll.Request) (*pki.Enrollment, error) {
	m.asked = append(m.asked, r)
	key := pandotest.Key(m.t, pki.P256)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	m.sent = bytes.Clone(pkcs8)
	got := &pki.Enrollment{Certificate: &pki.Certificate{DER: m.ca.Sign(m.t, &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Now().Add(time.Hour)}, key.Public())}, Key: pki.NewPrivateKey(pkcs8)}
	m.gave = append(m.gave, got.Key)
	return got, nil
}

func (m *maker) NoteRefusal(_ context.Context, _ enroll.Refusal, err error) error { return err }

func (m *maker) Admit(context.Context, string, string) error { return nil }

// anybody proves whoever asks to be a device.
type anybody struct{}

func (anybody) Prove(context.Context, string, enrolauth.Presented) (access.Principal, error) {
	return access.Principal{Tenant: "acme", ID: "secret:1", Device: "SM-1", Grants: access.Given(access.Device)}, nil
}

func (anybody) Claimed(context.Context, string, enrolauth.Presented) pki.DeviceID { return "" }

// A client is whoever asks for a key.
type client struct {
	certificate  *x509.Certificate
	user, secret string
	attributes   []pandotest.Attribute
}

func named(oid string, keyID []byte) pandotest.Attribute {
	return pandotest.Attribute{OID: oid, Value: der.Append(nil, asn1.OCTET_STRING, keyID)}
}

// capable says that a client reads what OIDs stand for.
func capable(oids ...string) pandotest.Attribute {
	var list []byte
	for _, oid := range oids {
		list = der.Append(list, asn1.SEQUENCE, der.MustOID(oid))
	}
	return pandotest.Attribute{OID: der.OIDSMIMECapabilities, Value: der.Append(nil, asn1.SEQUENCE, list)}
}

// ask sends a request for a key.
func (c client) ask(t *testing.T) (*httptest.ResponseRecorder, *maker) {
	t.Helper()
	m := &maker{t: t, ca: pandotest.NewRoot(t, "an authority", time.Now())}
	s := New(Config{RA: m, Prover: anybody{}, Log: slog.New(slog.DiscardHandler)})
	csr := pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "SM-1"}, c.attributes...)
	r := httptest.NewRequest("POST", prefix+"acme.device/serverkeygen", strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
	r.Header.Set("Content-Type", "application/pkcs10")
	if c.certificate != nil {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.certificate}}
	}
	if c.user != "" {
		r.SetBasicAuth(c.user, c.secret)
	}
	w := httptest.NewRecorder()
	s.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
	return w, m
}

// keyPart reads the two parts of an answer, the first of a type, the second with the
// certificate, and returns the content of the first.
func keyPart(t *testing.T, w *httptest.ResponseRecorder, contentType string) []byte {
	t.Helper()
	media, parameters, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil || media != "multipart/mixed" || w.Code != http.StatusOK {
		t.Fatalf("%d, %q: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", w.Header())
	}
	parts := multipart.NewReader(w.Body, parameters["boundary"])
	var contents [][]byte
	var types []string
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Transfer-Encoding") != "base64" {
			t.Errorf("a part with the headers %v", p.Header)
		}
		content, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
		if err != nil {
			t.Fatal(err)
		}
		types, contents = append(types, p.Header.Get("Content-Type")), append(contents, content)
	}
	if diff := cmp.Diff([]string{contentType, "application/pkcs7-mime; smime-type=certs-only"}, types); diff != "" {
		t.Fatal(diff)
	}
	message, err := pkcs7.Parse(contents[1])
	if err != nil || len(message.Certificates) != 1 {
		t.Errorf("%v, %v", message, err)
	}
	return contents[0]
}

// TestServerKeyGen: the key comes in plain, or encrypted for the key or the secret that
// whoever asks has just proved, with the first cipher that they name; it is gone after.
func TestServerKeyGen(t *testing.T) {
	rsaKey, rsaClient := identity(t, pki.RSA2048, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment, true)
	ecKey, ecClient := identity(t, pki.P384, x509.KeyUsageKeyAgreement, true)
	_, unnamed := identity(t, pki.P256, 0, false)
	asymmetric := func(c *x509.Certificate) pandotest.Attribute {
		return named(der.OIDAsymmetricDecryptKeyIdentifier, c.SubjectKeyId)
	}
	agreer, err := ecKey.(*ecdsa.PrivateKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	rsaOpens := cms.Key{Certificate: rsaClient.Raw, Decrypter: rsaKey.(*rsa.PrivateKey)}
	ecOpens := cms.Key{Certificate: ecClient.Raw, Agreer: agreer}
	passwordOpens := cms.Key{Password: pki.NewSecret("hunter2")}
	for what, test := range map[string]struct {
		c      client
		opens  *cms.Key // nil: it comes in plain
		cipher cms.Cipher
	}{
		"plain":                 {client{certificate: rsaClient}, nil, 0},
		"plain, capable":        {client{attributes: []pandotest.Attribute{capable(der.OIDAES128CBC)}}, nil, 0},
		"RSA":                   {client{certificate: rsaClient, attributes: []pandotest.Attribute{asymmetric(rsaClient)}}, &rsaOpens, cms.AES256CBC},
		"RSA with OAEP and GCM": {client{certificate: rsaClient, attributes: []pandotest.Attribute{asymmetric(rsaClient), capable("1.2.3", der.OIDAES128GCM, der.OIDAES256CBC, der.OIDRSAOAEP)}}, &rsaOpens, cms.AES128GCM},
		"P-384":                 {client{certificate: ecClient, attributes: []pandotest.Attribute{asymmetric(ecClient), capable(der.OIDAES128CBC)}}, &ecOpens, cms.AES128CBC},
		"a secret":              {client{user: "SM-1", secret: "hunter2", attributes: []pandotest.Attribute{named(der.OIDDecryptKeyIdentifier, []byte("SM-1"))}}, &passwordOpens, cms.AES256CBC},
	} {
		t.Run(what, func(t *testing.T) {
			w, m := test.c.ask(t)
			how, contentType := enroll.KeyPlain, "application/pkcs8"
			if test.opens != nil {
				how, contentType = enroll.KeySealed, "application/pkcs7-mime; smime-type=server-generated-key"
			}
			key := keyPart(t, w, contentType)
			if test.opens != nil {
				if bytes.Contains(key, m.sent) {
					t.Error("the key is in the message as it is")
				}
				opened, err := cms.Open(key, cms.OpenOptions{}, *test.opens)
				if err != nil {
					t.Fatal(err)
				}
				if opened.Cipher != test.cipher || opened.ContentType != der.OIDData {
					t.Errorf("cipher %d, content %s", opened.Cipher, opened.ContentType)
				}
				key = opened.Content
			}
			if !bytes.Equal(key, m.sent) {
				t.Error("it is another key")
			}
			if r := m.asked[0]; len(m.asked) != 1 || r.MakeKey != how || r.Idempotency != "" || r.Endpoint != "acme.device" || r.Protocol != pki.ProtocolEST {
				t.Errorf("asked %+v", m.asked)
			}
			if !m.gave[0].IsZero() {
				t.Error("the key is there after the answer")
			}
		})
	}
	bySPKI := client{certificate: unnamed}
	point, err := unnamed.PublicKey.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(point) // RFC 5280, 4.2.1.2, method 1
	bySPKI.attributes = []pandotest.Attribute{named(der.OIDAsymmetricDecryptKeyIdentifier, sum[:])}
	w, _ := bySPKI.ask(t)
	keyPart(t, w, "application/pkcs7-mime; smime-type=server-generated-key")
}

// TestServerKeyGenRefused: a key or a secret that was not proved is nobody's to encrypt
// for, and nothing is issued then.
func TestServerKeyGenRefused(t *testing.T) {
	_, rsaClient := identity(t, pki.RSA2048, x509.KeyUsageKeyEncipherment, true)
	_, signs := identity(t, pki.P256, x509.KeyUsageDigitalSignature, true)
	_, ed := identity(t, pki.Ed25519, 0, true)
	const asymm, symm = der.OIDAsymmetricDecryptKeyIdentifier, der.OIDDecryptKeyIdentifier
	many := make([]string, maxCapabilities+1)
	for i := range many {
		many[i] = der.OIDAES128CBC
	}
	for what, test := range map[string]struct {
		c      client
		status int
		says   string
	}{
		"no client certificate":  {client{attributes: []pandotest.Attribute{named(asymm, []byte("x"))}}, 403, "you have shown none"},
		"another's key":          {client{certificate: rsaClient, attributes: []pandotest.Attribute{named(asymm, []byte("x"))}}, 403, "another key"},
		"a key that signs":       {client{certificate: signs, attributes: []pandotest.Attribute{named(asymm, signs.SubjectKeyId)}}, 403, "key usage"},
		"a key that cannot":      {client{certificate: ed, attributes: []pandotest.Attribute{named(asymm, ed.SubjectKeyId)}}, 400, "cannot be encrypted to"},
		"no secret":              {client{certificate: rsaClient, attributes: []pandotest.Attribute{named(symm, []byte("SM-1"))}}, 403, "yours came without"},
		"another's secret":       {client{user: "SM-1", secret: "hunter2", attributes: []pandotest.Attribute{named(symm, []byte("SM-2"))}}, 403, "another secret"},
		"both":                   {client{certificate: rsaClient, user: "SM-1", secret: "x", attributes: []pandotest.Attribute{named(symm, []byte("SM-1")), named(asymm, rsaClient.SubjectKeyId)}}, 400, "it is one"},
		"twice":                  {client{user: "SM-1", secret: "x", attributes: []pandotest.Attribute{named(symm, []byte("SM-1")), named(symm, []byte("SM-1"))}}, 400, "once, with one value"},
		"not octets":             {client{user: "SM-1", secret: "x", attributes: []pandotest.Attribute{{OID: symm, Value: der.Append(nil, asn1.UTF8String, []byte("SM-1"))}}}, 400, "OCTET STRING"},
		"no cipher that is here": {client{user: "SM-1", secret: "x", attributes: []pandotest.Attribute{named(symm, []byte("SM-1")), capable("1.2.840.113549.3.7")}}, 403, "no cipher"},
		"capabilities that are no sequence": {client{user: "SM-1", secret: "x", attributes: []pandotest.Attribute{named(symm, []byte("SM-1")),
			{OID: der.OIDSMIMECapabilities, Value: []byte{0x05, 0x00}}}}, 400, "SMIMECapabilities"},
		"too many capabilities": {client{user: "SM-1", secret: "x", attributes: []pandotest.Attribute{named(symm, []byte("SM-1")), capable(many...)}}, 400, "at most"},
	} {
		w, m := test.c.ask(t)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) || len(m.asked) != 0 {
			t.Errorf("%s: %d %s, and %d issued", what, w.Code, w.Body, len(m.asked))
		}
	}
}

// identity returns a client certificate with its key.
func identity(t *testing.T, kind pki.KeyKind, usage x509.KeyUsage, keyID bool) (crypto.Signer, *x509.Certificate) {
	t.Helper()
	key := pandotest.Key(t, kind)
	template := &x509.Certificate{SerialNumber: big.NewInt(3), NotAfter: time.Now().Add(time.Hour), KeyUsage: usage}
	if keyID {
		template.SubjectKeyId = []byte("an identifier")
	}
	return key, pandotest.Parse(t, pandotest.NewRoot(t, "an authority", time.Now()).Sign(t, template, key.Public()))
}
