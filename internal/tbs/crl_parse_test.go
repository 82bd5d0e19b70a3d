package tbs

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// newCRL encodes and signs a CRL, with the certificate of its issuer.
func newCRL(t testing.TB, n int, change func(*CRLInfo)) (*CRLInfo, []byte, *Parsed) {
	t.Helper()
	signer := newSigner(t, pki.P256)
	info := newCRLInfo(t, signer)
	if change != nil {
		change(info)
	}
	tbs := writeCertList(t, info, crlEntries(n))
	signature := must(t)(Sign(signer, info.Algorithm, tbs))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: info.Issuer, SubjectKeyId: info.IssuerKeyID, IsCA: true, BasicConstraintsValid: true,
		NotBefore: info.ThisUpdate, NotAfter: info.NextUpdate, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
	}
	issuer := must(t)(x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer))
	parsed, err := ParseCertificate(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return info, AppendSigned(nil, tbs, info.Algorithm, signature), parsed
}

func parseCRL(t testing.TB, crl []byte) *ParsedCRL {
	t.Helper()
	c, err := ParseCRL(crl)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseCRL(t *testing.T) {
	for name, change := range map[string]func(*CRLInfo){
		"full":   func(*CRLInfo) {},
		"no URL": func(i *CRLInfo) { i.URL = "" },
		"base":   func(i *CRLInfo) { i.Freshest = "http://status.example/crl/1/0-delta.crl" },
		"delta":  func(i *CRLInfo) { i.Base = 127 },
	} {
		for _, n := range []int{0, 1, 1000} {
			info, crl, issuer := newCRL(t, n, change)
			got, err := ParseCRL(crl)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := got.CheckSignedBy(issuer); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			back := &CRLInfo{
				Issuer: got.Issuer, IssuerKeyID: got.IssuerKeyID, Number: got.Number, ThisUpdate: got.ThisUpdate,
				NextUpdate: got.NextUpdate, URL: got.URL, Base: got.Base, Freshest: got.Freshest,
			}
			if diff := cmp.Diff(info, back, cmpopts.IgnoreFields(CRLInfo{}, "Algorithm")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			var entries []CRLEntry
			for e, err := range got.Entries() {
				if err != nil {
					t.Fatal(err)
				}
				e.At = e.At.Add(7)
				entries = append(entries, e)
			}
			if diff := cmp.Diff(slices.Collect(crlEntries(n)), entries); diff != "" {
				t.Errorf("%s: entries (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestCRLCheckSignedBy(t *testing.T) {
	_, crl, _ := newCRL(t, 1, nil)
	_, _, other := newCRL(t, 1, nil)
	c := parseCRL(t, crl)
	wantKind(t, c.CheckSignedBy(other), pki.Malformed) // another key identifier
	_, crl, issuer := newCRL(t, 1, nil)
	c = parseCRL(t, crl)
	c.TBS = bytes.Clone(c.TBS)
	c.TBS[len(c.TBS)-1]++
	wantKind(t, c.CheckSignedBy(issuer), pki.BadProof)
}

// TestDeltaCRLExtensions holds what makes a delta CRL, and a base, to the bytes.
func TestDeltaCRLExtensions(t *testing.T) {
	_, delta, _ := newCRL(t, 1, func(i *CRLInfo) { i.Base = 127 })
	indicator := must(t)(RawExtension(der.OIDDeltaCRLIndicator, true, []byte{2, 1, 127}))
	if !bytes.Contains(delta, indicator) || bytes.Contains(delta, der.MustOID(der.OIDFreshestCRL)) {
		t.Errorf("%x is no delta CRL", delta)
	}
	url := "http://status.example/crl/1/0-delta.crl"
	_, base, _ := newCRL(t, 1, func(i *CRLInfo) { i.Freshest = url })
	point := node(der.Explicit(0), node(der.Explicit(0), node(der.Implicit(6), []byte(url))))
	freshest := must(t)(RawExtension(der.OIDFreshestCRL, false, seq(seq(point))))
	if !bytes.Contains(base, freshest) || bytes.Contains(base, der.MustOID(der.OIDDeltaCRLIndicator)) {
		t.Errorf("%x is no base CRL", base)
	}
}

func TestParseCRLRefuses(t *testing.T) {
	signer := newSigner(t, pki.P256)
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "a"}, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}
	make := func(number int64, extensions ...pkix.Extension) []byte {
		return must(t)(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(number), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour), ExtraExtensions: extensions,
		}, issuer, signer))
	}
	if _, err := ParseCRL(make(1)); err != nil {
		t.Fatal(err)
	}
	onlyUsers := seq(node(der.Implicit(1), []byte{0xff}))
	for name, crl := range map[string][]byte{
		"nothing":              nil,
		"more after it":        append(make(1), 0),
		"number 0":             make(0),
		"unknown and critical": make(1, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: asn1.NullBytes}),
		"another scope":        make(1, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: onlyUsers}),
		"delta to itself":      make(1, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}),
	} {
		_, err := ParseCRL(crl)
		if err == nil || pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseCRL has crypto/x509 as the oracle: what both read, they read alike.
func FuzzParseCRL(f *testing.F) {
	for _, n := range []int{0, 1, 12} {
		_, crl, _ := newCRL(f, n, func(i *CRLInfo) { i.Base = 127 })
		f.Add(crl)
		_, crl, _ = newCRL(f, n, func(i *CRLInfo) { i.Freshest = i.URL })
		f.Add(crl)
	}
	f.Fuzz(func(t *testing.T, crl []byte) {
		got, err := ParseCRL(crl)
		if err != nil {
			return
		}
		var entries []CRLEntry
		for e, err := range got.Entries() {
			if err != nil {
				return
			}
			entries = append(entries, e)
		}
		want, err := x509.ParseRevocationList(crl)
		if err != nil {
			return
		}
		if got.Number != want.Number.Int64() || !got.ThisUpdate.Equal(want.ThisUpdate) || !got.NextUpdate.Equal(want.NextUpdate) ||
			len(entries) != len(want.RevokedCertificateEntries) || !bytes.Equal(got.IssuerKeyID, want.AuthorityKeyId) {
			t.Fatalf("got number %d with %d entries; crypto/x509 %d with %d", got.Number, len(entries), want.Number, len(want.RevokedCertificateEntries))
		}
		for i, e := range want.RevokedCertificateEntries {
			if !bytes.Equal(entries[i].Serial.Bytes(), e.SerialNumber.Bytes()) || int(entries[i].Reason) != e.ReasonCode || !entries[i].At.Equal(e.RevocationTime) {
				t.Fatalf("entry %d is %v; crypto/x509 has %v", i, entries[i], e)
			}
		}
	})
}
