package quickstart

import (
	"crypto"
	"testing"

	"github.com/smallstep/scep"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pki"
)

// testSCEP has a device enrol by SCEP with the challenge of quickstart.json, and renew by
// the certificate that it got; another challenge is refused.
func testSCEP(t *testing.T, f *File) {
	t.Helper()
	c := scepclient.New(t, f.SCEP.URL)
	if got := c.Ask(scep.PKCSReq, scepclient.CSR(t, c.Key, "scep-rsa", "another")); got.PKIStatus != scep.FAILURE || got.FailInfo != scep.BadMessageCheck {
		t.Errorf("by another challenge: status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
	first := c.Ask(scep.PKCSReq, scepclient.CSR(t, c.Key, "scep-rsa", f.SCEP.Challenge.Reveal()))
	if first.PKIStatus != scep.SUCCESS {
		t.Fatalf("by the challenge: status %s, failInfo %q", first.PKIStatus, first.FailInfo)
	}
	next := pandotest.Key(t, pki.RSA2048)
	c.Signer = first.Certificate
	renewed := c.Ask(scep.RenewalReq, scepclient.CSR(t, next, "scep-rsa", ""))
	if renewed.PKIStatus != scep.SUCCESS {
		t.Fatalf("renewal: status %s, failInfo %q", renewed.PKIStatus, renewed.FailInfo)
	}
	if got := renewed.Certificate; got.Subject.CommonName != "scep-rsa" || got.SerialNumber.Cmp(first.Certificate.SerialNumber) == 0 || !next.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(got.PublicKey) {
		t.Errorf("renewed as %v", got.Subject)
	}
}
