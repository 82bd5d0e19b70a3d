package tbs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

func TestParseOCSPRequestAgainstXCrypto(t *testing.T) {
	ca, device := newCA(t, pki.P256, caParts()...)
	issuer, err := x509.ParseCertificate(ca)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(device)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseCertificate(ca)
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		request := must(t)(ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: hash}))
		got, err := ParseOCSPRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ocsp.ParseRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		id := got.IDs[0]
		serial := new(big.Int).SetBytes(id.Serial[:])
		if id.Hash != want.HashAlgorithm || !bytes.Equal(id.NameHash, want.IssuerNameHash) ||
			!bytes.Equal(id.KeyHash, want.IssuerKeyHash) || serial.Cmp(want.SerialNumber) != 0 {
			t.Errorf("%s: %+v, want %+v", hash, id, want)
		}
		if len(got.IDs) != 1 || got.Nonce != nil || !bytes.Contains(request, id.Raw) {
			t.Errorf("%s: %+v", hash, got)
		}
		name, key := IssuerHashes(hash, parsed.Subject, parsed.Key)
		if !bytes.Equal(name, id.NameHash) || !bytes.Equal(key, id.KeyHash) {
			t.Errorf("%s: hashes %x, %x, want %x, %x", hash, name, key, id.NameHash, id.KeyHash)
		}
		if _, err := ParseOCSPRequest(request[:len(request)-1]); err == nil {
			t.Error("a truncated request is accepted")
		}
	}
}

// certID returns a CertID of SHA-1 hashes for a serial of one octet.
func certID(serial byte) []byte {
	return seq(seq([]byte(hashAlgorithmSHA1+asn1Null)), node(4, make([]byte, 20)), node(4, make([]byte, 20)), []byte{2, 1, serial})
}

// nonceExtensions returns requestExtensions with the given value of the nonce.
func nonceExtensions(t testing.TB, value []byte) []byte {
	return node(der.Explicit(2), seq(must(t)(RawExtension(der.OIDOCSPNonce, false, value))))
}

func TestParseOCSPRequest(t *testing.T) {
	one := seq(certID(1))
	var list [][]byte
	for i := range maxOCSPIDs {
		list = append(list, seq(certID(byte(i+1))))
	}
	nonce, hash20 := bytes.Repeat([]byte{7}, 128), node(4, make([]byte, 20))
	name := node(der.Explicit(1), node(der.Explicit(4), must(t)(issuerName.Append(nil))))
	locator := must(t)(RawExtension("1.3.6.1.5.5.7.48.1.7", false, seq()))
	for what, tt := range map[string]struct {
		request []byte
		ids     int
		nonce   []byte
	}{
		"plain":             {seq(seq(seq(one))), 1, nil},
		"explicit version":  {seq(seq(node(der.Explicit(0), []byte{2, 1, 0}), seq(one))), 1, nil},
		"requestor":         {seq(seq(name, seq(one))), 1, nil},
		"signature":         {seq(seq(name, seq(one)), node(der.Explicit(0), seq(ecdsaSHA256.DER, []byte{3, 1, 0}))), 1, nil},
		"32 certificates":   {seq(seq(seq(list...))), 32, nil},
		"nonce of 1":        {seq(seq(seq(one), nonceExtensions(t, []byte{4, 1, 9}))), 1, []byte{9}},
		"nonce of 128":      {seq(seq(seq(one), nonceExtensions(t, node(4, nonce)))), 1, nonce},
		"other extension":   {seq(seq(seq(one), node(der.Explicit(2), seq(locator)))), 1, nil},
		"single extension":  {seq(seq(seq(seq(certID(1), node(der.Explicit(0), seq(locator)))))), 1, nil},
		"hash without NULL": {seq(seq(seq(seq(seq(seq([]byte(hashAlgorithmSHA1)), hash20, hash20, []byte{2, 1, 1}))))), 1, nil},
	} {
		t.Run(what, func(t *testing.T) {
			got, err := ParseOCSPRequest(tt.request)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.IDs) != tt.ids || !bytes.Equal(got.Nonce, tt.nonce) {
				t.Errorf("%d certificates, nonce %x", len(got.IDs), got.Nonce)
			}
			for i, id := range got.IDs {
				if id.Serial != (pki.Serial{19: byte(i + 1)}) || id.Hash != crypto.SHA1 || !bytes.Contains(tt.request, id.Raw) {
					t.Errorf("certificate %d: %+v", i, id)
				}
			}
		})
	}
}

func TestParseOCSPRequestRefuses(t *testing.T) {
	one := seq(certID(1))
	hash20 := node(4, make([]byte, 20))
	sha1 := seq([]byte(hashAlgorithmSHA1))
	id := func(fields ...[]byte) []byte { return seq(seq(seq(seq(seq(fields...))))) }
	critical := must(t)(RawExtension("1.3.6.1.5.5.7.48.1.7", true, seq()))
	nonce := must(t)(RawExtension(der.OIDOCSPNonce, false, []byte{4, 1, 9}))
	var list [][]byte
	for range maxOCSPIDs + 1 {
		list = append(list, one)
	}
	for what, request := range map[string][]byte{
		"nothing":                   {},
		"garbage":                   []byte("garbage"),
		"too large":                 seq(make([]byte, maxOCSPRequest)),
		"trailing octet":            append(seq(seq(seq(one))), 0),
		"version 2":                 seq(seq(node(der.Explicit(0), []byte{2, 1, 1}), seq(one))),
		"no list":                   seq(seq()),
		"no certificate":            seq(seq(seq())),
		"33 certificates":           seq(seq(seq(list...))),
		"field after the list":      seq(seq(seq(one), []byte{5, 0})),
		"field after the signature": seq(seq(seq(one)), node(der.Explicit(0)), []byte{5, 0}),
		"request no sequence":       seq(seq(seq([]byte{5, 0}))),
		"request third field":       seq(seq(seq(seq(certID(1), []byte{5, 0})))),
		"MD5":                       id(seq(der.MustOID("1.2.840.113549.2.5"), []byte(asn1Null)), node(4, make([]byte, 16)), node(4, make([]byte, 16)), []byte{2, 1, 1}),
		"SHA-512":                   id(seq(der.MustOID("2.16.840.1.101.3.4.2.3")), node(4, make([]byte, 64)), node(4, make([]byte, 64)), []byte{2, 1, 1}),
		"short name hash":           id(sha1, node(4, make([]byte, 19)), hash20, []byte{2, 1, 1}),
		"long key hash":             id(sha1, hash20, node(4, make([]byte, 21)), []byte{2, 1, 1}),
		"SHA-1 called SHA-256":      id(seq([]byte(hashAlgorithmSHA256)), hash20, hash20, []byte{2, 1, 1}),
		"negative serial":           id(sha1, hash20, hash20, []byte{2, 1, 0x80}),
		"serial zero":               id(sha1, hash20, hash20, []byte{2, 1, 0}),
		"fifth field":               id(sha1, hash20, hash20, []byte{2, 1, 1}, []byte{5, 0}),
		"empty nonce":               seq(seq(seq(one), nonceExtensions(t, []byte{4, 0}))),
		"nonce of 129":              seq(seq(seq(one), nonceExtensions(t, node(4, make([]byte, 129))))),
		"nonce not wrapped":         seq(seq(seq(one), nonceExtensions(t, []byte{9, 9, 9, 9}))),
		"nonce trailing octet":      seq(seq(seq(one), nonceExtensions(t, []byte{4, 1, 9, 0}))),
		"two nonces":                seq(seq(seq(one), node(der.Explicit(2), seq(nonce, nonce)))),
		"no extensions":             seq(seq(seq(one), node(der.Explicit(2), seq()))),
		"critical extension":        seq(seq(seq(one), node(der.Explicit(2), seq(critical)))),
		"critical single extension": seq(seq(seq(seq(certID(1), node(der.Explicit(0), seq(critical)))))),
	} {
		t.Run(what, func(t *testing.T) {
			_, err := ParseOCSPRequest(request)
			wantKind(t, err, pki.Malformed)
		})
	}
}

// A responder is a delegated OCSP responder for a test.
type responder struct {
	signer       crypto.Signer
	key          PublicKey
	issuer, cert *x509.Certificate
}

func newResponder(t testing.TB) *responder {
	t.Helper()
	caSigner, signer := newSigner(t, pki.P384), newSigner(t, pki.P256)
	ca, key := publicKey(t, caSigner), publicKey(t, signer)
	certify := func(subject Name, key PublicKey, parts ...ExtensionPart) *x509.Certificate {
		tmpl, err := NewTemplate(TemplateConfig{IssuerName: must(t)(issuerName.Append(nil)), Algorithm: ca.SignatureAlgorithm(), Parts: parts})
		if err != nil {
			t.Fatal(err)
		}
		c := deviceContent(t, key)
		c.Subject, c.KeyUsage = must(t)(subject.Append(nil)), KeyCertSign
		tbs := must(t)(tmpl.Append(nil, c))
		cert, err := x509.ParseCertificate(AppendSigned(nil, tbs, ca.SignatureAlgorithm(), must(t)(Sign(caSigner, ca.SignatureAlgorithm(), tbs))))
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	return &responder{
		signer: signer, key: key,
		issuer: certify(issuerName, ca, caParts()...),
		cert: certify(Name{{OID: der.OIDCommonName, Value: "responder"}}, key,
			ExtensionPart{DER: must(t)(ExtendedKeyUsage(false, der.OIDOCSPSigning))}, ExtensionPart{DER: OCSPNoCheck()}),
	}
}

// respond returns the signed response with the given answers.
func (r *responder) respond(t testing.TB, singles []OCSPSingle, nonce []byte) []byte {
	t.Helper()
	alg := r.key.SignatureAlgorithm()
	data := AppendResponseData([]byte("before"), r.key.KeyID(), time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), singles, nonce)[len("before"):]
	return AppendOCSPResponse([]byte("before"), data, alg, must(t)(Sign(r.signer, alg, data)), r.cert.Raw)[len("before"):]
}

// ocspAnswers are answers of each status.
func ocspAnswers() []OCSPSingle {
	this := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	next := time.Date(2055, 1, 9, 3, 0, 0, 0, time.UTC)
	return []OCSPSingle{
		{ID: certID(1), Status: OCSPGood, ThisUpdate: this, NextUpdate: next},
		{ID: certID(2), Status: OCSPRevoked, RevokedAt: this.AddDate(0, 0, -1), Reason: pki.KeyCompromise, ThisUpdate: this, NextUpdate: next},
		{ID: certID(3), Status: OCSPRevoked, RevokedAt: this.AddDate(0, 0, -2), ThisUpdate: this, NextUpdate: next},
		{ID: certID(4), Status: OCSPUnknown, ThisUpdate: this},
	}
}

func TestOCSPResponseAgainstXCrypto(t *testing.T) {
	r := newResponder(t)
	response := r.respond(t, ocspAnswers(), []byte{1, 2, 3})
	statuses := []int{OCSPGood: ocsp.Good, OCSPRevoked: ocsp.Revoked, OCSPUnknown: ocsp.Unknown}
	for i, want := range ocspAnswers() {
		got, err := ocsp.ParseResponseForCert(response, &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1))}, r.issuer)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if got.Status != statuses[want.Status] || !got.RevokedAt.Equal(want.RevokedAt) || got.RevocationReason != int(want.Reason) ||
			!got.ThisUpdate.Equal(want.ThisUpdate) || !got.NextUpdate.Equal(want.NextUpdate) {
			t.Errorf("answer %d: %+v, want %+v", i, got, want)
		}
		if !got.ProducedAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
			t.Errorf("produced at %s", got.ProducedAt)
		}
		if diff := cmp.Diff(r.key.KeyID(), got.ResponderKeyHash); diff != "" {
			t.Errorf("responder (-want +got):\n%s", diff)
		}
		if !got.Certificate.Equal(r.cert) {
			t.Error("another responder's certificate")
		}
	}
}

// TestOCSPNonce checks the one part that x/crypto/ocsp does not read.
func TestOCSPNonce(t *testing.T) {
	want := node(der.Explicit(1), seq(must(t)(RawExtension(der.OIDOCSPNonce, false, []byte{4, 2, 8, 9}))))
	data := AppendResponseData(nil, make([]byte, 20), time.Now(), ocspAnswers(), []byte{8, 9})
	if !bytes.HasSuffix(data, want) {
		t.Errorf("%x does not end in %x", data, want)
	}
	if data := AppendResponseData(nil, make([]byte, 20), time.Now(), ocspAnswers(), nil); bytes.Contains(data, der.MustOID(der.OIDOCSPNonce)) {
		t.Error("a nonce without one")
	}
}

// TestOCSPResponseWithoutCertificate is one that the issuer itself signs.
func TestOCSPResponseWithoutCertificate(t *testing.T) {
	signer := newSigner(t, pki.Ed25519)
	key := publicKey(t, signer)
	data := AppendResponseData(nil, key.KeyID(), time.Now(), ocspAnswers()[:1], nil)
	response := AppendOCSPResponse(nil, data, key.SignatureAlgorithm(), must(t)(Sign(signer, key.SignatureAlgorithm(), data)), nil)
	if got, err := ocsp.ParseResponse(response, nil); err != nil || got.Certificate != nil || got.Status != ocsp.Good {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOCSPError(t *testing.T) {
	for status, want := range map[OCSPErrorStatus]ocsp.ResponseStatus{
		OCSPMalformedRequest: ocsp.Malformed, OCSPInternalError: ocsp.InternalError,
		OCSPTryLater: ocsp.TryLater, OCSPUnauthorized: ocsp.Unauthorized,
	} {
		_, err := ocsp.ParseResponse(OCSPError(status), nil)
		if got, ok := err.(ocsp.ResponseError); !ok || got.Status != want {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
}

// TestOCSPAllocations holds the path of a response that is signed on demand.
func TestOCSPAllocations(t *testing.T) {
	answers, id, cert := ocspAnswers(), make([]byte, 20), make([]byte, 600)
	data, response := make([]byte, 0, 2048), make([]byte, 0, 4096)
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() {
		b := AppendResponseData(data, id, now, answers, id)
		AppendOCSPResponse(response, b, ecdsaSHA256, cert[:70], cert)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
