package enroll_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// keyOf reads the private key of an answer and sees that it is the certificate's.
func keyOf(t *testing.T, got *pki.Enrollment, c *x509.Certificate) crypto.Signer {
	t.Helper()
	read, err := x509.ParsePKCS8PrivateKey(got.Key.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	key := read.(crypto.Signer)
	if !c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
		t.Error("the key is not that of the certificate")
	}
	return key
}

func kindOf(t *testing.T, key crypto.PublicKey) pki.KeyKind {
	t.Helper()
	public, err := tbs.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return public.Kind()
}

// TestServerKey: a key is made here of the kind that the request's own has, with the
// names that it asks for; the request's own key, and who signed it, count for nothing.
func TestServerKey(t *testing.T) {
	h := newHouse(t, "device")
	for _, kind := range []pki.KeyKind{pki.P256, pki.P384, pki.Ed25519, pki.RSA2048} {
		own := pandotest.Key(t, kind)
		csr := csrWith(t, own, "device-"+string(kind), names{dns: []string{"a.example"}})
		csr[len(csr)-1] ^= 1 // it proves nothing
		r := h.request("device", csr)
		r.MakeKey = enroll.KeyPlain
		got, c := h.get(r)
		key := keyOf(t, got, c)
		if kindOf(t, key.Public()) != kind {
			t.Errorf("a key of kind %s, want %s", kindOf(t, key.Public()), kind)
		}
		if c.Subject.CommonName != "device-"+string(kind) || len(c.DNSNames) != 1 {
			t.Errorf("subject %s, names %v", c.Subject, c.DNSNames)
		}
		if c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(own.Public()) {
			t.Error("the certificate is for the requester's own key")
		}
		again, other := h.get(r) // without an idempotency key each is new
		if again.Certificate.Serial == got.Certificate.Serial || bytes.Equal(other.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) {
			t.Error("the same key for two")
		}
	}
	weak := h.request("device", pandotest.CSR(t, pandotest.Key(t, pki.P521), pkix.Name{CommonName: "other"}))
	weak.MakeKey = enroll.KeyPlain
	_, c := h.get(weak)
	if kind := kindOf(t, c.PublicKey); kind != pki.P256 {
		t.Errorf("a key of kind %s where the request's kind is not allowed, want what the profile prefers", kind)
	}
	plain, c := h.get(h.request("device", pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "own"})))
	if !plain.Key.IsZero() || c == nil {
		t.Error("a private key for one who has its own")
	}
}

// TestServerKeyOnce: a request that comes again does not get the key again, nor another
// certificate, and its idempotency key is good for nothing else.
func TestServerKeyOnce(t *testing.T) {
	h := newHouse(t, "device")
	r := h.request("device", pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "once"}))
	r.MakeKey, r.Idempotency = enroll.KeyPlain, "order-1"
	var mu sync.Mutex
	var wg sync.WaitGroup
	var made []*pki.Enrollment
	for range 8 {
		wg.Go(func() {
			got, err := h.Enroll.Enroll(t.Context(), r)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made = append(made, got)
			} else if pki.KindOf(err) != pki.Conflict {
				t.Errorf("%v (%s)", err, pki.KindOf(err))
			}
		})
	}
	wg.Wait()
	if len(made) != 1 || made[0].Key.IsZero() {
		t.Fatalf("%d answers with a key, want 1", len(made))
	}
	for what, change := range map[string]func(*enroll.Request){
		"the same":                    func(*enroll.Request) {},
		"the request for its own key": func(r *enroll.Request) { r.MakeKey = enroll.OwnKey },
		"another request": func(r *enroll.Request) {
			r.CSR = pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "twice"})
		},
	} {
		again := r
		change(&again)
		got, err := h.Enroll.Enroll(t.Context(), again)
		refused(t, err, pki.Conflict)
		if what == "the same" && !strings.Contains(pki.DetailOf(err), "kept nowhere") || got != nil {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
}

// TestServerKeyRefused: no key where the profile has none, not for others than it says,
// and not by another path than it says; what is wrong with the request is refused as ever.
func TestServerKeyRefused(t *testing.T) {
	h := newHouse(t, "device", "meter")
	source, err := packs.Document("device")
	if err != nil {
		t.Fatal(err)
	}
	sealed := strings.NewReplacer("profile: device", "profile: sealed", "{plain: true}", "{for: [device, line-lead]}").Replace(string(source))
	if _, err := h.Hierarchy.PublishProfile(t.Context(), h.grant(access.ManageProfiles), []byte(sealed)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.CreateEndpoint(t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "sealed", Authority: "issuing", Profile: "sealed"}); err != nil {
		t.Fatal(err)
	}
	csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "SM-1"})
	for what, test := range map[string]struct {
		r    enroll.Request
		how  enroll.KeyDelivery
		kind pki.Kind
	}{
		"a profile without":      {h.request("meter", csr), enroll.KeyPlain, pki.PolicyRefused},
		"another role":           {h.request("sealed", csr), enroll.KeySealed, pki.PolicyRefused},
		"plain":                  {h.asDevice("SM-1", "sealed", csr), enroll.KeyPlain, pki.PolicyRefused},
		"another device's":       {h.asDevice("SM-2", "sealed", csr), enroll.KeySealed, pki.Forbidden},
		"garbage":                {h.request("device", []byte("garbage")), enroll.KeyPlain, pki.Malformed},
		"a name that is no name": {h.request("device", csrWith(t, pandotest.Key(t, pki.P256), "SM-1", names{dns: []string{"*.example"}})), enroll.KeyPlain, pki.PolicyRefused},
	} {
		test.r.MakeKey = test.how
		if got, err := h.Enroll.Enroll(t.Context(), test.r); pki.KindOf(err) != test.kind || got != nil {
			t.Errorf("%s: %v, %v; want %s", what, got, err, test.kind)
		}
	}
	ok := h.asDevice("SM-1", "sealed", csr)
	ok.MakeKey = enroll.KeySealed
	got, c := h.get(ok)
	keyOf(t, got, c)
	paired := h.request("device", csr)
	paired.MakeKey, paired.Pair = enroll.KeyPlain, &enroll.Pair{Endpoint: "meter", CSR: csr}
	_, err = h.Enroll.Enroll(t.Context(), paired)
	refused(t, err, pki.Malformed)
}

// TestServerKeyOfRefused: a key that was made for a request which is refused serves the
// next, so that refusals cost no keys of RSA.
func TestServerKeyOfRefused(t *testing.T) {
	h := newHouse(t, "device")
	bad := h.request("device", csrWith(t, pandotest.Key(t, pki.RSA2048), "SM-1", names{dns: []string{"*.example"}}))
	bad.MakeKey = enroll.KeyPlain
	for range 20 {
		_, err := h.Enroll.Enroll(t.Context(), bad)
		refused(t, err, pki.PolicyRefused)
	}
	if count, _, _ := h.Keypool.Made().Read(); count > 6 {
		t.Errorf("%d keys were made for requests that are refused", count)
	}
	good := h.request("device", pandotest.CSR(t, pandotest.Key(t, pki.RSA2048), pkix.Name{CommonName: "SM-1"}))
	good.MakeKey = enroll.KeyPlain
	got, c := h.get(good)
	if _, is := keyOf(t, got, c).(*rsa.PrivateKey); !is {
		t.Error("another kind of key")
	}
}

// TestServerKeyKeepsNoSecret: the request that is kept has no challenge password and
// nothing about how the key was handed out, and proves the key that was made.
func TestServerKeyKeepsNoSecret(t *testing.T) {
	h := newHouse(t, "device")
	text := func(s string) []byte { return der.Append(nil, asn1.UTF8String, []byte(s)) }
	csr := pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "SM-1"},
		pandotest.Attribute{OID: der.OIDChallengePassword, Value: text("challenge-hunter2")},
		pandotest.Attribute{OID: der.OIDDecryptKeyIdentifier, Value: text("decrypt-hunter2")},
		pandotest.Attribute{OID: "1.2.840.113549.1.9.2", Value: text("a name")})
	r := h.request("device", csr)
	r.MakeKey = enroll.KeyPlain
	got, c := h.get(r)
	cut, _, err := h.Store.Request(t.Context(), got.Certificate.Issuer, got.Certificate.Serial)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := tbs.RestoreKey(cut, c.RawSubjectPublicKeyInfo)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(kept, []byte("hunter2")) {
		t.Error("the kept request has a secret")
	}
	read, err := x509.ParseCertificateRequest(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := read.CheckSignature(); err != nil || !bytes.Equal(read.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) {
		t.Errorf("the kept request does not prove the certificate's key: %v", err)
	}
	if !bytes.Contains(kept, []byte("a name")) {
		t.Error("an attribute is lost")
	}
}
