package enroll_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
)

func TestCreateEndpoint(t *testing.T) {
	h := newHouse(t, "meter")
	h.AddTenant(t, "globex")
	manage := h.grant(access.ManageEndpoints)
	for _, test := range []struct {
		name  string
		grant access.Permit
		ep    enroll.NewEndpoint
		want  pki.Kind
	}{
		{"without a grant", access.Permit{}, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "meter"}, pki.Forbidden},
		{"with another grant", h.grant(access.ReadConfiguration), enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "meter"}, pki.Forbidden},
		{"without a name", manage, enroll.NewEndpoint{Authority: "issuing", Profile: "meter"}, pki.Malformed},
		{"with a label for a name", manage, enroll.NewEndpoint{Name: "acme.x", Authority: "issuing", Profile: "meter"}, pki.Malformed},
		{"name taken", manage, enroll.NewEndpoint{Name: "meter", Authority: "issuing", Profile: "meter"}, pki.Conflict},
		{"unknown authority", manage, enroll.NewEndpoint{Name: "x", Authority: "nobody", Profile: "meter"}, pki.NotFound},
		{"no authority", manage, enroll.NewEndpoint{Name: "x", Profile: "meter"}, pki.NotFound},
		{"the root", manage, enroll.NewEndpoint{Name: "x", Authority: "root", Profile: "meter"}, pki.NotReady},
		{"unknown profile", manage, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "metre"}, pki.NotFound},
		{"unknown version", manage, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "meter", Version: 2}, pki.NotFound},
		{"negative version", manage, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "meter", Version: -1}, pki.NotFound},
		{"no profile", manage, enroll.NewEndpoint{Name: "x", Authority: "issuing"}, pki.NotFound},
		{"a root's profile", manage, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "root"}, pki.PolicyRefused},
		{"an authority's profile", manage, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "issuing-ca"}, pki.PolicyRefused},
		{"unknown protocol", manage, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "meter", Protocols: []pki.Protocol{"rest", "telnet"}}, pki.Malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := h.Enroll.CreateEndpoint(t.Context(), test.grant, test.ep)
			refused(t, err, test.want)
		})
	}
	_, err := h.Enroll.CreateEndpoint(t.Context(), manage, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "ocsp-responder"})
	refused(t, err, pki.PolicyRefused)
	if detail := pki.DetailOf(err); !strings.Contains(detail, "OCSP responders") {
		t.Errorf("a responder's profile: %s", detail)
	}
	// The authority of another tenant is not there, by name or by id.
	theirs, err := h.Hierarchy.FindAuthority(t.Context(), "globex", "issuing")
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Enroll.CreateEndpoint(t.Context(), manage, enroll.NewEndpoint{Name: "x", Authority: string(theirs), Profile: "meter"})
	refused(t, err, pki.NotFound)

	ep, err := h.Enroll.CreateEndpoint(t.Context(), manage, enroll.NewEndpoint{Name: "x", Authority: "issuing", Profile: "meter",
		Protocols: []pki.Protocol{"rest", "batch", "rest"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]pki.Protocol{"batch", "rest"}, ep.Protocols); diff != "" {
		t.Errorf("protocols (-want +got):\n%s", diff)
	}
	stored, err := h.Enroll.Endpoint(t.Context(), h.grant(access.ReadConfiguration), "acme.x")
	if diff := cmp.Diff(ep.Profile, stored.Profile); diff != "" || err != nil || ep.Profile.Version != 1 {
		t.Errorf("stored %v, %s", err, diff)
	}
}

func TestEndpointNames(t *testing.T) {
	h := newHouse(t)
	manage := h.grant(access.ManageEndpoints)
	const most = 200
	many := func(n int) []string { return strings.Split(strings.Repeat("a.example.com ", n-1)+"a.example.com", " ") }
	for _, test := range []struct {
		name  string
		names pki.Names
		ok    bool
	}{
		{"of each kind", pki.Names{DNS: []string{"localhost", "*.example.com"}, IP: []string{"10.0.0.0/8", "::1/128"}, URI: []string{"urn:device:"}}, true},
		{"as-many-as-there-can-be", pki.Names{DNS: many(most - 1), IP: []string{"10.0.0.0/8"}}, true},

		{"too many", pki.Names{DNS: many(most), IP: []string{"10.0.0.0/8"}}, false},
		{"empty", pki.Names{DNS: []string{""}}, false},
		{"every host", pki.Names{DNS: []string{"*"}}, false},
		{"every host below", pki.Names{DNS: []string{"*."}}, false},
		{"two stars", pki.Names{DNS: []string{"*.*.example.com"}}, false},
		{"star inside", pki.Names{DNS: []string{"a.*.example.com"}}, false},
		{"upper case", pki.Names{DNS: []string{"Meter.example.com"}}, false},
		{"dot at the end", pki.Names{DNS: []string{"example.com."}}, false},
		{"space", pki.Names{DNS: []string{"a example.com"}}, false},
		{"address as a name", pki.Names{DNS: []string{"10.0.0.1"}}, false},
		{"long name", pki.Names{DNS: []string{strings.Repeat("a.", 127) + "com"}}, false},
		{"address without a prefix", pki.Names{IP: []string{"10.0.0.1"}}, false},
		{"host bits", pki.Names{IP: []string{"10.0.0.1/8"}}, false},
		{"IPv4 in IPv6", pki.Names{IP: []string{"::ffff:10.0.0.0/104"}}, false},
		{"URI without a scheme", pki.Names{URI: []string{"device"}}, false},
		{"URI with an empty scheme", pki.Names{URI: []string{":device"}}, false},
		{"upper-case scheme", pki.Names{URI: []string{"URN:device:"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := h.Enroll.CreateEndpoint(t.Context(), manage, enroll.NewEndpoint{
				Name: strings.ReplaceAll(test.name, " ", "-"), Authority: "issuing", Profile: "tls-server", Names: &test.names})
			if test.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, pki.Malformed)
		})
	}
}

// publish publishes the meter profile with another validity, as its next version.
func (h *house) publish(validity string) *pki.ProfileVersion {
	h.t.Helper()
	source, err := packs.Document("meter")
	if err != nil {
		h.t.Fatal(err)
	}
	text := strings.Replace(string(source), "validity: 20y", "validity: "+validity, 1)
	v, err := h.Hierarchy.PublishProfile(h.t.Context(), h.grant(access.ManageProfiles), []byte(text))
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// TestPinnedProfile: an endpoint issues under the version that it binds, until it
// is told to bind another.
func TestPinnedProfile(t *testing.T) {
	h := newHouse(t, "meter")
	issued := func() (version, years int) {
		t.Helper()
		got, cert := h.get(h.request("meter", meterCSR(t, "SM-1")))
		return got.Certificate.Profile.Version, cert.NotAfter.Year() - cert.NotBefore.Year()
	}
	_, clipped := issued() // the meter's 20 years end with its issuer
	if v := h.publish("3y"); v.Version != 2 {
		t.Fatalf("version %d", v.Version)
	}
	if version, years := issued(); version != 1 || years != clipped {
		t.Errorf("after a second version was published: version %d, %d years", version, years)
	}
	manage := h.grant(access.ManageEndpoints)
	for _, step := range []struct {
		name           string
		update         enroll.NewEndpoint
		version, years int
	}{
		{"only the protocols", enroll.NewEndpoint{Name: "meter", Protocols: []pki.Protocol{pki.ProtocolREST}}, 1, clipped},
		{"to the latest", enroll.NewEndpoint{Name: "meter", Profile: "meter"}, 2, 3},
		{"back to the first", enroll.NewEndpoint{Name: "meter", Profile: "meter", Version: 1}, 1, clipped},
		{"to the second by its number alone", enroll.NewEndpoint{Name: "meter", Version: 2}, 2, 3},
		{"only the names", enroll.NewEndpoint{Name: "meter", Names: &pki.Names{}}, 2, 3},
	} {
		if _, err := h.Enroll.UpdateEndpoint(t.Context(), manage, step.update); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if version, years := issued(); version != step.version || years != step.years { // at once
			t.Errorf("%s: version %d, %d years, want %d, %d", step.name, version, years, step.version, step.years)
		}
	}
	// A batch that was submitted under the first goes on under it.
	if _, err := h.Enroll.UpdateEndpoint(t.Context(), manage, enroll.NewEndpoint{Name: "meter", Protocols: []pki.Protocol{pki.ProtocolBatch}}); err != nil {
		t.Fatal(err)
	}
	first := pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 1}
	lane, err := h.Enroll.OpenPinned(t.Context(), h.grant(access.ManageBatches), enroll.Pinned{Endpoint: "meter", Profile: first}, enroll.Pinned{}, "token:1 (line)", nil)
	if err != nil || lane.Profile() != first {
		t.Errorf("pinned to %+v, %v", lane.Profile(), err)
	}
	if lane, err := h.Enroll.Open(t.Context(), h.grant(access.ManageBatches), "meter", pki.ProtocolBatch); err != nil || lane.Profile().Version != 2 {
		t.Errorf("beside it: %+v, %v", lane.Profile(), err)
	}
}

func TestUpdateEndpoint(t *testing.T) {
	h := newHouse(t, "meter", "device")
	h.AddTenant(t, "globex")
	manage := h.grant(access.ManageEndpoints)
	for _, test := range []struct {
		name  string
		grant access.Permit
		ep    enroll.NewEndpoint
		want  pki.Kind
	}{
		{"without a grant", access.Permit{}, enroll.NewEndpoint{Name: "meter"}, pki.Forbidden},
		{"with another grant", h.grant(access.Enroll), enroll.NewEndpoint{Name: "meter"}, pki.Forbidden},
		{"unknown", manage, enroll.NewEndpoint{Name: "metre"}, pki.NotFound},
		{"another tenant's", h.Permit(t, "globex", access.ManageEndpoints), enroll.NewEndpoint{Name: "meter"}, pki.NotFound},
		{"outside its scope", h.grant(access.ManageEndpoints, "device"), enroll.NewEndpoint{Name: "meter"}, pki.Forbidden},
		{"unknown profile", manage, enroll.NewEndpoint{Name: "meter", Profile: "metre"}, pki.NotFound},
		{"unknown version", manage, enroll.NewEndpoint{Name: "meter", Version: 7}, pki.NotFound},
		{"an authority's profile", manage, enroll.NewEndpoint{Name: "meter", Profile: "issuing-ca"}, pki.PolicyRefused},
		{"unknown protocol", manage, enroll.NewEndpoint{Name: "meter", Protocols: []pki.Protocol{"telnet"}}, pki.Malformed},
		{"bad name", manage, enroll.NewEndpoint{Name: "meter", Names: &pki.Names{DNS: []string{"*"}}}, pki.Malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := h.Enroll.UpdateEndpoint(t.Context(), test.grant, test.ep)
			refused(t, err, test.want)
		})
	}
	h.get(h.request("meter", meterCSR(t, "SM-1"))) // it is as it was

	eventCount := func() int {
		t.Helper()
		events, _, err := h.Hierarchy.Events(t.Context(), h.grant(access.ReadEvents), hierarchy.EventFilter{}, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	before := eventCount()
	now, err := h.Enroll.Endpoint(t.Context(), h.grant(access.ReadConfiguration), "meter")
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Enroll.UpdateEndpoint(t.Context(), manage, enroll.NewEndpoint{Name: "meter"})
	refused(t, err, pki.Malformed)
	for name, same := range map[string]enroll.NewEndpoint{
		"profile":   {Name: "meter", Profile: "meter"},
		"version":   {Name: "meter", Version: 1},
		"protocols": {Name: "meter", Protocols: []pki.Protocol{"rest", "batch"}},
		"names":     {Name: "meter", Names: &now.Names},
	} {
		if ep, err := h.Enroll.UpdateEndpoint(t.Context(), manage, same); err != nil || ep.Name != "meter" {
			t.Errorf("the same %s: %v", name, err)
		}
	}
	if after := eventCount(); after != before {
		t.Errorf("what changed nothing left %d events", after-before)
	}

	// All protocols off: nothing gets in.
	if _, err := h.Enroll.UpdateEndpoint(t.Context(), manage, enroll.NewEndpoint{Name: "meter", Protocols: []pki.Protocol{}}); err != nil {
		t.Fatal(err)
	}
	_, err = h.Enroll.Enroll(t.Context(), h.request("meter", meterCSR(t, "SM-1")))
	refused(t, err, pki.PolicyRefused)
	if want := "the endpoint acme.meter is switched off"; !strings.Contains(pki.DetailOf(err), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if off, err := h.Enroll.Endpoint(t.Context(), h.grant(access.ReadConfiguration), "meter"); err != nil || len(off.Protocols) > 0 {
		t.Errorf("%v, protocols %v", err, off.Protocols)
	}

	events, _, err := h.Hierarchy.Events(t.Context(), h.grant(access.ReadEvents), hierarchy.EventFilter{}, "", 1)
	if err != nil || len(events) != 1 || events[0].Action != "endpoint.update" || events[0].Target != "endpoint:meter" || events[0].Actor != "token:test (test)" {
		t.Errorf("the last event is %+v, %v", events, err)
	}
}

func TestReadEndpoints(t *testing.T) {
	h := newHouse(t, "meter", "device", "tls-server")
	h.AddTenant(t, "globex", "meter")
	listed := func(g access.Permit) (labels []string) {
		t.Helper()
		all, err := h.Enroll.Endpoints(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range all {
			labels = append(labels, ep.Label())
		}
		return labels
	}
	if diff := cmp.Diff([]string{"acme.device", "acme.meter", "acme.tls-server"}, listed(h.grant(access.ReadConfiguration))); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"acme.meter"}, listed(h.grant(access.ReadConfiguration, "meter", "none"))); diff != "" {
		t.Errorf("endpoints in scope (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		grant    access.Permit
		endpoint string
		want     pki.Kind
	}{
		{access.Permit{}, "meter", pki.Forbidden},
		{h.grant(access.Enroll), "meter", pki.Forbidden},
		{h.grant(access.ReadConfiguration), "globex.meter", pki.NotFound},
		{h.grant(access.ReadConfiguration), "metre", pki.NotFound},
		{h.grant(access.ReadConfiguration, "device"), "meter", pki.Forbidden},
	} {
		_, err := h.Enroll.Endpoint(t.Context(), test.grant, test.endpoint)
		refused(t, err, test.want)
	}
	if _, err := h.Enroll.Endpoints(t.Context(), access.Permit{}); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("without a grant: %v", err)
	}
}
