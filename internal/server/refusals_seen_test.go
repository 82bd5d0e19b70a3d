package server

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"net/http"
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
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trust"
	"github.com/pando-pki/pando/internal/visits"
)

// A watched endpoint tells what came to it since somebody looked.
type watched struct {
	t     *testing.T
	s     *Server
	label string
	last  uint64
}

func (w *watched) next() (all []visits.Visit) {
	w.t.Helper()
	for v := range w.s.visits.Watch(w.t.Context(), w.label, false) {
		if v.No > w.last {
			all = append(all, v)
		}
	}
	w.last += uint64(len(all))
	return all
}

// refused checks that one refusal came, for a reason that says so, and not a word of secret.
func (w *watched) refused(protocol pki.Protocol, kind pki.Kind, device pki.DeviceID, why, secret string) {
	w.t.Helper()
	all := w.next()
	if len(all) != 1 {
		w.t.Fatalf("%d lines: %+v", len(all), all)
	}
	if v := all[0]; !v.Refused || v.Protocol != protocol || v.Kind != kind || v.Device != device || v.Source != "127.0.0.1" || !strings.Contains(v.Why, why) || strings.Contains(v.Why, secret) {
		w.t.Errorf("seen: %+v; want %s, device %q: %s", v, kind, device, why)
	}
}

// TestESTRefusalsAreSeen: whoever looks on at an endpoint sees each refusal once, whoever
// refused it.
func TestESTRefusalsAreSeen(t *testing.T) {
	s, st, meter, own := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "no-est", Authority: "issuing", Profile: "meter"}); err != nil {
		t.Fatal(err)
	}
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	plant := pandotest.NewRoot(t, "Plant CA", time.Now().Add(-time.Hour))
	meter.trust("acme", trust.NewAnchor{Name: "plant", Certificate: plant.Certificate.Raw, Role: access.FactoryOperator, Scopes: []access.Scope{{Endpoint: "meter"}}})
	line := meter.certified(plant, func(*x509.Certificate) {})
	strange := pandotest.NewRoot(t, "Strange CA", time.Now().Add(-time.Hour))
	stranger := meter.certified(strange, func(c *x509.Certificate) { c.Subject = pkix.Name{SerialNumber: "SM-8"} })
	ended := meter.certified(plant, func(c *x509.Certificate) {
		c.Subject, c.NotAfter = pkix.Name{SerialNumber: "SM-9"}, time.Now().Add(-time.Second)
	})
	nobody := meter
	nobody.chain = nil
	basic := func(user, password string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
	}

	enrols := estPath("acme.meter", "simpleenroll")
	fresh := func(device string) []byte { return []byte(csrOf(t, pandotest.Key(t, pki.P256), device)) }
	b64 := func(der []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(der)) }
	endpoint := &watched{t: t, s: s, label: "acme.meter"}
	endpoint.next()
	sealed := pandotest.CSRWith(t, pandotest.Key(t, pki.P256), meterSubject("SM-1"),
		pandotest.Attribute{OID: der.OIDDecryptKeyIdentifier, Value: der.Append(nil, asn1.OCTET_STRING, []byte("SM-1"))})
	const secret = "5ecret-that-nobody-reads"
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "elsewhere", Authority: "issuing", Profile: "meter",
		Protocols: []pki.Protocol{pki.ProtocolEST}, Networks: []string{"198.51.100.0/24"}}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		by      caller
		path    string
		body    []byte
		headers []string
		kind    pki.Kind
		device  pki.DeviceID
		why     string
	}{
		"another content type":  {meter, enrols, fresh("SM-1"), []string{"Content-Type", "application/json"}, pki.Malformed, "SM-1", "application/pkcs10"},
		"garbage base64":        {meter, enrols, []byte("!!!!"), nil, pki.Malformed, "SM-1", "base64"},
		"garbage DER":           {meter, enrols, b64([]byte("garbage")), nil, pki.Malformed, "SM-1", "not a well-formed DER"},
		"an empty body":         {meter, enrols, []byte{}, nil, pki.Malformed, "SM-1", "the body is empty"},
		"too much":              {meter, enrols, make([]byte, 1<<20), nil, pki.Malformed, "SM-1", "longer than"},
		"another connection":    {meter, enrols, b64(withChallenge(t, "SM-1", secret)), nil, pki.BadProof, "SM-1", "not that of this connection"},
		"a key sealed for none": {meter, estPath("acme.meter", "serverkeygen"), b64(sealed), nil, pki.PolicyRefused, "SM-1", "DecryptKeyIdentifier"},
		"no RA":                 {line, enrols, fresh("SM-7"), nil, pki.Forbidden, "", "id-kp-cmcRA"},
		"nobody":                {nobody, enrols, fresh("SM-1"), nil, pki.Unauthenticated, "", "prove who you are"},
		"an unknown scheme":     {nobody, enrols, fresh("SM-1"), []string{"Authorization", "Digest " + secret}, pki.Unauthenticated, "", "neither Basic nor Bearer"},
		"a wrong token":         {nobody, enrols, fresh("SM-1"), []string{"Authorization", "Bearer " + secret}, pki.Unauthenticated, "", "token"},
		"a wrong secret":        {nobody, enrols, fresh("SM-1"), basic("SM-1", secret), pki.Unauthenticated, "SM-1", "no secret of the endpoint"},
		"a secret as the user":  {nobody, enrols, fresh("SM-1"), basic(secret, secret), pki.Unauthenticated, "", "no secret of the endpoint"},
		"a strange certificate": {stranger, enrols, fresh("SM-1"), nil, pki.Unauthenticated, "SM-8", `issuer "CN=Strange CA", subject "SERIALNUMBER=SM-8")`},
		"an ended certificate":  {ended, enrols, fresh("SM-1"), nil, pki.Unauthenticated, "SM-9", "has expired"},
		"another's device":      {meter, enrols, fresh("SM-3"), nil, pki.Forbidden, "SM-1", "for itself alone"},
		"its key again":         {meter, enrols, []byte(csrOf(t, meter.key, "SM-1")), nil, pki.DuplicateKey, "SM-1", "key"},
		"a renewal of nothing":  {meter, estPath("acme.meter", "simplereenroll"), fresh("SM-1"), nil, pki.PolicyRefused, "SM-1", "the subject of the certificate that it renews"},
	} {
		t.Run(what, func(t *testing.T) {
			if answer := c.by.est("POST", c.path, c.body, c.headers...); answer.StatusCode < 400 {
				t.Errorf("%s", answer.Status)
			}
			endpoint.t = t
			endpoint.refused(pki.ProtocolEST, c.kind, c.device, c.why, secret)
		})
	}
	endpoint.t = t
	certificates(t, meter.est("POST", enrols, fresh("SM-1")))
	if all := endpoint.next(); len(all) != 1 || all[0].Refused {
		t.Errorf("of what was issued: %+v", all)
	}
	// What a limit refuses costs nothing, and drives nothing else out.
	if err := s.enroll.NoteRefusal(t.Context(), enroll.Refusal{Label: "acme.meter"}, pki.Errorf(pki.RateLimited, "too much")); visits.IsNoted(err) || len(endpoint.next()) != 0 {
		t.Errorf("what a limit refuses is noted: %v", err)
	}
	off := &watched{t: t, s: s, label: "acme.no-est"}
	meter.est("GET", estPath("acme.no-est", "cacerts"), nil)
	off.refused(pki.ProtocolEST, pki.NotFound, "", "no-est", secret)
	far := &watched{t: t, s: s, label: "acme.elsewhere"}
	nobody.est("POST", estPath("acme.elsewhere", "simpleenroll"), fresh("SM-1"), basic("SM-1", secret)...)
	far.refused(pki.ProtocolEST, pki.Forbidden, "SM-1", "network", secret)
	if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), own.Issuer, own.Serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	if answer := meter.est("POST", enrols, fresh("SM-1")); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked certificate: %s", answer.Status)
	}
	endpoint.refused(pki.ProtocolEST, pki.Unauthenticated, "SM-1", "is revoked", secret)
	for _, label := range []string{"acme.nowhere", "globex.meter", "meter", "platform.x"} {
		meter.est("POST", estPath(label, "simpleenroll"), []byte("!!!!"))
		nobody.est("GET", estPath(label, "cacerts"), nil)
		if all := (&watched{t: t, s: s, label: label}).next(); len(all) != 0 {
			t.Errorf("of %s, which is no endpoint: %+v", label, all)
		}
	}
}

// TestSuspendedDeviceIsSeen: whoever looks on sees that a renewal is refused since the device
// is suspended; the device is told only that it proves nobody.
func TestSuspendedDeviceIsSeen(t *testing.T) {
	s, st, meter, own := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	act := func(act registry.Act) {
		t.Helper()
		if _, err := s.registry.ChangeDevice(t.Context(), st.Permit(t, "acme", access.ManageDevices), own.Device, act, "reported stolen"); err != nil {
			t.Fatal(err)
		}
	}
	endpoint := &watched{t: t, s: s, label: "acme.meter"}
	endpoint.next()
	renews := func() *http.Response {
		return meter.est("POST", estPath("acme.meter", "simplereenroll"), goesOn(t, pandotest.Parse(t, own.DER), pandotest.Key(t, pki.P256)))
	}
	act(registry.Suspend)
	answer := renews()
	told, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusUnauthorized || strings.Contains(string(told), "suspended") {
		t.Errorf("%s: %s, %v", answer.Status, told, err)
	}
	endpoint.refused(pki.ProtocolEST, pki.Unauthenticated, "SM-1", `is on hold: its device "SM-1" is suspended`, "\x00")
	act(registry.Resume)
	certificates(t, renews())
}

// TestRESTRefusalsAreSeen: likewise, and nobody writes to another tenant's.
func TestRESTRefusalsAreSeen(t *testing.T) {
	s, st, meter, _ := trusting(t)
	st.AddTenant(t, "globex", "meter")
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	acme, globex := &watched{t: t, s: s, label: "acme.meter"}, &watched{t: t, s: s, label: "globex.meter"}
	acme.next() // how the meter got its certificate
	good := csrOf(t, pandotest.Key(t, pki.P256), "SM-1")
	for what, c := range map[string]struct {
		client.Enrollment
		kind pki.Kind
		why  string
	}{
		"no base64":               {client.Enrollment{Endpoint: "meter", CSR: "!!!!"}, pki.Malformed, "csr"},
		"by the label":            {client.Enrollment{Endpoint: "acme.meter", CSR: "!!!!"}, pki.Malformed, "csr"},
		"no request":              {client.Enrollment{Endpoint: "meter", CSR: "AAAA"}, pki.Malformed, "CertificationRequest"},
		"another that is none":    {client.Enrollment{Endpoint: "meter", CSR: good, Pair: &client.EnrollmentPair{Endpoint: "meter", CSR: "!!!!"}}, pki.Malformed, "csr"},
		"another for no endpoint": {client.Enrollment{Endpoint: "meter", CSR: good, Pair: &client.EnrollmentPair{CSR: good}}, pki.Malformed, "pair"},
	} {
		t.Run(what, func(t *testing.T) {
			if status, text := meter.ask("POST", "/enrollments", enrollment(t, c.Enrollment)); status < 400 {
				t.Errorf("%d: %s", status, text)
			}
			acme.t = t
			acme.refused(pki.ProtocolREST, c.kind, "SM-1", c.why, "\x00")
		})
	}
	meter.ask("POST", "/enrollments", enrollment(t, client.Enrollment{Endpoint: "globex.meter", CSR: "!!!!"}))
	if all := globex.next(); len(all) != 0 {
		t.Errorf("a stranger wrote %+v", all)
	}
}

// TestSCEPRefusalsAreSeen: likewise, and an envelope for another key is told from one that
// does not open, which the device is not told.
func TestSCEPRefusalsAreSeen(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	made, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	secret := text.Reveal()
	c, other := newSCEP(t, s, "acme.device"), newSCEP(t, s, "acme.device")
	good := scepclient.CSR(t, c.Key, "gateway-1", secret)
	message := func(change func(*x509.CertificateRequest, *scep.PKIMessage)) []byte {
		t.Helper()
		request, err := x509.ParseCertificateRequest(good)
		if err != nil {
			t.Fatal(err)
		}
		m := &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: c.Recipient(), SignerKey: c.Key, SignerCert: c.Signer}
		change(request, m)
		made, err := scep.NewCSRRequest(request, m)
		if err != nil {
			t.Fatal(err)
		}
		return made.Raw
	}
	by := func(o *scepclient.Client, kind scep.MessageType, csr []byte) []byte {
		return message(func(r *x509.CertificateRequest, m *scep.PKIMessage) {
			parsed, err := x509.ParseCertificateRequest(csr)
			if err != nil {
				t.Fatal(err)
			}
			*r = *parsed
			m.MessageType, m.SignerKey, m.SignerCert = kind, o.Key, o.Signer
		})
	}
	endpoint := &watched{t: t, s: s, label: "acme.device"}
	if first := c.Ask(scep.PKCSReq, good); first.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", first.PKIStatus, first.FailInfo)
	}
	if all := endpoint.next(); len(all) != 1 || all[0].Refused {
		t.Errorf("of what was issued: %+v", all)
	}
	unsigned := message(func(*x509.CertificateRequest, *scep.PKIMessage) {})
	unsigned[len(unsigned)-1] ^= 1
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmDESCBC
	weak := message(func(*x509.CertificateRequest, *scep.PKIMessage) {})
	scepclient.Modern(t)
	const opened, forNobody = "cannot be opened with the key that it is for", "not encrypted to a key or password that is known here"
	for _, test := range []struct {
		what    string
		message []byte
		kind    pki.Kind
		device  pki.DeviceID
		why     string
	}{
		{"garbage", []byte("garbage"), pki.Malformed, "", "BER"},
		{"another recipient", message(func(_ *x509.CertificateRequest, m *scep.PKIMessage) { m.Recipients = []*x509.Certificate{c.Signer} }), pki.BadProof, "", forNobody},
		{"no request", message(func(r *x509.CertificateRequest, _ *scep.PKIMessage) { r.Raw = []byte("no request") }), pki.BadProof, "", opened},
		{"a signature that does not hold", unsigned, pki.BadProof, "", "signature does not verify"},
		{"DES", weak, pki.BadKey, "", "DES"},
		{"a request for another key", by(c, scep.PKCSReq, scepclient.CSR(t, other.Key, "gateway-2", secret)), pki.BadProof, "gateway-2", "another key than the one that signed"},
		{"a transaction of another key", by(other, scep.RenewalReq, good), pki.Conflict, "gateway-1", "transaction"},
		{"a poll for nothing", by(other, scep.CertPoll, scepclient.CSR(t, other.Key, "gateway-2", secret)), pki.NotFound, "", "nothing waits"},
		{"a wrong challenge", by(other, scep.PKCSReq, scepclient.CSR(t, other.Key, "gateway-2", secret[:len(secret)-1]+"!")), pki.Unauthenticated, "gateway-2", "no secret of the endpoint has this text"},
		{"refused by the profile", by(c, scep.PKCSReq, scepclient.CSR(t, c.Key, "gateway\x01", secret)), pki.PolicyRefused, "", "a character that is not printable"},
	} {
		t.Run(test.what, func(t *testing.T) {
			answer, err := http.Post(c.URL+"?operation=PKIOperation", "application/x-pki-message", strings.NewReader(string(test.message)))
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || strings.Contains(string(body), forNobody) {
				t.Errorf("%s: %s, %v", answer.Status, body, err)
			}
			endpoint.t = t
			endpoint.refused(pki.ProtocolSCEP, test.kind, test.device, test.why, secret)
		})
	}
	for v := range s.visits.Watch(t.Context(), "acme.device", false) {
		if signer := v.Who; signer != "" && signer != made.Principal() {
			t.Errorf("%q asked", signer)
		}
		if strings.Contains(v.Why, "no request") {
			t.Errorf("a visit tells of what an envelope decrypts to: %+v", v)
		}
	}
	if answer, err := http.Post(s.URL("http")+"/scep/acme.nowhere?operation=PKIOperation", "", nil); err != nil || answer.StatusCode != http.StatusNotFound {
		t.Errorf("%v, %v", answer, err)
	}
	if all := (&watched{t: t, s: s, label: "acme.nowhere"}).next(); len(all) != 0 {
		t.Errorf("of no endpoint: %+v", all)
	}
}
