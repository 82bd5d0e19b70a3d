package enroll_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// asDevice returns a request that a device of acme's makes by its certificate.
func (h *house) asDevice(id pki.DeviceID, endpoint string, csr []byte) enroll.Request {
	h.t.Helper()
	who := access.Principal{Tenant: "acme", ID: "certificate:x/1", Grants: access.Given(access.Device), Device: id}
	g, err := who.Authorize(access.Enroll, "acme")
	if err != nil {
		h.t.Fatal(err)
	}
	return enroll.Request{Grant: g, Endpoint: endpoint, Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr}}
}

// TestIdempotencyOfDevices: the keys of each device are its own, so that none takes the
// key that its tenant's server, or another device, is going to use.
func TestIdempotencyOfDevices(t *testing.T) {
	h := newHouse(t, "meter")
	key := strings.Repeat("k", enroll.MaxIdempotency)
	first := h.asDevice("SM-1", "meter", meterCSR(t, "SM-1"))
	first.Idempotency = key
	one, _ := h.get(first)
	if again, _ := h.get(first); !again.Repeated || again.Certificate.Serial != one.Certificate.Serial {
		t.Errorf("the device's own request again: %+v", again)
	}
	for what, r := range map[string]enroll.Request{
		"the maker's server": h.request("meter", meterCSR(t, "SM-2")),
		"another device":     h.asDevice("SM-3", "meter", meterCSR(t, "SM-3")),
	} {
		r.Idempotency = key
		if got, _ := h.get(r); got.Repeated {
			t.Errorf("%s gets another's certificate", what)
		}
	}
	another := h.asDevice("SM-1", "meter", meterCSR(t, "SM-1"))
	another.Idempotency = key
	_, err := h.Enroll.Enroll(t.Context(), another)
	refused(t, err, pki.Conflict)
	forged := h.request("meter", meterCSR(t, "SM-4"))
	forged.Idempotency = "device\n00"
	_, err = h.Enroll.Enroll(t.Context(), forged)
	refused(t, err, pki.Malformed)
}

// TestNamesOfItself: by a profile that takes names from requests a device gets those of
// its certificate, and those that its endpoint makes with its id, and no other's.
func TestNamesOfItself(t *testing.T) {
	h := newHouse(t, "device")
	_, err := h.Enroll.UpdateEndpoint(t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "device",
		Names: &pki.Names{DNS: []string{"*.meters.example", "head-end.example"}, URI: []string{"urn:meter:", "urn:fleet"}, IP: []string{"10.0.0.0/8"}}})
	if err != nil {
		t.Fatal(err)
	}
	had := pandotest.Parse(t, pandotest.NewRoot(t, "x", time.Now()).Sign(t, &x509.Certificate{SerialNumber: big.NewInt(1),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"birth.example"}}, pandotest.Key(t, pki.P256).Public()))
	for what, test := range map[string]struct {
		cn string
		n  names
		ok bool
	}{
		"none":                           {"SM-1", names{}, true},
		"its certificate's":              {"SM-1", names{dns: []string{"birth.example"}}, true},
		"its id below the endpoint's":    {"SM-1", names{dns: []string{"sm-1.meters.example"}}, true},
		"its id after the endpoint's":    {"SM-1", names{uri: []string{"urn:meter:SM-1"}}, true},
		"another's id, DNS":              {"SM-1", names{dns: []string{"sm-2.meters.example"}}, false},
		"another's id, URI":              {"SM-1", names{uri: []string{"urn:meter:SM-2"}}, false},
		"its id after another's":         {"SM-1", names{uri: []string{"urn:meter:SM-2:SM-1"}}, false},
		"a longer id":                    {"SM-1", names{uri: []string{"urn:meter:XSM-1"}}, false},
		"its id elsewhere":               {"SM-1", names{dns: []string{"sm-1.example"}}, false},
		"its id deeper":                  {"SM-1", names{dns: []string{"sm-1.x.meters.example"}}, false},
		"of the endpoint, but nobody's":  {"SM-1", names{dns: []string{"head-end.example"}}, false},
		"of the endpoint, but nobody's2": {"SM-1", names{uri: []string{"urn:fleet"}}, false},
		"an address of the endpoint's":   {"SM-1", names{ip: []string{"10.0.0.1"}}, false},
		"one good, one not":              {"SM-1", names{dns: []string{"birth.example", "other.example"}}, false},
		"another's common name":          {"SM-2", names{}, false},
	} {
		r := h.asDevice("SM-1", "device", csrWith(t, pandotest.Key(t, pki.P256), test.cn, test.n))
		who := r.Grant.Principal()
		who.Names = sanOf(had)
		if r.Grant, err = who.Authorize(access.Enroll, "acme"); err != nil {
			t.Fatal(err)
		}
		got, err := h.Enroll.Enroll(t.Context(), r)
		if !test.ok {
			if pki.KindOf(err) != pki.Forbidden {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		c := pandotest.Parse(t, got.Certificate.DER)
		if len(c.DNSNames) != len(test.n.dns) || len(c.URIs) != len(test.n.uri) {
			t.Errorf("%s: %v, %v", what, c.DNSNames, c.URIs)
		}
	}
}

// TestSubjectOfItself: of the subject's attributes it may ask for those that its
// certificate has, and for its own id.
func TestSubjectOfItself(t *testing.T) {
	h := newHouse(t, "device")
	had, err := tbs.Name{{OID: der.OIDOrganization, Value: "Example"}, {OID: der.OIDSerialNumber, Type: tbs.PrintableString, Value: "SM-1"}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		subject pkix.Name
		ok      bool
	}{
		"as it is":             {pkix.Name{Organization: []string{"Example"}, SerialNumber: "SM-1", CommonName: "SM-1"}, true},
		"its id alone":         {pkix.Name{CommonName: "SM-1"}, true},
		"another's OU":         {pkix.Name{CommonName: "SM-1", OrganizationalUnit: []string{"LOT-OF-SOMEBODY-ELSE"}}, false},
		"another organization": {pkix.Name{CommonName: "SM-1", Organization: []string{"Other"}}, false},
		"another's id":         {pkix.Name{CommonName: "SM-1", SerialNumber: "SM-2"}, false},
	} {
		r := h.asDevice("SM-1", "device", pandotest.CSR(t, pandotest.Key(t, pki.P256), test.subject))
		who := r.Grant.Principal()
		who.Subject = had
		if r.Grant, err = who.Authorize(access.Enroll, "acme"); err != nil {
			t.Fatal(err)
		}
		_, err := h.Enroll.Enroll(t.Context(), r)
		if test.ok != (err == nil) || err != nil && pki.KindOf(err) != pki.Forbidden {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestNamesOfSubject: whoever has a proof for one subject gets the names that its id
// makes, and no other's; a certificate that comes with it is of the device that the
// subject names.
func TestNamesOfSubject(t *testing.T) {
	h := newHouse(t, "device")
	_, err := h.Enroll.UpdateEndpoint(t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "device",
		Names: &pki.Names{DNS: []string{"*.meters.example", "head-end.example"}, URI: []string{"urn:meter:"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		cn     string
		n      names
		device pki.DeviceID // "" is none
		proofs pki.Proofs
		ok     bool
	}{
		{"no names", "SM-1", names{}, "", pki.BySecret, true},
		{"its id below the endpoint's", "SM-1", names{dns: []string{"sm-1.meters.example"}}, "", pki.BySecret, true},
		{"its id after the endpoint's", "SM-1", names{uri: []string{"urn:meter:SM-1"}}, "", pki.BySecret, true},
		{"its id itself", "Head-End.example", names{dns: []string{"head-end.example"}}, "", pki.BySecret, true},
		{"another's id, DNS", "SM-1", names{dns: []string{"sm-2.meters.example"}}, "", pki.BySecret, false},
		{"another's id, URI", "SM-1", names{uri: []string{"urn:meter:SM-2"}}, "", pki.BySecret, false},
		{"of the endpoint, but nobody's", "SM-1", names{dns: []string{"head-end.example"}}, "", pki.BySecret, false},
		{"any name", "SM-1", names{dns: []string{"bank.example"}}, "", pki.BySecret, false},
		{"an address", "SM-1", names{ip: []string{"10.0.0.1"}}, "", pki.BySecret, false},
		{"one good, one not", "SM-1", names{dns: []string{"sm-1.meters.example", "bank.example"}}, "", pki.BySecret, false},
		{"a subject that names no device", "Zähler", names{uri: []string{"urn:meter:"}}, "", pki.BySecret, false},
		{"with the device's certificate", "SM-1", names{dns: []string{"sm-1.meters.example"}}, "SM-1", pki.BySecret | pki.ByCertificate, true},
		{"with another device's certificate", "SM-1", names{}, "SM-2", pki.BySecret | pki.ByCertificate, false},
		{"with its certificate, another's name", "SM-1", names{dns: []string{"sm-2.meters.example"}}, "SM-1", pki.BySecret | pki.ByCertificate, false},
		{"a secret of a device and of another name", "SM-1", names{}, "SM-2", pki.BySecret, true},
	} {
		role := access.Enroller
		if test.device != "" {
			role = access.Device
		}
		who := access.Principal{Tenant: "acme", ID: "secret:x", Grants: access.Given(role, at("device")...), Device: test.device, CSRSubject: "CN=" + test.cn, Proofs: test.proofs}
		g, err := who.Authorize(access.Enroll, "acme")
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.Enroll.Enroll(t.Context(), enroll.Request{Grant: g, Endpoint: "device", Protocol: pki.ProtocolREST,
			Subject: enroll.Subject{CSR: csrWith(t, pandotest.Key(t, pki.P256), test.cn, test.n)}})
		if !test.ok {
			if pki.KindOf(err) != pki.Forbidden {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		c := pandotest.Parse(t, got.Certificate.DER)
		if len(c.DNSNames) != len(test.n.dns) || len(c.URIs) != len(test.n.uri) {
			t.Errorf("%s: %v, %v", test.name, c.DNSNames, c.URIs)
		}
	}
}

func sanOf(c *x509.Certificate) []byte {
	for _, e := range c.Extensions {
		if e.Id.String() == "2.5.29.17" {
			return e.Value
		}
	}
	return nil
}
