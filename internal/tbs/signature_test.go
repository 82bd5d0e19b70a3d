package tbs

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// TestSignVerify signs with each kind of key and verifies with each.
func TestSignVerify(t *testing.T) {
	message := []byte("what is signed")
	signers := make(map[pki.KeyKind]crypto.Signer)
	for _, kind := range allKinds {
		signers[kind] = newSigner(t, kind)
	}
	for kind, signer := range signers {
		key := publicKey(t, signer)
		alg := key.SignatureAlgorithm()
		signature, err := Sign(signer, alg, message)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if err := key.Verify(alg, message, signature); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if key.Verify(alg, append(message, '!'), signature) == nil {
			t.Errorf("%s: another message verifies", kind)
		}
		broken := bytes.Clone(signature)
		broken[len(broken)-1] ^= 1
		if key.Verify(alg, message, broken) == nil {
			t.Errorf("%s: a broken signature verifies", kind)
		}
		for other, signer := range signers {
			otherKey := publicKey(t, signer)
			if other == kind {
				continue
			}
			if otherKey.Verify(alg, message, signature) == nil {
				t.Errorf("a signature by %s verifies under %s", kind, other)
			}
			if otherKey.SignatureAlgorithm().scheme == alg.scheme {
				continue
			}
			if _, err := Sign(signer, alg, message); err == nil {
				t.Errorf("%s signs with %s", other, alg.Name)
			}
			if key.Verify(otherKey.SignatureAlgorithm(), message, signature) == nil {
				t.Errorf("%s verifies by %s", kind, otherKey.SignatureAlgorithm().Name)
			}
		}
	}
}

// TestSignHedged checks that ECDSA signatures are not deterministic: a fault in
// one of two equal computations would reveal the key.
func TestSignHedged(t *testing.T) {
	signer := newSigner(t, pki.P256)
	alg := publicKey(t, signer).SignatureAlgorithm()
	one := must(t)(Sign(signer, alg, []byte("message")))
	two := must(t)(Sign(signer, alg, []byte("message")))
	if bytes.Equal(one, two) {
		t.Error("two signatures over one message are equal")
	}
}

// TestForeignAlgorithm checks that an algorithm put together elsewhere fits no key.
func TestForeignAlgorithm(t *testing.T) {
	signer := newSigner(t, pki.P256)
	key := publicKey(t, signer)
	own := key.SignatureAlgorithm()
	foreign := SignatureAlgorithm{Name: own.Name, DER: own.DER, Hash: own.Hash}
	if _, err := Sign(signer, foreign, nil); err == nil {
		t.Error("signs")
	}
	if key.Verify(foreign, nil, must(t)(Sign(signer, own, nil))) == nil {
		t.Error("verifies")
	}
}

// TestSignatureAlgorithms lets crypto/x509 make requests by every algorithm that
// is read, and checks their proofs.
func TestSignatureAlgorithms(t *testing.T) {
	for alg, kind := range map[x509.SignatureAlgorithm]pki.KeyKind{
		x509.ECDSAWithSHA256: pki.P384, x509.ECDSAWithSHA384: pki.P521, x509.ECDSAWithSHA512: pki.P256,
		x509.SHA256WithRSA: pki.RSA2048, x509.SHA384WithRSA: pki.RSA2048, x509.SHA512WithRSA: pki.RSA2048,
		x509.PureEd25519: pki.Ed25519,
	} {
		request := must(t)(x509.CreateCertificateRequest(rand.Reader,
			&x509.CertificateRequest{Subject: pkix.Name{CommonName: "device"}, SignatureAlgorithm: alg}, newSigner(t, kind)))
		c, err := ParseCSR(request)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if err := c.CheckProof(); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// TestParseSignatureAlgorithmWithoutNull holds what RFC 4055, 5 demands of readers.
func TestParseSignatureAlgorithmWithoutNull(t *testing.T) {
	alg, err := ParseSignatureAlgorithm(seq(der.MustOID(der.OIDRSASHA384)))
	if err != nil || alg.Name != rsaSHA384.Name {
		t.Errorf("%s, %v", alg.Name, err)
	}
}

func TestParseSignatureAlgorithmRefuses(t *testing.T) {
	for name, identifier := range map[string][]byte{
		"empty":           nil,
		"SHA-1 with RSA":  seq(der.MustOID("1.2.840.113549.1.1.5"), []byte(asn1Null)),
		"RSA-PSS":         seq(der.MustOID("1.2.840.113549.1.1.10")),
		"ECDSA with NULL": seq(der.MustOID(der.OIDECDSASHA256), []byte(asn1Null)),
		"trailing octet":  append(seq(der.MustOID(der.OIDECDSASHA256)), 0),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSignatureAlgorithm(identifier)
			wantKind(t, err, pki.BadProof)
		})
	}
}
