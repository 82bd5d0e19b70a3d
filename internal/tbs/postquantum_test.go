package tbs

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/schemes"
	"golang.org/x/crypto/cryptobyte"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// others are the implementations of circl, as a second reader of ML-DSA. SLH-DSA is
// circl's own.
var others = map[pki.KeyKind]sign.Scheme{
	pki.MLDSA44: schemes.ByName("ML-DSA-44"), pki.MLDSA65: schemes.ByName("ML-DSA-65"), pki.MLDSA87: schemes.ByName("ML-DSA-87"),
}

// sizes are the octets of public keys and signatures (FIPS 204, table 2; FIPS 205,
// table 2).
var sizes = map[pki.KeyKind][2]int{
	pki.MLDSA44: {1312, 2420}, pki.MLDSA65: {1952, 3309}, pki.MLDSA87: {2592, 4627}, pki.SLHDSA: {32, 7856},
}

// TestPostQuantum has a request, a certificate and a CRL under each kind of key. The
// certificate is read by crypto/x509, and its signature verified by circl.
func TestPostQuantum(t *testing.T) {
	for _, kind := range postQuantum {
		t.Run(string(kind), func(t *testing.T) {
			signer := newSigner(t, kind)
			key := publicKey(t, signer)
			alg := key.SignatureAlgorithm()
			// 22 octets around the key: two SEQUENCEs, an OID of 9, a BIT STRING.
			if key.Kind() != kind || len(key.SPKI()) < sizes[kind][0]+18 || len(key.SPKI()) > sizes[kind][0]+22 {
				t.Errorf("a key of kind %s with an SPKI of %d octets", key.Kind(), len(key.SPKI()))
			}

			subject := must(t)(Name{{OID: der.OIDCommonName, Value: "device"}}.Append(nil))
			info := AppendCSR(nil, subject, key, nil)
			request := AppendSigned(nil, info, alg, must(t)(Sign(signer, alg, info)))
			csr, err := ParseCSR(request)
			if err != nil {
				t.Fatal(err)
			}
			if err := csr.CheckProof(); err != nil {
				t.Error(err)
			}
			if len(csr.Signature) != sizes[kind][1] {
				t.Errorf("a signature of %d octets", len(csr.Signature))
			}
			csr.Signature[10] ^= 1
			wantKind(t, csr.CheckProof(), pki.BadProof)

			template := deviceTemplate(t, alg, key.KeyID())
			content := deviceContent(t, key)
			content.KeyUsage = DigitalSignature
			message := must(t)(template.Append(nil, content))
			certificate := AppendSigned(nil, message, alg, must(t)(Sign(signer, alg, message)))
			parsed, err := ParseCertificate(certificate)
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Verify(alg, parsed.TBS, parsed.Signature); err != nil {
				t.Error(err)
			}
			other, err := x509.ParseCertificate(certificate)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(other.RawSubjectPublicKeyInfo, key.SPKI()) || !bytes.Equal(other.Signature, parsed.Signature) {
				t.Error("crypto/x509 reads another key or signature")
			}
			verifyByCircl(t, kind, key, parsed.TBS, parsed.Signature)

			ecdsa := newSigner(t, pki.P256)
			if _, err := Sign(ecdsa, alg, message); err == nil {
				t.Error("an ECDSA key signs by " + alg.Name)
			}
			if _, err := Sign(signer, publicKey(t, ecdsa).SignatureAlgorithm(), message); err == nil {
				t.Error("the key signs by ECDSA")
			}
			if err := key.Verify(publicKey(t, ecdsa).SignatureAlgorithm(), parsed.TBS, parsed.Signature); err == nil {
				t.Error("the key verifies by ECDSA")
			}
		})
	}
}

// verifyByCircl has circl verify a signature of ML-DSA.
func verifyByCircl(t *testing.T, kind pki.KeyKind, key PublicKey, message, signature []byte) {
	t.Helper()
	scheme := others[kind]
	if scheme == nil {
		return
	}
	public, err := scheme.UnmarshalBinaryPublicKey(key.SPKI()[len(key.SPKI())-sizes[kind][0]:])
	if err != nil {
		t.Fatal(err)
	}
	if !scheme.Verify(public, message, signature, nil) {
		t.Error("circl does not verify the signature")
	}
}

// TestPostQuantumOCSP has OCSP responses of a responder of each kind, which an issuer
// of the same kind delegated, read back and verified, by circl too.
func TestPostQuantumOCSP(t *testing.T) {
	for _, kind := range postQuantum {
		t.Run(string(kind), func(t *testing.T) {
			r := newPostQuantumResponder(t, kind)
			response, err := ParseOCSPResponse(r.respond(t, ocspAnswers(), []byte{1, 2, 3}))
			if err != nil {
				t.Fatal(err)
			}
			by, err := response.Verify(r.issuer, time.Unix(1767225600, 0))
			if err != nil {
				t.Fatal(err)
			}
			if by.Key.Kind() != kind || len(response.Singles) != len(ocspAnswers()) || !bytes.Equal(response.Nonce, []byte{1, 2, 3}) {
				t.Errorf("a responder of kind %s, %d answers, nonce %x", by.Key.Kind(), len(response.Singles), response.Nonce)
			}
			verifyByCircl(t, kind, by.Key, response.data, response.signature)
			response.signature[10] ^= 1
			_, err = response.Verify(r.issuer, time.Unix(1767225600, 0))
			wantKind(t, err, pki.BadProof)
		})
	}
}

// A postQuantumResponder is a delegated OCSP responder with the issuer's certificate.
type postQuantumResponder struct {
	signer      crypto.Signer
	key         PublicKey
	issuer      *Parsed
	certificate []byte
}

func newPostQuantumResponder(t testing.TB, kind pki.KeyKind) *postQuantumResponder {
	t.Helper()
	caSigner := newSigner(t, kind)
	ca := publicKey(t, caSigner)
	certify := func(subject Name, key PublicKey, usage KeyUsage, parts ...ExtensionPart) []byte {
		tmpl, err := NewTemplate(TemplateConfig{
			IssuerName: must(t)(Name{{OID: der.OIDCommonName, Value: "issuer"}}.Append(nil)), Algorithm: ca.SignatureAlgorithm(),
			Parts: append(parts, ExtensionPart{Slot: SlotKeyUsage, Critical: true}, ExtensionPart{Slot: SlotSKI}, ExtensionPart{DER: AuthorityKeyID(ca.KeyID())}),
		})
		if err != nil {
			t.Fatal(err)
		}
		message := must(t)(tmpl.Append(nil, &Content{
			Serial: pki.NewSerial(pki.SerialLong, time.Now()), NotBefore: time.Unix(1767225600, 0), NotAfter: time.Unix(1798761600, 0),
			Subject: must(t)(subject.Append(nil)), Key: key, KeyUsage: usage,
		}))
		return AppendSigned(nil, message, ca.SignatureAlgorithm(), must(t)(Sign(caSigner, ca.SignatureAlgorithm(), message)))
	}
	issuer, err := ParseCertificate(certify(Name{{OID: der.OIDCommonName, Value: "issuer"}}, ca, KeyCertSign|CRLSign, ExtensionPart{DER: BasicConstraints(true, -1)}))
	if err != nil {
		t.Fatal(err)
	}
	signer := newSigner(t, kind)
	key := publicKey(t, signer)
	return &postQuantumResponder{signer, key, issuer, certify(Name{{OID: der.OIDCommonName, Value: "responder"}}, key, DigitalSignature,
		ExtensionPart{DER: must(t)(ExtendedKeyUsage(false, der.OIDOCSPSigning))}, ExtensionPart{DER: OCSPNoCheck()})}
}

// respond returns the signed response with the given answers.
func (r *postQuantumResponder) respond(t testing.TB, singles []OCSPSingle, nonce []byte) []byte {
	t.Helper()
	alg := r.key.SignatureAlgorithm()
	data := AppendResponseData(nil, r.key.KeyID(), time.Unix(1767225600, 0), singles, nonce)
	return AppendOCSPResponse(nil, data, alg, must(t)(Sign(r.signer, alg, data)), r.certificate)
}

// TestMixedHierarchy: a key of one kind certifies one of another, both ways.
func TestMixedHierarchy(t *testing.T) {
	ca := func(signer crypto.Signer, name string, subject PublicKey, issuer PublicKey, issuerName string) *Parsed {
		alg := issuer.SignatureAlgorithm()
		tmpl, err := NewTemplate(TemplateConfig{
			IssuerName: must(t)(Name{{OID: der.OIDCommonName, Value: issuerName}}.Append(nil)), Algorithm: alg,
			Parts: []ExtensionPart{{Slot: Constant, DER: BasicConstraints(true, -1)}, {Slot: SlotKeyUsage, Critical: true}, {Slot: SlotSKI}, {Slot: Constant, DER: AuthorityKeyID(issuer.KeyID())}},
		})
		if err != nil {
			t.Fatal(err)
		}
		message := must(t)(tmpl.Append(nil, &Content{
			Serial: pki.NewSerial(pki.SerialLong, time.Now()), NotBefore: time.Unix(1767225600, 0), NotAfter: time.Unix(1798761600, 0),
			Subject: must(t)(Name{{OID: der.OIDCommonName, Value: name}}.Append(nil)), Key: subject, KeyUsage: KeyCertSign | CRLSign,
		}))
		parsed, err := ParseCertificate(AppendSigned(nil, message, alg, must(t)(Sign(signer, alg, message))))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, kinds := range [][2]pki.KeyKind{{pki.MLDSA87, pki.P256}, {pki.P384, pki.MLDSA65}, {pki.SLHDSA, pki.MLDSA44}} {
		rootKey, issuingKey := newSigner(t, kinds[0]), newSigner(t, kinds[1])
		root := ca(rootKey, "root", publicKey(t, rootKey), publicKey(t, rootKey), "root")
		issuing := ca(rootKey, "issuing", publicKey(t, issuingKey), publicKey(t, rootKey), "root")
		if err := root.CheckSignedBy(root); err != nil {
			t.Errorf("%v: %v", kinds, err)
		}
		if err := issuing.CheckSignedBy(root); err != nil {
			t.Errorf("%v: %v", kinds, err)
		}
		wantKind(t, issuing.CheckSignedBy(issuing), pki.Malformed)
	}
}

// TestPSS has requests signed by crypto/x509 with RSA PSS.
func TestPSS(t *testing.T) {
	signer := newSigner(t, pki.RSA2048)
	key := publicKey(t, signer)
	for _, algorithm := range []x509.SignatureAlgorithm{x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS} {
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}, SignatureAlgorithm: algorithm}, signer)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := ParseCSR(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := csr.CheckProof(); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		alg, err := ParseSignatureAlgorithm(csr.Algorithm)
		if err != nil {
			t.Fatal(err)
		}
		signature := must(t)(Sign(signer, alg, csr.TBS))
		if err := key.Verify(alg, csr.TBS, signature); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		if err := key.Verify(key.SignatureAlgorithm(), csr.TBS, signature); err == nil {
			t.Errorf("%s verifies as PKCS #1 v1.5", algorithm)
		}
		// A salt of another length, said in the last octet, is another algorithm.
		odd := bytes.Clone(csr.Algorithm)
		odd[len(odd)-1]++
		_, err = ParseSignatureAlgorithm(odd)
		wantKind(t, err, pki.BadProof)
	}
}

func TestPostQuantumKeysRefuse(t *testing.T) {
	for _, kind := range postQuantum {
		spki := bytes.Clone(publicKey(t, newSigner(t, kind)).SPKI())
		// One octet less, in an SPKI whose lengths say so.
		info, _ := der.ReadOnly(spki, 0x30)
		var algorithm []byte
		var bits []byte
		if !info.ReadASN1Element((*cryptobyte.String)(&algorithm), 0x30) || !info.ReadASN1BitStringAsBytes(&bits) {
			t.Fatal("the SPKI is not well-formed")
		}
		_, err := ParsePublicKey(seq(algorithm, der.AppendBitString(nil, bits[1:])))
		wantKind(t, err, pki.BadKey)
		_, err = ParsePublicKey(seq(seq(algorithm[2:], []byte(asn1Null)), der.AppendBitString(nil, bits)))
		wantKind(t, err, pki.BadKey)
	}
}
