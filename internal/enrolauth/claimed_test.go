package enrolauth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
	"github.com/pando-pki/pando/internal/visits"
)

// TestClaimed: whoever looks on sees which device somebody claimed to be who was refused, by
// what the tenant knows of the user name, the secret's id or the certificate, and nothing
// that may be a secret.
func TestClaimed(t *testing.T) {
	h := newHouse(t, "meter")
	h.plan("SM-planned")
	_, text := h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	bound, boundText := h.secret(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-1"})
	wrong := pki.NewSecret(string(bound.ID) + "-" + strings.Repeat("0", 32))
	chosen := pki.NewSecret("a text of somebody's own")
	h.secret(enrolauth.NewSecret{Endpoint: "meter", Chosen: chosen})
	strange := maker{pandotest.NewRoot(t, "Strange\x1b[31m CA", time.Now().Add(-time.Hour))}
	known := maker{pandotest.NewRoot(t, "Maker CA", time.Now().Add(-time.Hour))}
	h.trust(trust.NewAnchor{Name: "maker", Certificate: known.Certificate.Raw, Role: access.Device, Scopes: endpoint("meter")})
	now := time.Now()
	ra := []*x509.Certificate{pandotest.Parse(t, strange.Sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "line 3"}, SerialNumber: strange.Certificate.SerialNumber,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}}}, pandotest.Key(t, pki.P256).Public()))}
	for _, test := range []struct {
		name   string
		p      enrolauth.Presented
		device pki.DeviceID
		why    string
	}{
		{"a planned device's wrong secret", enrolauth.Presented{User: "SM-planned", Secret: pki.NewSecret("a wrong secret text")}, "SM-planned", "no secret"},
		{"a secret's device, which the registry does not have", enrolauth.Presented{User: "SM-1", Secret: wrong}, "SM-1", "not that of the secret"},
		{"the id of a secret", enrolauth.Presented{User: string(bound.ID), Secret: pki.NewSecret("a wrong secret text")}, "SM-1", "no secret"},
		{"a text with the id of a secret", enrolauth.Presented{Secret: wrong}, "SM-1", "not that of the secret"},
		{"a user that nobody knows", enrolauth.Presented{User: "SM-nowhere", Secret: wrong}, "SM-1", "not that of the secret"},
		{"a user that nobody knows, and no device's secret", enrolauth.Presented{User: "SM-nowhere", Secret: pki.NewSecret("a wrong secret text")}, "", "no secret"},
		{"another tenant's name for it", enrolauth.Presented{User: "acme/SM-1", Secret: text}, "", "user name"},
		{"the secret as the user", enrolauth.Presented{User: text.Reveal(), Secret: wrong}, "SM-1", "not that of the secret"},
		{"a chosen secret as the user", enrolauth.Presented{User: chosen.Reveal(), Secret: pki.NewSecret("a wrong secret text")}, "", "no secret"},
		{"a device that the request names", enrolauth.Presented{Device: "SM-5", User: "SM-1", Secret: wrong}, "SM-5", "not that of the secret"},
		{"a secret and a certificate", enrolauth.Presented{User: "SM-nowhere", Secret: pki.NewSecret("a wrong secret text"), Certificates: strange.birth(t, "SM-7")}, "SM-7", "no secret"},
		{"a stranger's certificate", enrolauth.Presented{Certificates: strange.birth(t, "SM-7")}, "SM-7", `issuer "CN=Strange\x1b[31m CA", subject "SERIALNUMBER=SM-7")`},
		{"a certificate with no device's name", enrolauth.Presented{Certificates: strange.birth(t, "SM\x1b[31m")}, "", `subject "SERIALNUMBER=SM\x1b[31m")`},
		{"an RA's certificate", enrolauth.Presented{Certificates: ra}, "", `subject "CN=line 3"`},
		{"the certificate of another CA of the name", enrolauth.Presented{Certificates: maker{pandotest.NewRoot(t, "Maker CA", now.Add(-time.Hour))}.birth(t, "SM-9")}, "SM-9", `issuer "CN=Maker CA", subject "SERIALNUMBER=SM-9")`},
	} {
		_, err := h.prove("meter", test.p)
		h.is(test.name, err, pki.Unauthenticated)
		if strings.Contains(pki.DetailOf(err), "SM-") {
			t.Errorf("%s: whoever asked is told %s", test.name, pki.DetailOf(err))
		}
		var last visits.Visit
		for v := range h.Visits.Watch(t.Context(), "acme.meter", false) {
			last = v
		}
		if last.Who != "" || last.Device != test.device || !strings.Contains(last.Why, test.why) {
			t.Errorf("%s: seen %+v, want device %q: %s", test.name, last, test.device, test.why)
		}
		for _, secret := range []pki.Secret{text, boundText, wrong, chosen} {
			if s := secret.Reveal(); strings.Contains(string(last.Device)+last.Why, s[len(s)-10:]) {
				t.Errorf("%s: a secret is shown: %+v", test.name, last)
			}
		}
	}
}
