package tbs

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// FuzzParseCSR has crypto/x509 as the oracle: what it refuses is never accepted,
// and a proof that it does not accept neither.
func FuzzParseCSR(f *testing.F) {
	for _, kind := range allKinds {
		f.Add(newCSR(f, newSigner(f, kind)))
	}
	challenge := seq(der.MustOID(der.OIDChallengePassword), set(node(12, []byte("once"))))
	f.Add(newRequest(f, challenge, extensionRequest(BasicConstraints(true, 0), sanExtension(f, 2))).sign(f))
	f.Fuzz(func(t *testing.T, request []byte) {
		c, err := ParseCSR(request)
		if err != nil {
			if k := pki.KindOf(err); k != pki.Malformed && k != pki.BadKey {
				t.Fatalf("kind %s: %v", k, err)
			}
			return
		}
		other, err := x509.ParseCertificateRequest(request)
		if err != nil {
			t.Fatalf("crypto/x509: %v", err)
		}
		err = c.CheckProof()
		if err == nil && other.CheckSignature() != nil {
			t.Fatal("a proof is accepted that crypto/x509 refuses")
		}
		if err != nil && pki.KindOf(err) != pki.BadProof {
			t.Fatalf("kind %s: %v", pki.KindOf(err), err)
		}
		if len(c.Names) > maxGeneralNames || len(c.Extensions) > maxExtensions {
			t.Fatalf("%d names, %d extensions", len(c.Names), len(c.Extensions))
		}
		again, err := ParseCSR(AppendSigned(nil, c.AppendRekeyed(nil, c.Key), c.Key.SignatureAlgorithm(), []byte("signature")))
		if err != nil || !bytes.Equal(again.TBS, c.TBS) {
			t.Fatalf("with its own key it is another request: %v", err)
		}
		secret, err := c.Challenge()
		if len(secret.Reveal()) > MaxChallenge || err != nil && pki.KindOf(err) != pki.Malformed {
			t.Fatalf("a challenge of %d octets, %v", len(secret.Reveal()), err)
		}
	})
}

// FuzzParseTBS checks that a certificate of what is accepted is read by
// crypto/x509 as the same, where it looks as little into extensions as we do.
func FuzzParseTBS(f *testing.F) {
	for _, kind := range allKinds {
		ca, device := newCA(f, kind, caParts()...)
		for _, cert := range [][]byte{ca, device} {
			p, err := ParseCertificate(cert)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(p.TBS)
		}
	}
	f.Fuzz(func(t *testing.T, tbs []byte) {
		p, err := ParseTBS(tbs)
		if err != nil {
			return
		}
		alg := SignatureAlgorithm{DER: p.Algorithm}
		again, err := ParseCertificate(AppendSigned(nil, tbs, alg, []byte("signature")))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.TBS, tbs) || !cmp.Equal(again.Extensions, p.Extensions) {
			t.Fatal("the certificate is read differently from its content")
		}
		if p.Extensions == nil {
			compareWithX509(t, again)
		}
	})
}

// FuzzParseCertificate compares with crypto/x509 where it accepts, too: it refuses
// more extensions, whose values we do not look into.
func FuzzParseCertificate(f *testing.F) {
	for _, kind := range allKinds {
		ca, device := newCA(f, kind, caParts()...)
		f.Add(ca)
		f.Add(device)
	}
	f.Fuzz(func(t *testing.T, certificate []byte) {
		p, err := ParseCertificate(certificate)
		if err != nil {
			if k := pki.KindOf(err); k != pki.Malformed && k != pki.BadKey {
				t.Fatalf("kind %s: %v", k, err)
			}
			return
		}
		if _, err := x509.ParseCertificate(certificate); err == nil {
			compareWithX509(t, p)
		}
		_ = p.CheckSignedBy(p)
	})
}

func compareWithX509(t *testing.T, p *Parsed) {
	t.Helper()
	want, err := x509.ParseCertificate(p.Raw)
	if err != nil {
		t.Fatalf("crypto/x509: %v", err)
	}
	compareWithCertificate(t, p, want)
}

// FuzzParseName checks that what is read is written back the same, but for the
// upper bounds.
func FuzzParseName(f *testing.F) {
	f.Add(must(f)(issuerName.Append(nil)))
	f.Add(must(f)(Name{{OID: "1.3.6.1.4.1.37244.2.1", Value: "FFF1"}, {OID: der.OIDDomainComponent, Type: IA5String, Value: "x"}}.Append(nil)))
	f.Fuzz(func(t *testing.T, name []byte) {
		n, err := ParseName(name)
		if (err == nil) != (checkName(name) == nil) {
			t.Fatalf("ParseName and checkName differ: %v", err)
		}
		if err != nil {
			wantKind(t, err, pki.Malformed)
			return
		}
		_ = n.String()
		if back, err := n.Append(nil); err == nil && !bytes.Equal(back, name) {
			t.Fatalf("%x is written back as %x", name, back)
		}
	})
}

// FuzzParseGeneralNames checks that what is read is written back the same, but for
// names whose syntax only the writer checks.
func FuzzParseGeneralNames(f *testing.F) {
	f.Add(must(f)(AppendGeneralNames(nil, []GeneralName{
		{Kind: DNSName, Text: "meter.example"}, {Kind: IPAddress, Text: "192.0.2.1"}, {Kind: IPAddress, Text: "2001:db8::1"},
		{Kind: URI, Text: "urn:device:1"}, {Kind: Email, Text: "meter@example.com"},
		{Kind: HardwareModuleName, HWType: "1.3.6.1.4.1.32473.1.1", HWSerial: []byte("METER-0001")},
		{Kind: OtherGeneralName, DER: node(der.Implicit(8), []byte{0x55, 4, 3})},
	})))
	f.Fuzz(func(t *testing.T, names []byte) {
		n, err := ParseGeneralNames(names)
		if err != nil {
			wantKind(t, err, pki.Malformed)
			return
		}
		if back, err := AppendGeneralNames(nil, n); err == nil && !bytes.Equal(back, names) {
			t.Fatalf("%x is written back as %x", names, back)
		}
	})
}

// FuzzParsePublicKey has crypto/x509 as the oracle, and the way back.
func FuzzParsePublicKey(f *testing.F) {
	for _, kind := range allKinds {
		f.Add(publicKey(f, newSigner(f, kind)).SPKI())
	}
	f.Fuzz(func(t *testing.T, spki []byte) {
		key, err := ParsePublicKey(spki)
		if err != nil {
			wantKind(t, err, pki.BadKey)
			return
		}
		if _, err := x509.ParsePKIXPublicKey(spki); err != nil {
			t.Fatalf("crypto/x509: %v", err)
		}
		back, err := NewPublicKey(key.Crypto())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.SPKI(), spki) || back.Kind() != key.Kind() {
			t.Fatalf("%x is written back as %x", spki, back.SPKI())
		}
	})
}

// FuzzParseOCSPRequest checks the bounds, and that an answer can be made.
func FuzzParseOCSPRequest(f *testing.F) {
	f.Add(seq(seq(seq(seq(certID(1)), seq(certID(2))), nonceExtensions(f, []byte{4, 1, 9}))))
	f.Add(seq(seq(node(der.Explicit(1), node(der.Explicit(4), must(f)(issuerName.Append(nil)))), seq(seq(certID(1))))))
	f.Fuzz(func(t *testing.T, request []byte) {
		r, err := ParseOCSPRequest(request)
		if err != nil {
			wantKind(t, err, pki.Malformed)
			return
		}
		if len(r.IDs) == 0 || len(r.IDs) > maxOCSPIDs || r.Nonce != nil && (len(r.Nonce) == 0 || len(r.Nonce) > maxOCSPNonce) {
			t.Fatalf("%d certificates, nonce of %d", len(r.IDs), len(r.Nonce))
		}
		for _, id := range r.IDs {
			if len(id.NameHash) != id.Hash.Size() || len(id.KeyHash) != id.Hash.Size() || !encodable(&id.Serial) {
				t.Fatalf("%+v", id)
			}
		}
	})
}
