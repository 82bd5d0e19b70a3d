package server

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trust"
)

func meterSubject(device string) pkix.Name { return pkix.Name{SerialNumber: device} }

// publish publishes a profile, and has an endpoint of its name take EST for it.
func (c caller) publish(st interface {
	Permit(testing.TB, pki.TenantID, access.Permission) access.Permit
}, source string) {
	c.t.Helper()
	v, err := c.s.hierarchy.PublishProfile(c.t.Context(), st.Permit(c.t, "acme", access.ManageProfiles), []byte(source))
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.s.enroll.CreateEndpoint(c.t.Context(), st.Permit(c.t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: v.Name, Authority: "issuing", Profile: v.Name, Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolEST}}); err != nil {
		c.t.Fatal(err)
	}
}

// certified returns the caller with a certificate of an authority that is not ours.
func (c caller) certified(ca *pandotest.CA, change func(*x509.Certificate)) caller {
	c.key = pandotest.Key(c.t, pki.P256)
	template := &x509.Certificate{SerialNumber: big.NewInt(0x1234), Subject: pkix.Name{CommonName: "line 3"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	change(template)
	c.chain = append([][]byte{ca.Sign(c.t, template, c.key.Public())}, ca.Chain()...)
	return c
}

var cmcRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// TestESTByRA: an RA's certificate enrols for others; the same without id-kp-cmcRA, and
// an RA that is granted another endpoint, does not.
func TestESTByRA(t *testing.T) {
	s, st, meter, _ := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	plant := pandotest.NewRoot(t, "Plant CA", time.Now().Add(-time.Hour))
	other := pandotest.NewRoot(t, "Other CA", time.Now().Add(-time.Hour))
	meter.trust("acme", trust.NewAnchor{Name: "plant", Certificate: plant.Certificate.Raw, Role: access.FactoryOperator, Scopes: []access.Scope{{Endpoint: "meter"}}})
	isRA := func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{cmcRA} }
	ra, line, stranger := meter.certified(plant, isRA), meter.certified(plant, func(*x509.Certificate) {}), meter.certified(other, isRA)
	for _, device := range []string{"SM-21", "SM-22"} {
		got := certificates(t, ra.est("POST", estPath("acme.meter", "simpleenroll"), []byte(csrOf(t, pandotest.Key(t, pki.P256), device))))
		if got[0].Subject.SerialNumber != device {
			t.Errorf("enrolled %v", got[0].Subject)
		}
	}
	certificates(t, ra.est("POST", estPath("acme.meter", "simpleenroll"), []byte(base64.StdEncoding.EncodeToString(withChallenge(t, "SM-24", "of the device's connection to it")))))
	body := []byte(csrOf(t, pandotest.Key(t, pki.P256), "SM-23"))
	for what, test := range map[string]struct {
		by     caller
		status int
	}{"no RA": {line, http.StatusForbidden}, "a stranger": {stranger, http.StatusUnauthorized}} {
		if answer := test.by.est("POST", estPath("acme.meter", "simpleenroll"), body); answer.StatusCode != test.status {
			t.Errorf("%s: %s", what, answer.Status)
		}
	}
}

// TestESTWithIDevID: IEEE 802.1AR: a device that another maker's authority gave its
// IDevID, without key usages and without an end, gets its LDevID, and renews by that.
func TestESTWithIDevID(t *testing.T) {
	s, st, meter, _ := trusting(t)
	profile, err := packs.Document("ldevid")
	if err != nil {
		t.Fatal(err)
	}
	meter.publish(st, string(profile))
	maker := pandotest.NewRoot(t, "Maker IDevID Root", time.Now().Add(-time.Hour)).NewIssuing(t, "Maker IDevID CA", time.Now().Add(-time.Hour))
	root := maker.Chain()[1]
	if _, err := s.registry.ImportDevices(t.Context(), st.Permit(t, "acme", access.ManageRegistry), registry.NDJSON, pki.Placement{}, strings.NewReader(`{"device":"RTR-7"}`)); err != nil {
		t.Fatal(err)
	}
	meter.trust("acme", trust.NewAnchor{Name: "maker", Certificate: root, Role: access.Device, Scopes: []access.Scope{{Endpoint: "ldevid"}}})
	meter.trust("acme", trust.NewAnchor{Name: "ours", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "ldevid"}}})

	module, err := asn1.Marshal(struct {
		Type   asn1.ObjectIdentifier
		Serial []byte
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1, 1}, []byte("RTR-7")})
	if err != nil {
		t.Fatal(err)
	}
	name, err := asn1.Marshal(struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue `asn1:"tag:0,explicit"`
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4}, asn1.RawValue{FullBytes: module}})
	if err != nil {
		t.Fatal(err)
	}
	name[0] = 0xa0 // otherName, implicitly tagged
	san, err := asn1.Marshal([]asn1.RawValue{{FullBytes: name}})
	if err != nil {
		t.Fatal(err)
	}
	device := meter.certified(maker, func(c *x509.Certificate) {
		c.Subject = pkix.Name{Organization: []string{"Maker"}, SerialNumber: "RTR-7"}
		c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		c.ExtKeyUsage = nil
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san}}
	})
	born, key := device, pandotest.Key(t, pki.P256)
	ldevid := certificates(t, device.est("POST", estPath("acme.ldevid", "simpleenroll"), []byte(csrOf(t, key, "RTR-7"))))[0]
	if ldevid.Subject.SerialNumber != "RTR-7" || len(ldevid.Subject.Organization) != 1 || ldevid.Subject.Organization[0] != "Example acme" {
		t.Errorf("the LDevID is for %v", ldevid.Subject)
	}
	if answer := device.est("POST", estPath("acme.ldevid", "simpleenroll"), []byte(csrOf(t, pandotest.Key(t, pki.P256), "RTR-8"))); answer.StatusCode != http.StatusForbidden {
		t.Errorf("another device's: %s", answer.Status)
	}
	if answer := device.est("POST", estPath("acme.ldevid", "simplereenroll"), []byte(csrOf(t, pandotest.Key(t, pki.P256), "RTR-7"))); answer.StatusCode != http.StatusForbidden {
		t.Errorf("an IDevID, which is not ours, was renewed: %s", answer.Status)
	}
	device.key, device.chain = key, [][]byte{ldevid.Raw, meter.chain[1]}
	if next := certificates(t, device.est("POST", estPath("acme.ldevid", "simplereenroll"), goesOn(t, ldevid, pandotest.Key(t, pki.P256)))); !bytes.Equal(next[0].RawSubject, ldevid.RawSubject) {
		t.Errorf("renewed for %v", next[0].Subject)
	}
	// With its key gone, or asleep for too long, it proves itself as at first: with a new key.
	if anew := certificates(t, born.est("POST", estPath("acme.ldevid", "simpleenroll"), []byte(csrOf(t, pandotest.Key(t, pki.P256), "RTR-7"))))[0]; !bytes.Equal(anew.RawSubject, ldevid.RawSubject) {
		t.Errorf("enrolled anew for %v", anew.Subject)
	}
}

// TestESTBinding: where the profile asks for it a request names its TLS connection, by
// tls-unique for TLS 1.2 and by tls-exporter for 1.3; one that names another is refused
// everywhere.
func TestESTBinding(t *testing.T) {
	s, st, meter, _ := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	meter.publish(st, `profile: bound
binding: tls
keys: {allow: [p256]}
validity: 30d
subject: [{type: serialNumber, from: device.id}]
keyUsage: {use: [digitalSignature]}
keyIdentifiers: [subject, authority]
status: {crl: true}
`)
	meter.trust("acme", trust.NewAnchor{Name: "ours", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}, {Endpoint: "bound"}}})
	ask := func(version uint16, label string, challenge func(string) string) int {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL("devices"), "https://"), &tls.Config{RootCAs: meter.roots, ServerName: "localhost", MaxVersion: version,
			Certificates: []tls.Certificate{{Certificate: meter.chain, PrivateKey: meter.key}}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		state := conn.ConnectionState()
		value := state.TLSUnique
		if version == tls.VersionTLS13 {
			if value, err = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err != nil {
				t.Fatal(err)
			}
		}
		if text := challenge(base64.StdEncoding.EncodeToString(value)); text != "" {
			return post(t, conn, label, withChallenge(t, "SM-1", text))
		}
		return post(t, conn, label, pandotest.CSR(t, pandotest.Key(t, pki.P256), meterSubject("SM-1")))
	}
	right := func(value string) string { return value }
	wrong := func(value string) string { return value[1:] + value[:1] }
	none := func(string) string { return "" }
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			label     string
			challenge func(string) string
			status    int
		}{
			{"acme.bound", right, 200}, {"acme.bound", none, 403}, {"acme.bound", wrong, 400},
			{"acme.meter", right, 200}, {"acme.meter", none, 200}, {"acme.meter", wrong, 400},
		} {
			if got := ask(version, test.label, test.challenge); got != test.status {
				t.Errorf("%s, %s, %s: %d, want %d", tls.VersionName(version), test.label, test.challenge("ab"), got, test.status)
			}
		}
	}
	// RFC 7030, 3.5: whoever is refused for want of it is told so.
	text, _ := io.ReadAll(meter.est("POST", estPath("acme.bound", "simpleenroll"), []byte(csrOf(t, pandotest.Key(t, pki.P256), "SM-1"))).Body)
	if !strings.Contains(string(text), "challengePassword") {
		t.Errorf("a request that is not bound is told: %s", text)
	}
}

// TestESTPending: an enrolment whose profile or endpoint wants approval is answered with 202
// and Retry-After, and the same request again with the certificate, or with the refusal.
func TestESTPending(t *testing.T) {
	s, st, meter, _ := trusting(t)
	meter.publish(st, "profile: asked\napprovals: {steps: [1 of security-officer]}\n"+askedRules)
	meter.publish(st, "profile: watched\n"+askedRules)
	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "watched", Approvals: &pki.Approvals{Steps: []pki.ApprovalStep{{Role: "security-officer", N: 1}}}}); err != nil {
		t.Fatal(err)
	}
	meter.trust("acme", trust.NewAnchor{Name: "ours", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "asked"}, {Endpoint: "watched"}}})
	officer := st.Appoint(t, "acme", "officer", access.SecurityOfficer)
	for _, endpoint := range []string{"asked", "watched"} {
		t.Run(endpoint, func(t *testing.T) {
			meter := meter
			meter.t = t
			pends(t, s, meter, officer, estPath("acme."+endpoint, "simpleenroll"))
		})
	}
}

const askedRules = `keys: {allow: [p256]}
validity: 30d
subject: [{type: serialNumber, from: device.id}]
keyUsage: {use: [digitalSignature]}
keyIdentifiers: [subject, authority]
status: {crl: true}
`

// pends sends two requests that wait, and has the officer approve the one and refuse the
// other.
func pends(t *testing.T, s *Server, meter caller, officer access.Principal, path string) {
	t.Helper()
	for _, decision := range []approval.Verdict{approval.Approve, approval.Refuse} {
		body := []byte(csrOf(t, pandotest.Key(t, pki.P256), "SM-1"))
		stored := certificatesStored(t, s)
		for range 2 {
			if answer := meter.est("POST", path, body); answer.StatusCode != http.StatusAccepted || answer.Header.Get("Retry-After") == "" {
				t.Fatalf("%s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
			}
		}
		if now := certificatesStored(t, s); now != stored {
			t.Errorf("%d certificates while it waits, %d before", now, stored)
		}
		reads, err := officer.Authorize(access.ReadApprovals, "acme")
		if err != nil {
			t.Fatal(err)
		}
		waiting, _, err := s.approvals.Changes(t.Context(), reads, approval.Pending, "", 10)
		if err != nil || len(waiting) != 1 {
			t.Fatalf("%d changes wait: %v", len(waiting), err)
		}
		decides, err := officer.Authorize(access.DecideApprovals, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.approvals.Decide(t.Context(), decides, waiting[0].ID, decision, waiting[0].Hash, ""); err != nil {
			t.Fatal(err)
		}
		answer := meter.est("POST", path, body)
		if decision == approval.Refuse {
			if answer.StatusCode != http.StatusForbidden {
				t.Errorf("refused: %s", answer.Status)
			}
			continue
		}
		first := certificates(t, answer)[0]
		if again := certificates(t, meter.est("POST", path, body))[0]; !again.Equal(first) || certificatesStored(t, s) != stored+1 {
			t.Errorf("the same request again got another certificate")
		}
	}
}

// withChallenge returns a request with a challengePassword, which crypto/x509 does not
// make.
func withChallenge(t *testing.T, device, challenge string) []byte {
	t.Helper()
	key := pandotest.Key(t, pki.P256)
	type attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	subject, err := asn1.Marshal(meterSubject(device).ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	tbs, err := asn1.Marshal(struct {
		Version      int
		Subject, Key asn1.RawValue
		Attributes   []attribute `asn1:"tag:0,set"`
	}{0, asn1.RawValue{FullBytes: subject}, asn1.RawValue{FullBytes: spki(t, key)}, []attribute{{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}, []asn1.RawValue{{Tag: asn1.TagPrintableString, Bytes: []byte(challenge)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(tbs)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// post sends a request over a connection and returns the status.
func post(t *testing.T, conn *tls.Conn, label string, csr []byte) int {
	t.Helper()
	body := base64.StdEncoding.EncodeToString(csr)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\nContent-Length: %d\r\n\r\n%s", estPath(label, "simpleenroll"), len(body), body)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		t.Logf("%s", text)
	}
	return answer.StatusCode
}

// TestESTLate: a device that slept past the end of its certificate renews it in the
// grace of the profile, with its own key, and can do nothing else with it.
func TestESTLate(t *testing.T) {
	clock := pandotest.NewClock(pandotest.Now())
	s := openAt(t, clock)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	device := caller{t: t, s: s, roots: bootstrapOf(t, s), key: pandotest.Key(t, pki.P256)}
	device.publish(st, `profile: field
keys: {allow: [p256], renew: {key: same-key, grace: 90d}}
validity: 30d
subject: [{type: serialNumber, from: device.id}]
keyUsage: {use: [digitalSignature]}
keyIdentifiers: [subject, authority]
status: {crl: true}
`)
	device.trust("acme", trust.NewAnchor{Name: "ours", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "field"}}})
	got, err := s.enroll.Enroll(t.Context(), enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "field", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, device.key, meterSubject("SM-1"))}})
	if err != nil {
		t.Fatal(err)
	}
	device.chain = append([][]byte{got.Certificate.DER}, got.Chain...)
	old := pandotest.Parse(t, got.Certificate.DER)
	later(t, s, clock, 40*24*time.Hour)
	for what, c := range map[string]struct {
		operation string
		body      []byte
		status    int
	}{
		"enrols":              {"simpleenroll", goesOn(t, old, device.key), http.StatusUnauthorized},
		"renews with another": {"simplereenroll", goesOn(t, old, pandotest.Key(t, pki.P256)), http.StatusForbidden},
	} {
		if answer := device.est("POST", estPath("acme.field", c.operation), c.body); answer.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", what, answer.Status, c.status)
		}
	}
	var answer *http.Response
	if err := patiently(func() error {
		if answer = device.est("POST", estPath("acme.field", "simplereenroll"), goesOn(t, old, device.key)); answer.StatusCode == http.StatusServiceUnavailable {
			return pki.Errorf(pki.Unavailable, "the clock was moved")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if renewed := certificates(t, answer)[0]; !renewed.NotAfter.After(clock.Now()) || !bytes.Equal(renewed.RawSubject, old.RawSubject) {
		t.Errorf("renewed until %s", renewed.NotAfter)
	}
}
