package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// newCRL makes a CRL with crypto/x509.
func newCRL(t testing.TB, entries []x509.RevocationListEntry) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "a"}, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(7), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour), RevokedCertificateEntries: entries,
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte("\x30\x0d\xa0\x0b\xa0\x09\x86\x07http://")}},
	}, issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseCRL(der); err != nil {
		t.Fatal(err)
	}
	return der
}

// FuzzParseCRL has crypto/x509 as the oracle: what both read, they read alike.
func FuzzParseCRL(f *testing.F) {
	for _, entries := range [][]x509.RevocationListEntry{
		nil,
		{{SerialNumber: big.NewInt(300), RevocationTime: time.Now(), ReasonCode: 1}, {SerialNumber: big.NewInt(2), RevocationTime: time.Now()}},
	} {
		f.Add(newCRL(f, entries))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseCRL(b)
		if err != nil {
			return
		}
		want, err := x509.ParseRevocationList(b)
		if err != nil {
			return
		}
		if len(got.entries) != len(want.RevokedCertificateEntries) || !got.ThisUpdate.Equal(want.ThisUpdate) || !got.NextUpdate.Equal(want.NextUpdate) {
			t.Fatalf("got %d entries from %v to %v, crypto/x509 %d from %v to %v", len(got.entries), got.ThisUpdate, got.NextUpdate,
				len(want.RevokedCertificateEntries), want.ThisUpdate, want.NextUpdate)
		}
		reasons := make(map[pki.Serial][]crlEntry)
		for _, e := range got.entries {
			reasons[e.serial] = append(reasons[e.serial], e)
		}
		for _, e := range want.RevokedCertificateEntries {
			serial, err := pki.SerialFromBytes(e.SerialNumber.Bytes())
			if err != nil {
				t.Fatalf("crypto/x509 has serial number %v", e.SerialNumber)
			}
			same := false
			for _, g := range reasons[serial] {
				same = same || g.at == e.RevocationTime.Unix() && int(g.reason) == e.ReasonCode
			}
			if !same {
				t.Fatalf("crypto/x509 has an entry %v that is not in %v", e, reasons[serial])
			}
		}
	})
}

func FuzzParseAcknowledgement(f *testing.F) {
	f.Add([]byte(`{"issuer":"a","serial":"4201","sha256":"` + strings.Repeat("0", 64) + `"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := parseAcknowledgement(line)
		if err != nil && pki.KindOf(err) != pki.Malformed {
			t.Errorf("got %v, want Malformed", err)
		}
		if err == nil && a.serial == (pki.Serial{}) {
			t.Error("accepted a line without a serial number")
		}
	})
}
