package tbs

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// benchmarkCSRs are a meter's request, and one with six names.
func benchmarkCSRs(b *testing.B) map[string][]byte {
	return map[string][]byte{"plain": newRequest(b).sign(b), "names": newCSR(b, newSigner(b, pki.P256))}
}

func BenchmarkParseCSR(b *testing.B) {
	for name, request := range benchmarkCSRs(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseCSR(request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParseCSRX509 is the second parser alone, as a measure.
func BenchmarkParseCSRX509(b *testing.B) {
	for name, request := range benchmarkCSRs(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x509.ParseCertificateRequest(request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckProof(b *testing.B) {
	c, err := ParseCSR(newCSR(b, newSigner(b, pki.P256)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.CheckProof(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTemplateAppend(b *testing.B) {
	key := publicKey(b, newSigner(b, pki.P256))
	tmpl, c := deviceTemplate(b, key.SignatureAlgorithm(), key.KeyID()), deviceContent(b, key)
	buf := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Append(buf, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseTBS(b *testing.B) {
	key := publicKey(b, newSigner(b, pki.P256))
	tbs := must(b)(deviceTemplate(b, key.SignatureAlgorithm(), key.KeyID()).Append(nil, deviceContent(b, key)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTBS(tbs); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOCSPResponse(b *testing.B) {
	signer := newSigner(b, pki.P256)
	key := publicKey(b, signer)
	answers, now := ocspAnswers()[:1], time.Now()
	_, device := newCA(b, pki.P256, caParts()...)
	b.ReportAllocs()
	for b.Loop() {
		data := AppendResponseData(nil, key.KeyID(), now, answers, nil)
		signature, err := Sign(signer, key.SignatureAlgorithm(), data)
		if err != nil {
			b.Fatal(err)
		}
		AppendOCSPResponse(nil, data, key.SignatureAlgorithm(), signature, device)
	}
}

// benchmarkEntries is the size of the CRLs of the two benchmarks below.
const benchmarkEntries = 1_000_000

func BenchmarkCertList(b *testing.B) {
	info := newCRLInfo(b, newSigner(b, pki.P256))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := certListOf(info, 45*benchmarkEntries, crlEntries(benchmarkEntries)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreateRevocationList is crypto/x509's way to the same list.
func BenchmarkCreateRevocationList(b *testing.B) {
	signer := newSigner(b, pki.P256)
	info := newCRLInfo(b, signer)
	issuer := &x509.Certificate{RawSubject: info.Issuer, SubjectKeyId: info.IssuerKeyID, KeyUsage: x509.KeyUsageCRLSign}
	b.ReportAllocs()
	for b.Loop() {
		list := &x509.RevocationList{Number: big.NewInt(info.Number), ThisUpdate: info.ThisUpdate, NextUpdate: info.NextUpdate}
		for e := range crlEntries(benchmarkEntries) {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
				SerialNumber: new(big.Int).SetBytes(e.Serial[:]), RevocationTime: e.At, ReasonCode: int(e.Reason),
			})
		}
		if _, err := x509.CreateRevocationList(rand.Reader, list, issuer, signer); err != nil {
			b.Fatal(err)
		}
	}
}
