package cms

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// signingKinds are the kinds of key that sign messages.
var signingKinds = []pki.KeyKind{pki.RSA2048, pki.RSA2048PSS, pki.P256, pki.P384, pki.P521, pki.Ed25519}

// oidTransactionID is the attribute of SCEP (RFC 8894, 3.2.1.1).
const oidTransactionID = "2.16.840.1.113733.1.9.7"

var transactionID = Attribute{oidTransactionID, der.Append(nil, 0x13, []byte("a transaction"))}

func sign(t testing.TB, m Message, signers ...Signer) []byte {
	t.Helper()
	message, err := Sign(m, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func parseSigned(t testing.TB, message []byte) *SignedData {
	t.Helper()
	d, err := ParseSigned(message)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSign signs with each kind of key and reads it back, as DER and as BER.
func TestSign(t *testing.T) {
	at := time.Date(2026, 7, 8, 1, 2, 3, 0, time.UTC)
	for _, kind := range signingKinds {
		for name, m := range map[string]Message{
			"data":       {Content: []byte("content")},
			"empty":      {Content: []byte{}},
			"no content": {},
			"other type": {ContentType: der.OIDEnvelopedData, Content: []byte{0x30, 0}},
			"large":      {Content: bytes.Repeat([]byte("large "), 50_000)},
		} {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				p := newParty(t, kind)
				keyID := name == "empty"
				m.Certificates = [][]byte{p.certificate, newParty(t, pki.P256).certificate}
				message := sign(t, m, Signer{
					Key: p.signer(), Certificate: p.certificate, KeyID: keyID, SigningTime: at, Attributes: []Attribute{transactionID},
				})
				checkDER(t, message)
				for form, message := range map[string][]byte{"DER": message, "BER": toBER(message)} {
					d := parseSigned(t, message)
					certificate, err := d.Verify(0, VerifyOptions{})
					if err != nil || !bytes.Equal(certificate, p.certificate) {
						t.Fatalf("%s: %v", form, err)
					}
					if _, err := d.Verify(0, VerifyOptions{Certificate: p.certificate}); err != nil {
						t.Errorf("%s: %v", form, err)
					}
					if !bytes.Equal(d.Content, m.Content) || (d.Content == nil) != (m.Content == nil) || len(d.Certificates) != 2 {
						t.Errorf("%s: %d octets of content, %d certificates", form, len(d.Content), len(d.Certificates))
					}
					a := d.Signers[0].Attributes
					if !bytes.Equal(a.Get(oidTransactionID), transactionID.Value) || !bytes.Equal(a.Get(der.OIDSigningTime), der.AppendTime(nil, at)) {
						t.Errorf("%s: attributes %x", form, a)
					}
				}
			})
		}
	}
}

// TestSignVersion holds the versions of RFC 5652, 5.1 and 5.3, and the algorithms.
func TestSignVersion(t *testing.T) {
	p, q := newParty(t, pki.RSA2048), newParty(t, pki.Ed25519)
	one := Signer{Key: p.signer(), Certificate: p.certificate}
	two := Signer{Key: q.signer(), Certificate: q.certificate, KeyID: true}
	for _, c := range []struct {
		m       Message
		signers []Signer
		version int
		digests []string
		infos   []int
	}{
		{Message{}, []Signer{one}, 1, []string{der.OIDSHA256}, []int{1}},
		{Message{}, []Signer{two}, 3, []string{der.OIDSHA512}, []int{3}},
		{Message{}, []Signer{one, two, one}, 3, []string{der.OIDSHA256, der.OIDSHA512}, []int{1, 1, 3}},
		{Message{ContentType: der.OIDSignedData}, []Signer{one}, 3, []string{der.OIDSHA256}, []int{1}},
		{Message{CRLs: [][]byte{{0x30, 0}}}, nil, 1, nil, nil},
	} {
		var info struct {
			Type    asn1.ObjectIdentifier
			Content struct {
				Version      int
				Digests      []struct{ OID asn1.ObjectIdentifier } `asn1:"set"`
				Content      struct{ Type asn1.ObjectIdentifier }
				Certificates asn1.RawValue `asn1:"optional,tag:0"`
				CRLs         asn1.RawValue `asn1:"optional,tag:1"`
				Signers      []struct {
					Version               int
					Name, Hash, A, Alg, S asn1.RawValue
				} `asn1:"set"`
			} `asn1:"explicit,tag:0"`
		}
		if _, err := asn1.Unmarshal(sign(t, c.m, c.signers...), &info); err != nil {
			t.Fatal(err)
		}
		var digests []string
		for _, d := range info.Content.Digests {
			digests = append(digests, d.OID.String())
		}
		var infos []int
		for _, s := range info.Content.Signers {
			infos = append(infos, s.Version)
			if s.Version == 1 && !bytes.Equal(s.Alg.FullBytes, rsaEncryption) {
				t.Errorf("algorithm %x", s.Alg.FullBytes)
			}
		}
		slices.Sort(infos)
		if info.Content.Version != c.version || !slices.Equal(digests, c.digests) || !slices.Equal(infos, c.infos) {
			t.Errorf("version %d, digests %v, signers %v, want %d, %v, %v", info.Content.Version, digests, infos, c.version, c.digests, c.infos)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	p, q := newParty(t, pki.P256), newParty(t, pki.P256)
	good := Signer{Key: p.signer(), Certificate: p.certificate}
	for name, c := range map[string]struct {
		m Message
		s Signer
	}{
		"certificate of another key": {Message{}, Signer{Key: p.signer(), Certificate: q.certificate}},
		"no certificate":             {Message{}, Signer{Key: p.signer()}},
		"no key identifier":          {Message{}, Signer{Key: p.signer(), Certificate: withoutKeyID(t, p), KeyID: true}},
		"content type twice":         {Message{}, Signer{Key: p.signer(), Certificate: p.certificate, Attributes: []Attribute{{der.OIDContentType, der.MustOID(der.OIDData)}}}},
		"attribute without value":    {Message{}, Signer{Key: p.signer(), Certificate: p.certificate, Attributes: []Attribute{{OID: oidTransactionID}}}},
		"attribute of no type":       {Message{}, Signer{Key: p.signer(), Certificate: p.certificate, Attributes: []Attribute{{"x", []byte{5, 0}}}}},
		"content of no type":         {Message{ContentType: "x"}, good},
		"no certificates":            {Message{Certificates: [][]byte{{1}}}, good},
		"no CRL":                     {Message{CRLs: [][]byte{nil}}, good},
	} {
		if message, err := Sign(c.m, c.s); err == nil {
			t.Errorf("%s: %x", name, message)
		}
	}
}

// TestCRLOnly has the answer to SCEP's GetCRL.
func TestCRLOnly(t *testing.T) {
	p := newParty(t, pki.P256)
	issuer := parseX509(t, p.certificate)
	issuer.KeyUsage = x509.KeyUsageCRLSign
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), NextUpdate: time.Now()}, issuer, p.signer())
	if err != nil {
		t.Fatal(err)
	}
	message, err := CRLOnly(crl)
	if err != nil {
		t.Fatal(err)
	}
	checkDER(t, message)
	d := parseSigned(t, message)
	if diff := cmp.Diff([][]byte{crl}, d.CRLs); diff != "" || d.Content != nil || d.Signers != nil {
		t.Errorf("%s\n%+v", diff, d)
	}
	other, err := pkcs7.Parse(message)
	if err != nil || len(other.CRLs) != 1 {
		t.Errorf("smallstep/pkcs7: %v", err)
	}
}

// TestSmallstep signs here and verifies with smallstep/pkcs7, and the reverse.
func TestSmallstep(t *testing.T) {
	for _, kind := range []pki.KeyKind{pki.RSA2048, pki.P256, pki.P384} {
		p := newParty(t, kind)
		cert := parseX509(t, p.certificate)
		ours := sign(t, Message{Content: []byte("content"), Certificates: [][]byte{p.certificate}},
			Signer{Key: p.signer(), Certificate: p.certificate, SigningTime: time.Now(), Attributes: []Attribute{transactionID}})
		other, err := pkcs7.Parse(ours)
		if err != nil {
			t.Fatal(err)
		}
		var id string
		oid := asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
		if err := other.Verify(); err != nil || string(other.Content) != "content" || other.UnmarshalSignedAttribute(oid, &id) != nil || id != "a transaction" {
			t.Errorf("%s: %v, %q, %q", kind, err, other.Content, id)
		}
		their, err := pkcs7.NewSignedData([]byte("content"))
		if err != nil {
			t.Fatal(err)
		}
		their.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		if err := their.AddSigner(cert, p.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{{Type: oid, Value: "a transaction"}}}); err != nil {
			t.Fatal(err)
		}
		message, err := their.Finish()
		if err != nil {
			t.Fatal(err)
		}
		d := parseSigned(t, message)
		if _, err := d.Verify(0, VerifyOptions{}); err != nil || string(d.Content) != "content" ||
			!bytes.Equal(d.Signers[0].Attributes.Get(oidTransactionID), transactionID.Value) {
			t.Errorf("%s: %v, %q", kind, err, d.Content)
		}
	}
}

// withoutKeyID returns another certificate of p, without a key identifier.
func withoutKeyID(t testing.TB, p testParty) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, p.signer().Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
