package enroll_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

func TestEnroll(t *testing.T) {
	h := newHouse(t, "meter")
	key := pandotest.Key(t, pki.P256)
	// What the request asks for and the profile does not name has no effect.
	csr := pandotest.CSR(t, key, pkix.Name{SerialNumber: "SM-000001", CommonName: "admin", Organization: []string{"Globex"}}, "evil.example.com")
	got, cert := h.get(h.request("acme.meter", csr))
	if want := "SERIALNUMBER=SM-000001,O=Example acme"; cert.Subject.String() != want {
		t.Errorf("subject %s, want %s", cert.Subject, want)
	}
	if len(cert.DNSNames) > 0 || cert.IsCA {
		t.Errorf("names %v, CA %t", cert.DNSNames, cert.IsCA)
	}
	if spki, err := x509.MarshalPKIXPublicKey(key.Public()); err != nil || !bytes.Equal(spki, cert.RawSubjectPublicKeyInfo) {
		t.Errorf("it has another key, %v", err)
	}
	want := &pki.Certificate{Tenant: "acme", Owner: "acme", Device: "SM-000001", Profile: pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 1}}
	c := got.Certificate
	made := &pki.Certificate{Tenant: c.Tenant, Owner: c.Owner, Device: c.Device, Profile: c.Profile, Batch: c.Batch, Row: c.Row}
	if diff := cmp.Diff(want, made); diff != "" || got.Repeated {
		t.Errorf("certificate (-want +got):\n%s repeated %t", diff, got.Repeated)
	}
	if len(got.Chain) != 1 {
		t.Fatalf("a chain of %d, want the issuer without the root", len(got.Chain))
	}
	if err := cert.CheckSignatureFrom(pandotest.Parse(t, got.Chain[0])); err != nil {
		t.Error(err)
	}
	stored, err := h.Enroll.Certificate(t.Context(), h.grant(access.ReadCertificates), c.Issuer, c.Serial)
	if err != nil || !bytes.Equal(stored.DER, c.DER) {
		t.Errorf("the store has another, %v", err)
	}
}

// TestWhoMayEnroll: who asks, where, and by which way.
func TestWhoMayEnroll(t *testing.T) {
	h := newHouse(t, "meter", "device")
	h.AddTenant(t, "globex", "meter")
	_, err := h.Enroll.CreateEndpoint(t.Context(), h.grant(access.ManageEndpoints),
		enroll.NewEndpoint{Name: "plant", Authority: "issuing", Profile: "meter", Protocols: []pki.Protocol{pki.ProtocolBatch}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		grant    access.Permit
		endpoint string
		protocol pki.Protocol
		want     pki.Kind // Internal is none
	}{
		{"by name", h.grant(access.Enroll), "meter", pki.ProtocolREST, pki.Internal},
		{"by label", h.grant(access.Enroll), "acme.meter", pki.ProtocolREST, pki.Internal},
		{"within its scope", h.grant(access.Enroll, "device", "meter"), "acme.meter", pki.ProtocolREST, pki.Internal},

		{"without a grant", access.Permit{}, "meter", pki.ProtocolREST, pki.Forbidden},
		{"with another grant", h.grant(access.ReadCertificates), "meter", pki.ProtocolREST, pki.Forbidden},
		{"with a batch's grant", h.grant(access.ManageBatches), "meter", pki.ProtocolREST, pki.Forbidden},
		{"outside its scope", h.grant(access.Enroll, "device"), "meter", pki.ProtocolREST, pki.Forbidden},
		{"outside its scope by label", h.grant(access.Enroll, "device"), "acme.meter", pki.ProtocolREST, pki.Forbidden},
		{"unknown endpoint", h.grant(access.Enroll), "metre", pki.ProtocolREST, pki.NotFound},
		{"no endpoint", h.grant(access.Enroll), "", pki.ProtocolREST, pki.NotFound},
		{"another tenant's label", h.grant(access.Enroll), "globex.meter", pki.ProtocolREST, pki.NotFound},
		{"an unknown tenant's label", h.grant(access.Enroll), "nobody.meter", pki.ProtocolREST, pki.NotFound},
		{"the platform's label", h.grant(access.Enroll), ".meter", pki.ProtocolREST, pki.NotFound},
		{"a label of three", h.grant(access.Enroll), "acme.meter.meter", pki.ProtocolREST, pki.NotFound},
		{"protocol off", h.grant(access.Enroll), "plant", pki.ProtocolREST, pki.PolicyRefused},
		{"unknown protocol", h.grant(access.Enroll), "meter", "est", pki.PolicyRefused},
		{"no protocol", h.grant(access.Enroll), "meter", "", pki.PolicyRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := h.Enroll.Enroll(t.Context(), enroll.Request{
				Grant: test.grant, Endpoint: test.endpoint, Protocol: test.protocol, Subject: enroll.Subject{CSR: meterCSR(t, "SM-1")},
			})
			if test.want == pki.Internal {
				if err != nil || got.Certificate.Owner != "acme" {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			refused(t, err, test.want)
		})
	}
	// Nobody outside a tenant is told more than that it is not there.
	var said []string
	for _, endpoint := range []string{"globex.meter", "globex.none", "nobody.meter"} {
		_, err := h.Enroll.Enroll(t.Context(), h.request(endpoint, meterCSR(t, "SM-1")))
		said = append(said, strings.ReplaceAll(pki.DetailOf(err), endpoint, "X"))
	}
	if said[0] != said[1] || said[0] != said[2] {
		t.Errorf("the refusals differ: %q", said)
	}
}

func TestWhatIsRefused(t *testing.T) {
	h := newHouse(t, "meter", "device")
	long := strings.Repeat("x", enroll.MaxAttribute+1)
	many := make(map[string]string)
	for i := range enroll.MaxAttributes + 1 {
		many[fmt.Sprint("a", i)] = "x"
	}
	tests := []struct {
		name   string
		change func(*enroll.Request)
		want   pki.Kind
	}{
		{"long idempotency key", func(r *enroll.Request) { r.Idempotency = strings.Repeat("x", enroll.MaxIdempotency+1) }, pki.Malformed},
		{"too many attributes", func(r *enroll.Request) { r.Attributes = many }, pki.Malformed},
		{"attribute without a name", func(r *enroll.Request) { r.Attributes = map[string]string{"": "x"} }, pki.Malformed},
		{"long name of an attribute", func(r *enroll.Request) { r.Attributes = map[string]string{long: "x"} }, pki.Malformed},
		{"long attribute", func(r *enroll.Request) { r.Attributes = map[string]string{"a": long} }, pki.Malformed},
		{"long product line", func(r *enroll.Request) { r.Placement.ProductLine = strings.Repeat("x", 129) }, pki.Malformed},
		{"lot of two lines", func(r *enroll.Request) { r.Placement.Lot = "a\nb" }, pki.Malformed},
		{"site of control characters", func(r *enroll.Request) { r.Placement.Site = "\x00" }, pki.Malformed},
		{"long device", func(r *enroll.Request) { r.Device = pki.DeviceID(strings.Repeat("x", 129)) }, pki.Malformed},
		{"device with a space in front", func(r *enroll.Request) { r.Device = " SM-1" }, pki.Malformed},
		{"no device anywhere", func(r *enroll.Request) { r.CSR = pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{}) }, pki.Malformed},
		{"device of the request with a space at its end", func(r *enroll.Request) {
			r.CSR = pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1 "})
		}, pki.Malformed},
		{"device of the request outside ASCII", func(r *enroll.Request) {
			r.CSR = pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "Zähler"})
		}, pki.Malformed},
		{"key of a kind that the profile does not allow", func(r *enroll.Request) {
			r.CSR = pandotest.CSR(t, pandotest.Key(t, pki.P384), pkix.Name{SerialNumber: "SM-1"})
		}, pki.BadKey},
		{"no common name where the profile needs it", func(r *enroll.Request) { r.Endpoint = "device" }, pki.PolicyRefused},
	}
	for _, bad := range pandotest.BadCSRs(t) {
		tests = append(tests, struct {
			name   string
			change func(*enroll.Request)
			want   pki.Kind
		}{"CSR: " + bad.Name, func(r *enroll.Request) { r.CSR, r.Endpoint = bad.DER, "device" }, bad.Kind}) // it takes most kinds of key
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := h.request("meter", meterCSR(t, "SM-1"))
			test.change(&r)
			_, err := h.Enroll.Enroll(t.Context(), r)
			refused(t, err, test.want)
			if len(pki.DetailOf(err)) > 1000 {
				t.Errorf("the reason has %d bytes", len(pki.DetailOf(err)))
			}
		})
	}
	all, err := h.Registry.Certificates(t.Context(), h.grant(access.ReadCertificates), registry.Query{Device: "SM-1"}, registry.Paging{Limit: 10})
	if err != nil || len(all.Items) > 0 {
		t.Errorf("certificates came of what was refused: %+v, %v", all, err)
	}
}

// TestLargest takes what is just within the bounds.
func TestLargest(t *testing.T) {
	h := newHouse(t, "meter")
	r := h.request("meter", meterCSR(t, "SM-1"))
	r.Idempotency = strings.Repeat("x", enroll.MaxIdempotency)
	r.Device = pki.DeviceID(strings.Repeat("x", 64)) // 128 as an id, 64 as a serialNumber (RFC 5280, ub-serial-number)
	r.Placement = pki.Placement{ProductLine: strings.Repeat("p", 128), Lot: strings.Repeat("l", 128), Site: strings.Repeat("s", 128)}
	r.Attributes = make(map[string]string)
	for i := range enroll.MaxAttributes {
		r.Attributes[fmt.Sprintf("%0*d", enroll.MaxAttribute, i)] = strings.Repeat("v", enroll.MaxAttribute)
	}
	if got, _ := h.get(r); got.Certificate.Device != r.Device {
		t.Errorf("device %q", got.Certificate.Device)
	}
	r.Device += "x"
	r.Idempotency = ""
	_, err := h.Enroll.Enroll(t.Context(), r)
	refused(t, err, pki.PolicyRefused)
}

func TestDeviceOf(t *testing.T) {
	h := newHouse(t, "meter", "device", "tls-server")
	for _, test := range []struct {
		name     string
		endpoint string
		given    pki.DeviceID
		csr      pkix.Name
		want     pki.DeviceID
	}{
		{"serialNumber before CN", "meter", "", pkix.Name{SerialNumber: "SM-1", CommonName: "other"}, "SM-1"},
		{"CN", "meter", "", pkix.Name{CommonName: "SM-2"}, "SM-2"},
		{"given before the request's", "meter", "SM-3", pkix.Name{SerialNumber: "other"}, "SM-3"},
		{"given where the request has none", "meter", "SM-4", pkix.Name{}, "SM-4"},

		// Of a profile that can do without, so that its devices are found too.
		{"CN", "device", "", pkix.Name{CommonName: "gateway 7"}, "gateway 7"},
		{"serialNumber before CN", "device", "", pkix.Name{SerialNumber: "GW-8", CommonName: "gateway 8"}, "GW-8"},
		{"given before the request's", "device", "GW-9", pkix.Name{CommonName: "gateway 9"}, "GW-9"},
		{"CN that is no device id", "device", "", pkix.Name{CommonName: "Zähler"}, ""},
		{"serialNumber that is no device id", "device", "", pkix.Name{SerialNumber: "GW-1 ", CommonName: "gateway 1"}, ""},
		{"no subject", "tls-server", "", pkix.Name{}, ""},
	} {
		t.Run(test.endpoint+", "+test.name, func(t *testing.T) {
			r := h.request(test.endpoint, pandotest.CSR(t, pandotest.Key(t, pki.P256), test.csr, "localhost"))
			r.Device = test.given
			got, cert := h.get(r)
			if got.Certificate.Device != test.want {
				t.Errorf("device %q, want %q", got.Certificate.Device, test.want)
			}
			if test.endpoint == "meter" && cert.Subject.SerialNumber != string(test.want) {
				t.Errorf("serialNumber %q, want %q", cert.Subject.SerialNumber, test.want)
			}
		})
	}
}

// TestNamesAuthorised: a name from a request needs the endpoint's authority.
func TestNamesAuthorised(t *testing.T) {
	h := newHouse(t)
	_, err := h.Enroll.CreateEndpoint(t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{
		Name: "tls", Authority: "issuing", Profile: "tls-server",
		Names: &pki.Names{DNS: []string{"localhost", "*.example.com"}, IP: []string{"10.1.0.0/16", "2001:db8::/32"}, URI: []string{"urn:device:", "https://example.com/id"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := pandotest.Key(t, pki.P256)
	for _, test := range []struct {
		cn string
		n  names
		ok bool
	}{
		{"", names{dns: []string{"localhost"}}, true},
		{"a.example.com", names{dns: []string{"a.example.com", "b.example.com"}}, true},
		{"", names{ip: []string{"10.1.255.255", "2001:db8::1"}}, true},
		{"", names{uri: []string{"urn:device:1", "https://example.com/id"}}, true},

		{"", names{}, false},
		{"a.example.com", names{}, false},
		{"evil.test", names{dns: []string{"a.example.com"}}, false},
		{"", names{dns: []string{"a.example.com", "evil.test"}}, false},
		{"", names{dns: []string{"example.com"}}, false},
		{"", names{dns: []string{"a.b.example.com"}}, false},
		{"", names{dns: []string{"aexample.com"}}, false},
		{"", names{dns: []string{"*.example.com"}}, false},
		{"", names{dns: []string{"A.example.com"}}, false},
		{"", names{ip: []string{"10.2.0.0"}}, false},
		{"", names{ip: []string{"10.1.0.1", "127.0.0.1"}}, false},
		{"", names{uri: []string{"urn:devices:1"}}, false},
		{"", names{uri: []string{"https://example.com/id/1"}}, false},
		{"10.1.0.1", names{ip: []string{"10.1.0.1"}}, false}, // the CN's check is that of DNS names
	} {
		r := h.request("tls", csrWith(t, key, test.cn, test.n))
		got, err := h.Enroll.Enroll(t.Context(), r)
		if test.ok {
			key = pandotest.Key(t, pki.P256) // the next one's
			if err != nil {
				t.Errorf("CN %q, %v: %v", test.cn, test.n, err)
			} else if cert := pandotest.Parse(t, got.Certificate.DER); len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.URIs) != len(test.n.dns)+len(test.n.ip)+len(test.n.uri) {
				t.Errorf("CN %q, %v: it has %v %v %v", test.cn, test.n, cert.DNSNames, cert.IPAddresses, cert.URIs)
			}
			continue
		}
		if err == nil || pki.KindOf(err) != pki.PolicyRefused {
			t.Errorf("CN %q, %v: %v, want a refusal", test.cn, test.n, err)
		}
	}
}

func TestBlockList(t *testing.T) {
	h := newHouse(t, "meter")
	key := pandotest.Key(t, pki.P256)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(spki)
	if _, err := h.Enroll.BlockKeys(t.Context(), h.grant(access.ManageEndpoints), [][32]byte{hash}); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("by a tenant: %v", err)
	}
	platform := h.Permit(t, pki.Platform, access.ManageBlocklist)
	for _, step := range []struct {
		hashes [][32]byte
		fresh  int
	}{
		{[][32]byte{hash, {1}}, 2},
		{[][32]byte{hash, {2}}, 1},
		{[][32]byte{hash}, 0},
		{nil, 0},
	} {
		if added, err := h.Enroll.BlockKeys(t.Context(), platform, step.hashes); added != step.fresh || err != nil {
			t.Errorf("of %d hashes %d were new, %v, want %d", len(step.hashes), added, err, step.fresh)
		}
	}
	csr := pandotest.CSR(t, key, pkix.Name{SerialNumber: "SM-1"})
	_, err = h.Enroll.Enroll(t.Context(), h.request("meter", csr))
	refused(t, err, pki.BadKey)
	lane, err := h.Enroll.Open(t.Context(), h.grant(access.ManageBatches), "meter", pki.ProtocolBatch)
	if err != nil {
		t.Fatal(err)
	}
	refusals, err := h.Enroll.CheckChunk(t.Context(), lane, enroll.Chunk{Rows: []enroll.Row{{No: 1, Subject: enroll.Subject{CSR: csr}}}}, new(enroll.Seen))
	if err != nil || len(refusals) != 1 || refusals[0].Kind != pki.BadKey {
		t.Errorf("in a batch: %+v, %v", refusals, err)
	}
}

// TestIdempotency: what makes a request the same is all that decides on its
// certificate, however it is written.
func TestIdempotency(t *testing.T) {
	h := newHouse(t, "meter")
	_, err := h.Enroll.CreateEndpoint(t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "plant", Authority: "issuing", Profile: "meter"})
	if err != nil {
		t.Fatal(err)
	}
	csr := meterCSR(t, "SM-1")
	request := func(change func(*enroll.Request)) enroll.Request {
		r := h.request("meter", csr)
		r.Idempotency, r.Placement, r.Attributes = "order 7", pki.Placement{Lot: "ab", Site: "c"}, map[string]string{"a": "b"}
		if change != nil {
			change(&r)
		}
		return r
	}
	first, _ := h.get(request(nil))
	for name, change := range map[string]func(*enroll.Request){
		"again":              nil,
		"by label":           func(r *enroll.Request) { r.Endpoint = "acme.meter" },
		"by another person":  func(r *enroll.Request) { r.Grant = h.grant(access.Enroll, "meter") },
		"with the device in": func(r *enroll.Request) { r.Device = "SM-1" },
	} {
		got, err := h.Enroll.Enroll(t.Context(), request(change))
		if err != nil || !got.Repeated || !bytes.Equal(got.Certificate.DER, first.Certificate.DER) {
			t.Errorf("%s: %+v, %v", name, got, err)
		} else if diff := cmp.Diff(first.Chain, got.Chain); diff != "" {
			t.Errorf("%s: another chain:\n%s", name, diff)
		}
	}
	for name, change := range map[string]func(*enroll.Request){
		"another key":           func(r *enroll.Request) { r.CSR = meterCSR(t, "SM-1") },
		"another device":        func(r *enroll.Request) { r.Device = "SM-2" },
		"parts run together":    func(r *enroll.Request) { r.Placement.Lot, r.Placement.Site = "a", "bc" },
		"another attribute":     func(r *enroll.Request) { r.Attributes = map[string]string{"a": "c"} },
		"an attribute more":     func(r *enroll.Request) { r.Attributes["d"] = "" },
		"no attribute":          func(r *enroll.Request) { r.Attributes = nil },
		"at another endpoint":   func(r *enroll.Request) { r.Endpoint = "plant" },
		"without its placement": func(r *enroll.Request) { r.Placement = pki.Placement{} },
	} {
		_, err := h.Enroll.Enroll(t.Context(), request(change))
		if pki.KindOf(err) != pki.Conflict {
			t.Errorf("%s: %v, want a conflict", name, err)
		}
	}
}

// TestNamesExactly: where the profile says so, a certificate has all names that its
// endpoint authorises and no other.
func TestNamesExactly(t *testing.T) {
	h := newHouse(t)
	source, err := packs.Document("tls-server")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("profile: tls-server", "profile: exact", "csr.san.dns, authorized: true", "csr.san.dns, authorized: exact").Replace(string(source))
	if _, err := h.Hierarchy.PublishProfile(t.Context(), h.grant(access.ManageProfiles), []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, err = h.Enroll.CreateEndpoint(t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{
		Name: "head", Authority: "issuing", Profile: "exact", Names: &pki.Names{DNS: []string{"a.example.com", "b.example.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := pandotest.Key(t, pki.P256)
	for _, dns := range [][]string{{"a.example.com"}, {"a.example.com", "b.example.com", "c.example.com"}, {"a.example.com", "b.example.com", "b.example.com"}} {
		_, err := h.Enroll.Enroll(t.Context(), h.request("head", csrWith(t, key, "", names{dns: dns})))
		refused(t, err, pki.PolicyRefused)
	}
	if _, cert := h.get(h.request("head", csrWith(t, key, "", names{dns: []string{"b.example.com", "a.example.com"}}))); len(cert.DNSNames) != 2 {
		t.Errorf("it has %v", cert.DNSNames)
	}
}
