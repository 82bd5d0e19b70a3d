package check

import (
	"crypto/x509"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// FuzzParseCRL has crypto/x509 as the oracle: what both read, they read alike.
func FuzzParseCRL(f *testing.F) {
	f.Add(newFakeStore(f).crls[0].DER)
	f.Add(newFakeStore(f).crls[1].DER)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseCRL(b)
		if err != nil {
			return
		}
		want, err := x509.ParseRevocationList(b)
		if err != nil {
			return
		}
		if len(got.entries) != len(want.RevokedCertificateEntries) || !got.thisUpdate.Equal(want.ThisUpdate) || !got.nextUpdate.Equal(want.NextUpdate) {
			t.Fatalf("got %d entries from %v to %v, crypto/x509 %d from %v to %v", len(got.entries), got.thisUpdate, got.nextUpdate,
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
	f.Add([]byte(told(newFakeStore(f).certificates[0])))
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
