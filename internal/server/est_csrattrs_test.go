package server

import (
	"encoding/asn1"
	"encoding/base64"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// TestCSRAttributes: anybody is told what a request must have at an endpoint that takes
// EST, before it is made, and of others nothing.
func TestCSRAttributes(t *testing.T) {
	s, st, meter, _ := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	const any = "profile: any\nkeys: {allow: [p256, p384]}\nvalidity: 1d\nsubject: [{type: O, from: tenant.organization}]\nkeyIdentifiers: [authority]\n"
	if _, err := s.hierarchy.PublishProfile(t.Context(), st.Permit(t, "acme", access.ManageProfiles), []byte(any)); err != nil {
		t.Fatal(err)
	}
	for name, protocol := range map[string]pki.Protocol{"any": pki.ProtocolEST, "closed": pki.ProtocolREST} {
		if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
			Name: name, Authority: "issuing", Profile: "any", Protocols: []pki.Protocol{protocol}}); err != nil {
			t.Fatal(err)
		}
	}
	nobody := meter
	nobody.chain = nil
	for label, want := range map[string]int{"acme.any": http.StatusNoContent, "acme.closed": http.StatusNotFound, "acme.none": http.StatusNotFound, "other.meter": http.StatusNotFound, "meter": http.StatusNotFound} {
		if answer := nobody.est("GET", estPath(label, "csrattrs"), nil); answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", label, answer.Status, want)
		}
	}
	answer := nobody.est("GET", estPath("acme.meter", "csrattrs"), nil)
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/csrattrs" || answer.ContentLength != int64(len(text)) {
		t.Fatalf("%s %v: %v", answer.Status, answer.Header, err)
	}
	der, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 {
		t.Fatalf("%x: %v", der, err)
	}
	var types []string
	for _, raw := range list {
		var oid asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(raw.FullBytes, &oid); err != nil {
			if _, err = asn1.Unmarshal(raw.Bytes, &oid); err != nil {
				t.Fatal(err)
			}
		}
		types = append(types, oid.String())
	}
	// serialNumber, a key of ECDSA, and the template with the same.
	if diff := cmp.Diff([]string{"2.5.4.5", "1.2.840.10045.2.1", "1.2.840.113549.1.9.16.2.61"}, types); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
