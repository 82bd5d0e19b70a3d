package pandotest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

func TestKeysOfEveryKind(t *testing.T) {
	for _, kind := range pki.KeyKinds() {
		if kind == pki.RSA3072 || kind == pki.RSA4096 {
			continue // seconds each; RSA2048 goes the same way
		}
		key, err := tbs.NewPublicKey(Key(t, kind).Public())
		if err != nil {
			t.Fatal(err)
		}
		if key.Kind() != kind {
			t.Errorf("got a %s key, want %s", key.Kind(), kind)
		}
	}
}

func TestHierarchyVerifies(t *testing.T) {
	now := time.Now()
	root := NewRoot(t, "root", now)
	issuing := root.NewIssuing(t, "issuing", now)
	key := Key(t, pki.P256)
	device := Parse(t, issuing.Sign(t, &x509.Certificate{
		Subject: pkix.Name{SerialNumber: "1"}, NotBefore: now, NotAfter: now.Add(time.Hour),
	}, key.Public()))
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now.Add(time.Second)}
	opts.Roots.AddCert(root.Certificate)
	opts.Intermediates.AppendCertsFromPEM(PEM(issuing.Chain()...))
	if _, err := device.Verify(opts); err != nil {
		t.Error(err)
	}
}

func TestGoodCSR(t *testing.T) {
	csr, err := tbs.ParseCSR(CSR(t, Key(t, pki.P384), pkix.Name{CommonName: "a"}, "a.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckProof(); err != nil {
		t.Error(err)
	}
}

func TestBadCSRs(t *testing.T) {
	for _, bad := range BadCSRs(t) {
		csr, err := tbs.ParseCSR(bad.DER)
		if err == nil {
			err = csr.CheckProof()
		}
		if err == nil {
			err = policy.CheckKey(csr.Key)
		}
		if err == nil || pki.KindOf(err) != bad.Kind {
			t.Errorf("%s: got %v (%v), want %v", bad.Name, err, pki.KindOf(err), bad.Kind)
		}
	}
}

func TestClock(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := NewClock(start)
	c.Advance(time.Minute)
	if got := c.Now().Sub(start); got != time.Minute {
		t.Errorf("the clock moved %v, want a minute", got)
	}
}
