package enroll_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// A pairing is a house with the two endpoints of a pair.
type pairing struct{ *house }

func newPairing(t *testing.T) pairing {
	t.Helper()
	h := newHouse(t, "meter")
	h.AddPair(t, "acme")
	h.AddPaired(t, "acme", "other", "elsewhere", "keyAgreement")
	return pairing{h}
}

// ask returns a request for a device's pair with the given keys.
func (p pairing) ask(device string, first, second crypto.Signer) enroll.Request {
	p.t.Helper()
	r := p.request("acme.sign", pandotest.CSR(p.t, first, pkix.Name{SerialNumber: device}))
	r.Pair = &enroll.Pair{Endpoint: "acme.agree", CSR: pandotest.CSR(p.t, second, pkix.Name{SerialNumber: device})}
	return r
}

func (p pairing) key() crypto.Signer {
	p.t.Helper()
	return pandotest.Key(p.t, pki.P256)
}

// TestPair: both certificates are made at once, and are the same ones when the request
// comes again.
func TestPair(t *testing.T) {
	p := newPairing(t)
	r := p.ask("M-1", p.key(), p.key())
	r.Idempotency = "M-1, pair"
	got, first := p.get(r)
	second := pandotest.Parse(t, got.Pair.DER)
	if first.KeyUsage != x509.KeyUsageDigitalSignature || second.KeyUsage != x509.KeyUsageKeyAgreement {
		t.Errorf("key usages %b and %b", first.KeyUsage, second.KeyUsage)
	}
	a, b := got.Certificate, got.Pair
	if a.Device != "M-1" || b.Device != "M-1" || a.Intent != b.Intent || a.Place == b.Place || a.Profile.Name != "sign" || b.Profile.Name != "agree" || !a.NotBefore.Equal(b.NotBefore) {
		t.Errorf("not a pair: %+v and %+v", a, b)
	}
	again, err := p.Enroll.Enroll(t.Context(), r)
	if err != nil || !again.Repeated || again.Certificate.Serial != a.Serial || again.Pair.Serial != b.Serial {
		t.Errorf("again: %+v, %v", again, err)
	}
	other := p.ask("M-2", p.key(), p.key())
	other.Idempotency = r.Idempotency
	_, err = p.Enroll.Enroll(t.Context(), other)
	refused(t, err, pki.Conflict)
}

// TestPairRefusals: no certificate of a pair comes alone, and what refuses one refuses
// both and claims nothing.
func TestPairRefusals(t *testing.T) {
	p := newPairing(t)
	taken, free := p.key(), p.key()
	p.get(p.ask("M-1", p.key(), taken))

	alone := p.ask("M-2", free, p.key())
	alone.Pair = nil
	wrong := p.ask("M-2", free, p.key())
	wrong.Pair.Endpoint = "acme.other"
	plain := p.ask("M-2", free, p.key())
	plain.Pair.Endpoint = "acme.meter"
	same := p.ask("M-2", free, free)
	key, twin := twins(t)
	two := p.ask("M-2", free, p.key())
	two.Pair.CSR = meterCSR(t, "M-3")
	for name, c := range map[string]struct {
		r    enroll.Request
		kind pki.Kind
	}{
		"alone":                 {alone, pki.PolicyRefused},
		"another profile":       {wrong, pki.PolicyRefused},
		"a profile that is not": {plain, pki.PolicyRefused},
		"one key":               {same, pki.DuplicateKey},
		"one secret":            {p.ask("M-2", key, twin), pki.DuplicateKey},
		"two devices":           {two, pki.Malformed},
		"second key is taken":   {p.ask("M-2", free, taken), pki.DuplicateKey},
		"first key is taken":    {p.ask("M-2", taken, free), pki.DuplicateKey},
		"no such endpoint":      {func() enroll.Request { r := p.ask("M-2", free, p.key()); r.Pair.Endpoint = "acme.no"; return r }(), pki.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Enroll.Enroll(t.Context(), c.r)
			refused(t, err, c.kind)
		})
	}
	one := p.grant(access.Enroll, "sign")
	limited := p.ask("M-2", free, p.key())
	limited.Grant = one
	_, err := p.Enroll.Enroll(t.Context(), limited)
	refused(t, err, pki.Forbidden)

	if got, _ := p.get(p.ask("M-2", free, p.key())); got.Pair == nil {
		t.Error("no pair with the key that was refused with another")
	}
}
