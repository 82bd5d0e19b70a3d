package packs_test

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestVerify has crypto/x509 verify the chain of each certificate of each pack. Of a
// critical subjectAltName with other names alone it knows nothing, and leaves it to
// us, who have read it.
func TestVerify(t *testing.T) {
	for _, name := range packs.Names() {
		t.Run(name, func(t *testing.T) {
			p := get(t, name)
			tr := grow(t, p)
			for _, a := range p.Authorities {
				verify(t, a.Name, tr.authorities[a.Name].made, now)
			}
			for _, leaf := range leaves(t, p) {
				verify(t, leaf, tr.leaf(t, leaf, ""), now)
			}
		})
	}
}

func verify(t *testing.T, name string, m made, when time.Time) {
	t.Helper()
	certificate := parse(t, m.der)
	if e := findSAN(certificate); e != nil {
		if _, err := tbs.ParseGeneralNames(e); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		certificate.UnhandledCriticalExtensions = slices.DeleteFunc(certificate.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool { return id.String() == "2.5.29.17" })
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	above := slices.Clone(m.above)
	if len(above) == 0 {
		above = [][]byte{m.der} // a root verifies to itself
	}
	roots.AddCert(parse(t, above[len(above)-1]))
	for _, raw := range above[:len(above)-1] {
		between.AddCert(parse(t, raw))
	}
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: when, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func parse(t testing.TB, raw []byte) *x509.Certificate {
	t.Helper()
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func findSAN(c *x509.Certificate) []byte {
	for _, e := range c.Extensions {
		if e.Id.String() == "2.5.29.17" {
			return e.Value
		}
	}
	return nil
}
