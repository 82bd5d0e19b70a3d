package revocation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// FuzzParseList holds that what comes as a CRL to be installed is refused, or is a
// full list in force whose every entry will be looked for.
func FuzzParseList(f *testing.F) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}
	entry := func(serial int64) x509.RevocationListEntry {
		return x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: now, ReasonCode: 1}
	}
	for _, list := range []x509.RevocationList{
		{},
		{RevokedCertificateEntries: []x509.RevocationListEntry{entry(2), entry(300)}},
		{RevokedCertificateEntries: []x509.RevocationListEntry{entry(2), entry(2)}},
		{RevokedCertificateEntries: []x509.RevocationListEntry{entry(-2)}},
		{ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}},
		{ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: distributionPoint("http://status.example")}}},
	} {
		list.Number, list.ThisUpdate, list.NextUpdate = big.NewInt(7), now.Add(-time.Hour), now.Add(time.Hour)
		crl, err := x509.CreateRevocationList(rand.Reader, &list, issuer, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(crl)
	}
	f.Fuzz(func(t *testing.T, crl []byte) {
		list, err := parseList(crl, now)
		if err != nil {
			if kind := pki.KindOf(err); kind != pki.Malformed && kind != pki.PolicyRefused {
				t.Fatalf("%v has kind %s", err, kind)
			}
			return
		}
		if list.Number.Int64() <= 0 || list.ThisUpdate.After(now.Add(Backdate)) || !list.NextUpdate.After(now) {
			t.Errorf("number %d, from %s to %s", list.Number, list.ThisUpdate, list.NextUpdate)
		}
		for _, e := range list.Extensions {
			if oid := e.Id.String(); oid == deltaCRLIndicator || e.Critical && oid != der.OIDIssuingDistributionPoint {
				t.Errorf("the extension %s was taken", oid)
			}
		}
		if len(list.listed) != len(list.RevokedCertificateEntries) {
			t.Errorf("%d serials of %d entries", len(list.listed), len(list.RevokedCertificateEntries))
		}
		for _, e := range list.RevokedCertificateEntries {
			var serial pki.Serial
			if e.SerialNumber.Sign() <= 0 {
				t.Fatalf("serial %d was taken", e.SerialNumber)
			}
			reason, ok := list.listed[pki.Serial(e.SerialNumber.FillBytes(serial[:]))]
			if !ok || int(reason) != e.ReasonCode || reason == pki.RemoveFromCRL {
				t.Errorf("serial %d is listed %t with reason %s", e.SerialNumber, ok, reason)
			}
		}
	})
}
