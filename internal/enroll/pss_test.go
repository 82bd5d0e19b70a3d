package enroll_test

import (
	"crypto/x509"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// TestPSS has hierarchies whose authorities sign by RSA PSS, of one kind and mixed:
// certificates, the root's and the issuing authority's CRLs, and the authority's
// request, all verified by crypto/x509.
func TestPSS(t *testing.T) {
	for name, kinds := range map[string]struct {
		root, issuing pki.KeyKind
		want          [2]x509.SignatureAlgorithm // of the root and of what the authority signs
	}{
		"PSS over PSS":   {pki.RSA4096PSS, pki.RSA3072PSS, [2]x509.SignatureAlgorithm{x509.SHA512WithRSAPSS, x509.SHA384WithRSAPSS}},
		"PSS over ECDSA": {pki.RSA2048PSS, pki.P256, [2]x509.SignatureAlgorithm{x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256}},
		"RSA over PSS":   {pki.RSA2048, pki.RSA2048PSS, [2]x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA256WithRSAPSS}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "meter")
			root, request, authority := hierarchyOf(t, h, "pss", kinds.root, kinds.issuing, pki.P256)
			csr, err := x509.ParseCertificateRequest(request.CSR)
			if err != nil || csr.SignatureAlgorithm != kinds.want[1] || csr.CheckSignature() != nil {
				t.Errorf("a request by %v, %v", csr.SignatureAlgorithm, err)
			}
			install(t, h, root)(h.Hierarchy.CRLRequest(t.Context(), h.grant(access.ManageAuthorities), "pq-root", "", 0))
			r := h.request("acme.pss", meterCSR(t, "RNI-1"))
			got, device := h.get(r)
			chain, err := h.Hierarchy.Chain(t.Context(), got.Certificate.Issuer)
			if err != nil {
				t.Fatal(err)
			}
			issuing, top := pandotest.Parse(t, chain[0]), pandotest.Parse(t, chain[1])
			if device.SignatureAlgorithm != kinds.want[1] || issuing.SignatureAlgorithm != kinds.want[0] || top.SignatureAlgorithm != kinds.want[0] {
				t.Errorf("signed by %v, %v and %v", device.SignatureAlgorithm, issuing.SignatureAlgorithm, top.SignatureAlgorithm)
			}
			roots, between := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(top)
			between.AddCert(issuing)
			if _, err := device.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				t.Error(err)
			}
			if _, err := h.Revocation.Revoke(t.Context(), h.grant(access.Revoke), got.Certificate.Issuer, got.Certificate.Serial, pki.KeyCompromise); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Revocation.PublishDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			crl, err := h.Revocation.CRL(t.Context(), revocation.List{Issuer: authority.Issuers[0].ID})
			if err != nil {
				t.Fatal(err)
			}
			list, err := x509.ParseRevocationList(crl.DER)
			if err != nil {
				t.Fatal(err)
			}
			if err := list.CheckSignatureFrom(issuing); err != nil || list.SignatureAlgorithm != kinds.want[1] || len(list.RevokedCertificateEntries) != 1 {
				t.Errorf("a CRL by %v with %d entries: %v", list.SignatureAlgorithm, len(list.RevokedCertificateEntries), err)
			}
		})
	}
}
