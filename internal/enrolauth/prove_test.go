package enrolauth_test

import (
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trust"
)

// TestEveryProof tries each combination of what can be presented against each that an
// endpoint can want.
func TestEveryProof(t *testing.T) {
	h := newHouse(t, "meter")
	makers := maker{pandotest.NewRoot(t, "Maker CA", time.Now().Add(-time.Hour))}
	h.trust(trust.NewAnchor{Name: "maker", Certificate: makers.Certificate.Raw, Role: access.Device, Scopes: endpoint("meter")})
	_, secret := h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	_, token, err := h.Tokens.Create(t.Context(), h.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: "plant", Role: access.FactoryOperator})
	if err != nil {
		t.Fatal(err)
	}
	wants := [][]pki.Proofs{
		nil, {pki.ByCertificate}, {pki.BySecret}, {pki.ByToken}, {pki.ByCertificate | pki.BySecret}, {pki.ByCertificate | pki.ByToken},
		{pki.ByToken, pki.ByCertificate | pki.BySecret}, {pki.ByCertificate, pki.BySecret}, {pki.ByCertificate, pki.BySecret, pki.ByToken},
	}
	device := 0
	for _, want := range wants {
		h.update(enroll.NewEndpoint{Name: "meter", Auth: append([]pki.Proofs{}, want...)})
		for given := range pki.Proofs(8) {
			device++
			id := fmt.Sprintf("SM-%d", device)
			h.plan(id)
			p := enrolauth.Presented{Remote: "192.0.2.1:1000"}
			if given.Has(pki.ByCertificate) {
				p.Certificates = makers.birth(t, id)
			}
			if given.Has(pki.BySecret) {
				p.Secret = secret
			}
			if given.Has(pki.ByToken) {
				p.Token = token
			}
			may := given != 0 && !given.Has(pki.BySecret|pki.ByToken) && len(want) == 0
			for _, w := range want {
				may = may || given.Has(w) && !given.Has(pki.BySecret|pki.ByToken)
			}
			got, err := h.ask("meter", p, meterCSR(t, id))
			switch {
			case may && err != nil:
				t.Errorf("wanted %v, given %s: %v", want, given, err)
			case may && got.Certificate.Device != pki.DeviceID(id):
				t.Errorf("wanted %v, given %s: device %q", want, given, got.Certificate.Device)
			case !may && pki.KindOf(err) != pki.Unauthenticated:
				t.Errorf("wanted %v, given %s: %v, want it unauthenticated", want, given, err)
			}
		}
	}
}

// TestSecretsProve tries what is presented in the place of a secret.
func TestSecretsProve(t *testing.T) {
	h := newHouse(t, "meter", "tls-server")
	h.AddTenant(t, "globex", "meter")
	any, text := h.secret(enrolauth.NewSecret{Endpoint: "acme.meter", Name: "line 1"})
	bound, boundText := h.secret(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-1", Once: true})
	who, err := h.prove("meter", enrolauth.Presented{Secret: text, Remote: "192.0.2.7:4711"})
	h.ok("the secret alone", err)
	if who.ID != "secret:"+string(any.ID) || who.Name != "line 1" || who.Tenant != "acme" || who.Device != "" || who.Proofs != pki.BySecret || who.Once != "" ||
		who.Source.String() != "192.0.2.7" || !who.Expires.Equal(any.Expires) {
		t.Errorf("it proves %+v", who)
	}
	who, err = h.prove("meter", enrolauth.Presented{User: "SM-1", Secret: boundText})
	h.ok("the device with its secret", err)
	if who.Device != "SM-1" || who.Once != enrolauth.OnceKey(bound.ID) {
		t.Errorf("it proves %+v", who)
	}
	good := text.Reveal()
	for name, p := range map[string]enrolauth.Presented{
		"its id as the user":       {User: string(any.ID), Secret: text},
		"the device's id":          {User: "SM-1", Secret: boundText},
		"a device's by its own id": {User: string(bound.ID), Secret: boundText},
	} {
		_, err := h.prove("meter", p)
		h.ok(name, err)
	}
	other := "0" + good[1:]
	if good[0] == '0' {
		other = "1" + good[1:]
	}
	flipped := good[:len(good)-1] + string("0123456789abcdefghijklmnopqrstuv"[(strings.IndexByte("0123456789abcdefghijklmnopqrstuv", good[len(good)-1])+1)%32])
	var detail string
	for name, p := range map[string]enrolauth.Presented{
		"a user without a secret":     {User: string(any.ID)},
		"another user":                {User: "SM-2", Secret: boundText},
		"a user that is none":         {User: "admin", Secret: text},
		"an id that is none":          {Secret: pki.NewSecret(other)},
		"a letter flipped":            {Secret: pki.NewSecret(flipped)},
		"a letter less":               {Secret: pki.NewSecret(good[:len(good)-1])},
		"a letter more":               {Secret: pki.NewSecret(good + "0")},
		"upper case":                  {Secret: pki.NewSecret(strings.ToUpper(good))},
		"the random part alone":       {Secret: pki.NewSecret(good[27:])},
		"the id alone":                {Secret: pki.NewSecret(good[:26])},
		"10 kB":                       {Secret: pki.NewSecret(strings.Repeat("a", 10_000))},
		"a token that is none":        {Token: pki.NewSecret("pando_x")},
		"a secret in a token's place": {Token: text},
		"a stranger's certificate":    {Certificates: maker{pandotest.NewRoot(t, "Maker CA", time.Now().Add(-time.Hour))}.birth(t, "SM-1")},
	} {
		_, err := h.prove("meter", p)
		h.is(name, err, pki.Unauthenticated)
		if detail == "" {
			detail = pki.DetailOf(err)
		}
		if pki.DetailOf(err) != detail {
			t.Errorf("%s is told: %s", name, pki.DetailOf(err))
		}
	}
	for _, label := range []string{"acme.tls-server", "acme.none", "globex.meter", "none.meter", "meter", "", ".meter", "acme."} {
		_, err := h.Secrets.Prove(t.Context(), label, enrolauth.Presented{Secret: text})
		h.is(label, err, pki.Unauthenticated)
		if pki.DetailOf(err) != detail {
			t.Errorf("%q is told: %s", label, pki.DetailOf(err))
		}
	}
	_, err = h.prove("meter", enrolauth.Presented{})
	h.is("nothing", err, pki.Unauthenticated)

	h.ok("revoking", h.Secrets.Revoke(t.Context(), h.Permit(t, "acme", access.ManageSecrets), any.ID))
	_, err = h.prove("meter", enrolauth.Presented{Secret: text})
	h.is("revoked", err, pki.Unauthenticated)
	h.clock.Advance(enrolauth.DefaultLife - time.Second)
	_, err = h.prove("meter", enrolauth.Presented{Secret: boundText})
	h.ok("a second before it ends", err)
	h.clock.Advance(time.Second)
	_, err = h.prove("meter", enrolauth.Presented{Secret: boundText})
	h.is("expired", err, pki.Unauthenticated)
}

// TestAgree: what is presented together names one device.
func TestAgree(t *testing.T) {
	h := newHouse(t, "meter")
	makers := maker{pandotest.NewRoot(t, "Maker CA", time.Now().Add(-time.Hour))}
	h.trust(trust.NewAnchor{Name: "maker", Certificate: makers.Certificate.Raw, Role: access.Device, Scopes: endpoint("meter")})
	_, secret := h.secret(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-1"})
	_, err := h.ask("meter", enrolauth.Presented{Secret: secret, Certificates: makers.birth(t, "SM-1")}, meterCSR(t, "SM-1"))
	h.ok("both of SM-1", err) // the secret says that it is the tenant's
	_, err = h.prove("meter", enrolauth.Presented{Secret: secret, Certificates: makers.birth(t, "SM-2")})
	h.is("a secret of SM-1 with SM-2's certificate", err, pki.Unauthenticated)
	who, err := h.prove("meter", enrolauth.Presented{Secret: secret, Certificates: maker{pandotest.NewRoot(t, "Other", time.Now().Add(-time.Hour))}.birth(t, "SM-2")})
	h.ok("a certificate that proves nobody is as if it were not there", err)
	if who.Proofs != pki.BySecret || who.Presented != nil {
		t.Errorf("it is %+v", who)
	}
	_, err = h.prove("meter", enrolauth.Presented{Secret: pki.NewSecret("wrong"), Certificates: makers.birth(t, "SM-1")})
	h.is("a certificate with a wrong secret", err, pki.Unauthenticated)
}

// TestBirthCertificate: by its maker's certificate a device enrols that the registry
// knows and admits, and no other (802.1AR).
func TestBirthCertificate(t *testing.T) {
	h := newHouse(t, "meter")
	makers := maker{pandotest.NewRoot(t, "Maker CA", time.Now().Add(-time.Hour))}
	h.trust(trust.NewAnchor{Name: "maker", Certificate: makers.Certificate.Raw, Role: access.Device, Scopes: endpoint("meter")})
	enrol := func(of, csr string) error {
		_, err := h.ask("meter", enrolauth.Presented{Certificates: makers.birth(t, of)}, meterCSR(t, csr))
		return err
	}
	h.is("a device that was sold to somebody else", enrol("SM-9", "SM-9"), pki.PolicyRefused)
	h.plan("SM-1")
	h.is("for another", enrol("SM-1", "SM-9"), pki.Forbidden)
	h.ok("a planned device", enrol("SM-1", "SM-1"))
	if _, err := h.Registry.ChangeDevice(t.Context(), h.Permit(t, "acme", access.ManageDevices), "SM-1", registry.Suspend, ""); err != nil {
		t.Fatal(err)
	}
	h.is("a suspended device", enrol("SM-1", "SM-1"), pki.PolicyRefused)
	_, text := h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	_, err := h.ask("meter", enrolauth.Presented{Secret: text}, meterCSR(t, "SM-1"))
	h.is("a suspended device by a secret", err, pki.PolicyRefused)
}

// TestSecretIsHeldToItsOwn: a secret of a device enrols that device alone, one of a
// subject that subject alone, and one of an endpoint nothing elsewhere.
func TestSecretIsHeldToItsOwn(t *testing.T) {
	h := newHouse(t, "meter", "tls-server")
	_, device := h.secret(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-1"})
	_, subject := h.secret(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-2", Subject: "serialNumber=SM-2,O=Meter Works"})
	key := pandotest.Key(t, pki.P256)
	csr := func(name pkix.Name) []byte { return pandotest.CSR(t, key, name) }
	_, err := h.ask("meter", enrolauth.Presented{Secret: device}, csr(pkix.Name{SerialNumber: "SM-2"}))
	h.is("another device", err, pki.Forbidden)
	_, err = h.ask("meter", enrolauth.Presented{Secret: device}, csr(pkix.Name{SerialNumber: "SM-1", Organization: []string{"Evil"}}))
	h.is("an organisation", err, pki.Forbidden)
	_, err = h.ask("meter", enrolauth.Presented{Secret: device}, csr(pkix.Name{SerialNumber: "SM-1"}))
	h.ok("the device", err)
	key = pandotest.Key(t, pki.P256)
	_, err = h.ask("meter", enrolauth.Presented{Secret: subject}, csr(pkix.Name{SerialNumber: "SM-2"}))
	h.is("another subject", err, pki.Forbidden)
	_, err = h.ask("meter", enrolauth.Presented{Secret: subject}, csr(pkix.Name{SerialNumber: "SM-2", Organization: []string{"Meter Works"}}))
	h.ok("the subject", err)

	who, err := h.prove("meter", enrolauth.Presented{Secret: device})
	h.ok("proof", err)
	_, err = h.enrol(who, "tls-server", meterCSR(t, "SM-1"))
	h.is("at another endpoint", err, pki.Forbidden)
	g, err := who.Authorize(access.Enroll, "acme")
	h.ok("authorising", err)
	_, err = h.Enroll.Enroll(t.Context(), enroll.Request{Grant: g, Endpoint: "acme.meter", Protocol: pki.ProtocolSCEP, Subject: enroll.Subject{CSR: meterCSR(t, "SM-1")}})
	h.is("by a protocol that is off", err, pki.PolicyRefused)
	for _, p := range access.Permissions() {
		if p == access.Enroll {
			continue
		}
		if _, err := who.Authorize(p, "acme"); pki.KindOf(err) != pki.Forbidden {
			t.Errorf("a secret has %s", p)
		}
	}
}

// TestNetworks: an endpoint takes requests from its networks alone, whoever asks.
func TestNetworks(t *testing.T) {
	h := newHouse(t, "meter")
	h.update(enroll.NewEndpoint{Name: "meter", Networks: []string{"192.0.2.0/24", "2001:db8::/32", "198.51.100.7"}})
	_, text := h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	device := 0
	for remote, may := range map[string]bool{
		"192.0.2.1:1": true, "[::ffff:192.0.2.1]:1": true, "[2001:db8::1]:1": true, "198.51.100.7:1": true,
		"198.51.100.8:1": false, "192.0.3.1:1": false, "[2001:db9::1]:1": false, "[fe80::1%eth0]:1": false, "127.0.0.1:1": false, "": false, "pipe": false,
	} {
		device++
		_, err := h.ask("meter", enrolauth.Presented{Secret: text, Remote: remote}, meterCSR(t, fmt.Sprintf("SM-%d", device)))
		if may {
			h.ok(remote, err)
		} else {
			h.is(remote, err, pki.Forbidden)
		}
	}
}
