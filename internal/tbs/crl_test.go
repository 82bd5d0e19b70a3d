package tbs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"iter"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// newCRLInfo returns what a CRL by signer has.
func newCRLInfo(t testing.TB, signer crypto.Signer) *CRLInfo {
	t.Helper()
	key := publicKey(t, signer)
	return &CRLInfo{
		Issuer: must(t)(issuerName.Append(nil)), IssuerKeyID: key.KeyID(), Algorithm: key.SignatureAlgorithm(),
		Number: 255, URL: "http://status.example/crl/1/0.crl",
		ThisUpdate: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		NextUpdate: time.Date(2026, 1, 9, 3, 4, 5, 0, time.UTC),
	}
}

// crlEntries yields n entries of every reason and of years on both sides of 2050,
// without holding them.
func crlEntries(n int) iter.Seq[CRLEntry] {
	reasons := []pki.Reason{0, 1, 2, 3, 4, 5, 6, 8, 9, 10}
	return func(yield func(CRLEntry) bool) {
		for i := range n {
			e := CRLEntry{
				Serial: pki.Serial{0: byte(i % 3), 17: byte(i >> 16), 18: byte(i >> 8), 19: byte(i) | 1},
				At:     time.Date(2026+i%60, 2, 3, 4, 5, 6, 7, time.UTC),
				Reason: reasons[i%len(reasons)],
			}
			if !yield(e) {
				return
			}
		}
	}
}

func writeCertList(t testing.TB, info *CRLInfo, entries iter.Seq[CRLEntry]) []byte {
	t.Helper()
	b, err := certListOf(info, 100, entries)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func certListOf(info *CRLInfo, size int, entries iter.Seq[CRLEntry]) ([]byte, error) {
	encoded, err := appendEntries(make([]byte, 0, size), entries)
	if err != nil {
		return nil, err
	}
	l, err := NewCertList(info, len(encoded))
	if err != nil {
		return nil, err
	}
	return slices.Concat(l.Begin(), encoded, l.End()), nil
}

func appendEntries(dst []byte, entries iter.Seq[CRLEntry]) (_ []byte, err error) {
	for e := range entries {
		if dst, err = e.Append(dst); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func TestCRLAgainstX509(t *testing.T) {
	for _, kind := range allKinds {
		for _, n := range []int{0, 1, 3, 1000} {
			signer := newSigner(t, kind)
			info := newCRLInfo(t, signer)
			tbs := writeCertList(t, info, crlEntries(n))
			signature := must(t)(Sign(signer, info.Algorithm, tbs))
			list, err := x509.ParseRevocationList(AppendSigned(nil, tbs, info.Algorithm, signature))
			if err != nil {
				t.Fatalf("%s, %d entries: %v", kind, n, err)
			}
			issuer := &x509.Certificate{
				PublicKey: signer.Public(), Version: 3, IsCA: true, BasicConstraintsValid: true,
				KeyUsage: x509.KeyUsageCRLSign, PublicKeyAlgorithm: publicKeyAlgorithm(kind),
			}
			if err := list.CheckSignatureFrom(issuer); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if list.Number.Cmp(big.NewInt(info.Number)) != 0 || !bytes.Equal(list.AuthorityKeyId, info.IssuerKeyID) ||
				!bytes.Equal(list.RawIssuer, info.Issuer) || !list.ThisUpdate.Equal(info.ThisUpdate) || !list.NextUpdate.Equal(info.NextUpdate) {
				t.Errorf("%s: %+v", kind, list)
			}
			var got []CRLEntry
			for _, e := range list.RevokedCertificateEntries {
				serial, err := pki.SerialFromBytes(e.SerialNumber.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, CRLEntry{Serial: serial, At: e.RevocationTime.Add(7), Reason: pki.Reason(e.ReasonCode)})
			}
			if diff := cmp.Diff(slices.Collect(crlEntries(n)), got); diff != "" {
				t.Errorf("%s: entries (-want +got):\n%s", kind, diff)
			}
		}
	}
}

func publicKeyAlgorithm(kind pki.KeyKind) x509.PublicKeyAlgorithm {
	switch kind {
	case pki.RSA2048:
		return x509.RSA
	case pki.Ed25519:
		return x509.Ed25519
	default:
		return x509.ECDSA
	}
}

// TestCRLDistributionPoint checks the one extension that crypto/x509 does not
// read: critical, and named like the certificates' distribution point.
func TestCRLDistributionPoint(t *testing.T) {
	info := newCRLInfo(t, newSigner(t, pki.P256))
	url := node(der.Explicit(0), node(der.Explicit(0), node(der.Implicit(6), []byte(info.URL))))
	want := must(t)(RawExtension(der.OIDIssuingDistributionPoint, true, seq(url)))
	if tbs := writeCertList(t, info, crlEntries(1)); !bytes.Contains(tbs, want) {
		t.Errorf("%x has no issuing distribution point %x", tbs, want)
	}
	if !bytes.Contains(must(t)(crlDistributionPoint(der.OIDCRLDistributionPoints, false, info.URL)), seq(url)) {
		t.Error("a certificate's distribution point has another name")
	}
	info.URL = ""
	if tbs := writeCertList(t, info, crlEntries(1)); bytes.Contains(tbs, der.MustOID(der.OIDIssuingDistributionPoint)) {
		t.Error("a CRL without URL has a distribution point")
	}
}

func TestCRLRefuses(t *testing.T) {
	good := newCRLInfo(t, newSigner(t, pki.P256))
	at := good.ThisUpdate
	entry := func(e CRLEntry) iter.Seq[CRLEntry] { return slices.Values([]CRLEntry{e}) }
	for name, tt := range map[string]struct {
		change  func(*CRLInfo)
		entries iter.Seq[CRLEntry]
	}{
		"no issuer":           {func(i *CRLInfo) { i.Issuer = nil }, crlEntries(1)},
		"empty issuer":        {func(i *CRLInfo) { i.Issuer = []byte{0x30, 0} }, crlEntries(1)},
		"no algorithm":        {func(i *CRLInfo) { i.Algorithm = SignatureAlgorithm{} }, crlEntries(1)},
		"no key identifier":   {func(i *CRLInfo) { i.IssuerKeyID = nil }, crlEntries(1)},
		"negative number":     {func(i *CRLInfo) { i.Number = -1 }, crlEntries(1)},
		"fraction":            {func(i *CRLInfo) { i.ThisUpdate = at.Add(1) }, crlEntries(1)},
		"next update missing": {func(i *CRLInfo) { i.NextUpdate = time.Time{} }, crlEntries(1)},
		"next update is this": {func(i *CRLInfo) { i.NextUpdate = at }, crlEntries(1)},
		"relative URL":        {func(i *CRLInfo) { i.URL = "0.crl" }, crlEntries(1)},
		"negative base":       {func(i *CRLInfo) { i.Base = -1 }, crlEntries(1)},
		"base is itself":      {func(i *CRLInfo) { i.Base = i.Number }, crlEntries(1)},
		"delta to a delta":    {func(i *CRLInfo) { i.Base, i.Freshest = 1, i.URL }, crlEntries(1)},
		"relative freshest":   {func(i *CRLInfo) { i.Freshest = "0-delta.crl" }, crlEntries(1)},
		"zero serial":         {func(*CRLInfo) {}, entry(CRLEntry{At: at})},
		"serial of 21 octets": {func(*CRLInfo) {}, entry(CRLEntry{Serial: pki.Serial{0x80}, At: at})},
		"no time":             {func(*CRLInfo) {}, entry(CRLEntry{Serial: pki.Serial{1}})},
		"reason 7":            {func(*CRLInfo) {}, entry(CRLEntry{Serial: pki.Serial{1}, At: at, Reason: 7})},
		"reason 11":           {func(*CRLInfo) {}, entry(CRLEntry{Serial: pki.Serial{1}, At: at, Reason: 11})},
		"negative reason":     {func(*CRLInfo) {}, entry(CRLEntry{Serial: pki.Serial{1}, At: at, Reason: -1})},
	} {
		t.Run(name, func(t *testing.T) {
			info := *good
			tt.change(&info)
			_, err := certListOf(&info, 0, tt.entries)
			wantKind(t, err, pki.Internal)
		})
	}
}

// TestCertListSigned: what stands around the entries makes one CRL of them.
func TestCertListSigned(t *testing.T) {
	signer := newSigner(t, pki.P256)
	info := newCRLInfo(t, signer)
	for _, n := range []int{0, 1, 2, 3, 1000, 2000} {
		entries := must(t)(appendEntries(nil, crlEntries(n)))
		l, err := NewCertList(info, len(entries))
		if err != nil {
			t.Fatal(err)
		}
		tbs := slices.Concat(l.Begin(), entries, l.End())
		signature := must(t)(Sign(signer, info.Algorithm, tbs))
		want := AppendSigned(nil, tbs, info.Algorithm, signature)
		head, tail := l.Signed(signature)
		if got := slices.Concat(head, entries, tail); !bytes.Equal(got, want) {
			t.Errorf("%d entries: %x, want %x", n, got, want)
		}
	}
}

// TestCRLMemory checks that no entry takes memory of its own.
func TestCRLMemory(t *testing.T) {
	info := newCRLInfo(t, newSigner(t, pki.P256))
	allocations := func(n int) float64 {
		return testing.AllocsPerRun(5, func() {
			if _, err := certListOf(info, 64*n, crlEntries(n)); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(10), allocations(10_000); many > few {
		t.Errorf("%v allocations for 10 entries, %v for 10,000", few, many)
	}
}
