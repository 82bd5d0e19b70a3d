package est

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http/httptest"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// FuzzSealing: whatever a request says of how its key is to be encrypted, it is for what
// the request was sent with, or refused.
func FuzzSealing(f *testing.F) {
	ca := pandotest.NewRoot(f, "an authority", pandotest.Now())
	template := *ca.Certificate
	template.KeyUsage, template.SubjectKeyId = x509.KeyUsageKeyAgreement, []byte("an identifier")
	key := pandotest.Key(f, pki.P256)
	certificate := pandotest.Parse(f, ca.Sign(f, &template, key.Public()))
	for _, attributes := range [][]pandotest.Attribute{
		nil,
		{named(der.OIDAsymmetricDecryptKeyIdentifier, certificate.SubjectKeyId), capable(der.OIDAES128GCM, der.OIDRSAOAEP)},
		{named(der.OIDDecryptKeyIdentifier, []byte("SM-1")), capable(der.OIDAES256CBC)},
		{named(der.OIDDecryptKeyIdentifier, []byte("SM-2"))},
	} {
		f.Add(pandotest.CSRWith(f, key, pkix.Name{CommonName: "SM-1"}, attributes...))
	}
	f.Fuzz(func(t *testing.T, csr []byte) {
		r := httptest.NewRequest("POST", "/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
		r.SetBasicAuth("SM-1", "hunter2")
		s, err := sealingOf(r, csr)
		if err != nil {
			if kind := pki.KindOf(err); kind != pki.Malformed && kind != pki.PolicyRefused && kind != pki.BadKey {
				t.Fatalf("%s: %v", kind, err)
			}
			return
		}
		if s != nil && (s.cipher == 0 || (s.recipient.Certificate == nil) == s.recipient.Password.IsZero()) {
			t.Fatalf("it is for %+v", s.recipient)
		}
	})
}
