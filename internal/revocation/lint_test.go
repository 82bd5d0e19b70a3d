package revocation_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestLintCRL: each CRL is linted before it is signed, with an entry of each reason,
// full ones and deltas; what is refused is not signed, and the next attempt is.
func TestLintCRL(t *testing.T) {
	v := revocationtest.New(t, 1)
	v.CA.Issuer.Deltas = true
	var linted [][]pki.Reason
	v.LintCRL = func(message []byte, alg tbs.SignatureAlgorithm) error {
		c, err := tbs.ParseCRL(tbs.AppendSigned(nil, message, alg, nil))
		if err != nil {
			return err
		}
		reasons := []pki.Reason{}
		for e := range c.Entries() {
			reasons = append(reasons, e.Reason)
		}
		linted = append(linted, reasons)
		return nil
	}
	for _, reason := range []pki.Reason{pki.Superseded, pki.KeyCompromise, pki.Superseded, pki.Unspecified} {
		revoke(t, v, v.Issue(), reason)
	}
	publish(t, v, 2)
	want := []pki.Reason{pki.Unspecified, pki.KeyCompromise, pki.Superseded}
	if len(linted) != 2 || !slices.Equal(linted[0], want) || len(linted[1]) != 0 {
		t.Errorf("linted %v, want %v in a full CRL, and an empty delta", linted, want)
	}
	v.LintCRL = func([]byte, tbs.SignatureAlgorithm) error { return errors.New("a rule") }
	v.Clock.Advance(revocation.DefaultCRLLife)
	before := v.Signer.Count(signer.CRL)
	if _, err := v.PublishDue(t.Context()); err == nil || !strings.Contains(err.Error(), "a rule") {
		t.Errorf("a CRL that is refused: %v", err)
	}
	if got := v.Signer.Count(signer.CRL); got != before {
		t.Errorf("%d signatures over what was refused", got-before)
	}
	v.LintCRL = nil
	v.Clock.Advance(time.Minute)
	publish(t, v, 2)
}
