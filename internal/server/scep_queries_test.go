package server

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	stdasn1 "encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// The message types that smallstep/scep does not send (RFC 8894, 3.2.1.2).
const (
	certPoll = 20
	getCert  = 21
	getCRL   = 22
)

// numbered returns the INTEGER of a serial.
func numbered(serial *big.Int) []byte {
	content := serial.Bytes()
	if len(content) == 0 || content[0] >= 0x80 {
		content = append([]byte{0}, content...)
	}
	return der.Append(nil, asn1.INTEGER, content)
}

// enrolled returns a client of acme.device with a certificate, by a challenge that somebody
// chose, which is good for any number.
func enrolled(t *testing.T, s *Server, name, challenge string) *scepclient.Client {
	t.Helper()
	c := newSCEP(t, s, "acme.device")
	got := c.Ask(scep.PKCSReq, scepclient.CSR(t, c.Key, name, challenge))
	if got.PKIStatus != scep.SUCCESS {
		t.Fatalf("%s: status %s, failInfo %q", name, got.PKIStatus, got.FailInfo)
	}
	c.Signer = got.Certificate
	return c
}

// TestSCEPGetCert: whoever holds a certificate's key, or is its device by another
// certificate, gets it again, and nobody else learns that there is one.
func TestSCEPGetCert(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	const chosen = "a challenge that somebody chose"
	if _, _, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{
		Endpoint: "device", Life: time.Hour, Chosen: pki.NewSecret(chosen)}); err != nil {
		t.Fatal(err)
	}
	c, other := enrolled(t, s, "gateway-1", chosen), enrolled(t, s, "gateway-2", chosen)
	get := func(by *scepclient.Client, what []byte) (*scep.PKIMessage, *pkcs7.PKCS7) {
		return by.Query(getCert, "get", what)
	}
	first := named(c, numbered(c.Signer.SerialNumber))
	got, carried := get(c, first)
	if got.PKIStatus != scep.SUCCESS || len(carried.Certificates) != 1 || !carried.Certificates[0].Equal(c.Signer) {
		t.Fatalf("status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
	caller{t: t, s: s}.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	refusals := map[string]struct {
		by   *scepclient.Client
		what []byte
		want scep.FailInfo
	}{
		"another device's":          {other, first, scep.BadCertID},
		"one that is not there":     {c, named(c, numbered(big.NewInt(1))), scep.BadCertID},
		"another issuer's":          {c, der.Append(nil, asn1.SEQUENCE, append(bytes.Clone(c.Signer.RawSubject), numbered(c.Signer.SerialNumber)...)), scep.BadMessageCheck},
		"no serial":                 {c, named(c, nil), scep.BadMessageCheck},
		"a serial of 21 octets":     {c, named(c, der.Append(nil, asn1.INTEGER, bytes.Repeat([]byte{1}, 21))), scep.BadMessageCheck},
		"something else altogether": {c, []byte("something else"), scep.BadMessageCheck},
	}
	for what, r := range refusals {
		t.Run(what, func(t *testing.T) {
			got, _ := get(r.by, r.what)
			refusedBy(t, got, r.want)
		})
	}

	next := pandotest.Key(t, pki.RSA2048)
	renewed := c.Ask(scep.RenewalReq, scepclient.CSR(t, next, "gateway-1", ""))
	if renewed.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", renewed.PKIStatus, renewed.FailInfo)
	}
	got, carried = get(c, named(c, numbered(renewed.Certificate.SerialNumber))) // by the one before
	if got.PKIStatus != scep.SUCCESS || !carried.Certificates[0].Equal(renewed.Certificate) {
		t.Errorf("the device's other certificate: status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
}

// TestSCEPGetCRL: whoever asks gets the CRL of a certificate's shard, as its distribution
// point names it, signed by the issuer and with what is revoked.
func TestSCEPGetCRL(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	c := newSCEP(t, s, "acme.device")
	issued, err := s.enroll.Enroll(t.Context(), enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "device", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, c.Key, pkix.Name{CommonName: "gateway-1"})}})
	if err != nil {
		t.Fatal(err)
	}
	serial := issued.Certificate.Serial
	number := new(big.Int).SetBytes(serial[:])
	if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), issued.Certificate.Issuer, serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	var issuer *x509.Certificate
	for _, one := range c.RA {
		if bytes.Equal(one.RawSubject, c.Recipient()[0].RawIssuer) {
			issuer = one
		}
	}
	lists := func() error {
		got, carried := c.Query(getCRL, "crl", named(c, numbered(number)))
		if got.PKIStatus != scep.SUCCESS || len(carried.CRLs) != 1 || len(carried.Certificates) != 0 {
			t.Fatalf("status %s, failInfo %q", got.PKIStatus, got.FailInfo)
		}
		crl, err := x509.ParseRevocationList(raw(t, carried))
		if err != nil {
			t.Fatal(err)
		}
		if err := crl.CheckSignatureFrom(issuer); err != nil {
			t.Fatal(err)
		}
		for _, e := range crl.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(number) == 0 && e.ReasonCode == int(pki.KeyCompromise) {
				return nil
			}
		}
		return &pki.Error{Kind: pki.Unavailable, Detail: "the revocation is in no CRL yet"}
	}
	if err := patiently(lists); err != nil {
		t.Error(err)
	}
	for what, content := range map[string][]byte{
		"no serial":        named(c, nil),
		"another issuer's": der.Append(nil, asn1.SEQUENCE, append(bytes.Clone(c.Signer.RawSubject), numbered(number)...)),
	} {
		got, _ := c.Query(getCRL, "crl", content)
		if got.PKIStatus != scep.FAILURE || got.FailInfo != scep.BadMessageCheck {
			t.Errorf("%s: status %s, failInfo %q", what, got.PKIStatus, got.FailInfo)
		}
	}
}

// raw returns the DER of the one CRL in a message.
func raw(t *testing.T, carried *pkcs7.PKCS7) []byte {
	t.Helper()
	list, err := stdasn1.Marshal(carried.CRLs[0])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// fieldSCEP is a profile whose certificates are renewed for a while after their end.
const fieldSCEP = `profile: field
keys: {allow: [rsa2048], renew: {key: same-key, grace: 90d}}
validity: 30d
subject: [{type: CN, from: csr.subject.cn, check: name}]
keyUsage: {use: [digitalSignature, keyEncipherment]}
extendedKeyUsage: {use: [clientAuth]}
keyIdentifiers: [subject, authority]
status: {crl: true}
`

// TestSCEPLate: a device that slept past the end of its certificate renews it by
// RenewalReq in the grace of the profile, with its own key, and can do nothing else with
// it; what it sent then and somebody recorded leads to that certificate for ever.
func TestSCEPLate(t *testing.T) {
	clock := pandotest.NewClock(pandotest.Now())
	s := openAt(t, clock)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	if _, err := s.hierarchy.PublishProfile(t.Context(), st.Permit(t, "acme", access.ManageProfiles), []byte(fieldSCEP)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "field", Authority: "issuing", Profile: "field", Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolSCEP}}); err != nil {
		t.Fatal(err)
	}
	caller{t: t, s: s}.trust("acme", trust.NewAnchor{Name: "ours", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "field"}}})
	c := newSCEP(t, s, "acme.field")
	issue := func(key crypto.Signer, name string) (got *pki.Enrollment) {
		t.Helper()
		err := patiently(func() (err error) {
			got, err = s.enroll.Enroll(t.Context(), enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "field", Protocol: pki.ProtocolREST,
				Subject: enroll.Subject{CSR: pandotest.CSR(t, key, pkix.Name{CommonName: name})}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	moved := func(days int) { // and wait until the server has seen that
		t.Helper()
		later(t, s, clock, time.Duration(days)*24*time.Hour)
		issue(pandotest.Key(t, pki.RSA2048), "another")
		c.RA = c.Certificates() // which are others at half of their life
	}
	c.Signer = pandotest.Parse(t, issue(c.Key, "gateway-1").Certificate.DER)
	moved(40)
	other := pandotest.Key(t, pki.RSA2048)
	refusedBy(t, c.Ask(scep.PKCSReq, scepclient.CSR(t, c.Key, "gateway-1", "")), scep.BadMessageCheck) // enrols
	refusedBy(t, c.Ask(scep.RenewalReq, scepclient.CSR(t, other, "gateway-1", "")), scep.BadRequest)   // another key
	refusedBy(t, c.Ask(scep.RenewalReq, scepclient.CSR(t, c.Key, "gateway-9", "")), scep.BadRequest)   // another name
	got, _ := c.Query(getCert, "get", named(c, numbered(big.NewInt(7))))
	refusedBy(t, got, scep.BadCertID)

	csr := scepclient.CSR(t, c.Key, "gateway-1", "")
	renewed := c.Ask(scep.RenewalReq, csr)
	if renewed.PKIStatus != scep.SUCCESS || !renewed.Certificate.NotAfter.After(clock.Now()) || !bytes.Equal(renewed.Certificate.RawSubject, c.Signer.RawSubject) {
		t.Fatalf("status %s, failInfo %q", renewed.PKIStatus, renewed.FailInfo)
	}
	moved(20)
	if err := errors.Join(purgeAll(t, s, clock.Now())...); err != nil {
		t.Fatal(err)
	}
	if again := c.Ask(scep.RenewalReq, csr); again.PKIStatus != scep.SUCCESS || !again.Certificate.Equal(renewed.Certificate) {
		t.Errorf("what was recorded got another certificate, when all else of it was forgotten: status %s, failInfo %q", again.PKIStatus, again.FailInfo)
	}
	moved(80)
	refusedBy(t, c.Ask(scep.RenewalReq, csr), scep.BadRequest) // too late
}

// purgeAll has the store forget all transactions and idempotency keys.
func purgeAll(t *testing.T, s *Server, now time.Time) []error {
	t.Helper()
	_, transactions := s.store.PurgeSCEP(t.Context(), now, 1000)
	_, keys := s.store.PurgeIdempotency(t.Context(), now, 1000)
	return []error{transactions, keys}
}

// TestSCEPNobody: whatever is asked for by a certificate that the client made itself,
// without a challenge, is refused in the protocol's own words, and nothing is issued.
func TestSCEPNobody(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	c := newSCEP(t, s, "acme.device")
	refusedBy(t, c.Ask(scep.PKCSReq, scepclient.CSR(t, c.Key, "gateway-1", strings.Repeat("x", 40))), scep.BadMessageCheck)
	refusedBy(t, c.Ask(scep.RenewalReq, scepclient.CSR(t, c.Key, "gateway-1", "")), scep.BadMessageCheck)
	for _, q := range []struct {
		kind    int
		content []byte
		want    scep.FailInfo
	}{
		{certPoll, named(c, c.Signer.RawSubject), scep.BadCertID},
		{getCert, named(c, numbered(big.NewInt(1))), scep.BadCertID},
		{3, named(c, nil), scep.BadRequest},
		{18, named(c, nil), scep.BadRequest},
		{0, named(c, nil), scep.BadRequest},
		{255, named(c, nil), scep.BadRequest},
	} {
		got, _ := c.Query(q.kind, "nobody", q.content)
		if got.PKIStatus != scep.FAILURE || got.FailInfo != q.want {
			t.Errorf("message type %d: status %s, failInfo %q", q.kind, got.PKIStatus, got.FailInfo)
		}
	}
	if list, err := by(t, s, st, access.Auditor).Certificates(t.Context(), client.CertificateQuery{Device: "gateway-1"}, "", 10); err != nil || len(list.Items) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
