package revocation_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

func TestRevoke(t *testing.T) {
	v := revocationtest.New(t, 4)
	serial, twice := v.Issue(), v.Issue()
	revoke(t, v, twice, pki.Superseded)
	grant := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	tests := []struct {
		name   string
		grant  access.Permit
		issuer pki.IssuerID
		serial pki.Serial
		reason pki.Reason
		want   pki.Kind
	}{
		{"no grant", access.Permit{}, v.CA.Issuer.ID, serial, pki.Unspecified, pki.Forbidden},
		{"grant of another permission", revocationtest.Permit(t, revocationtest.Tenant, access.Enroll), v.CA.Issuer.ID, serial, pki.Unspecified, pki.Forbidden},
		{"stranger", revocationtest.Permit(t, "other", access.Revoke), v.CA.Issuer.ID, serial, pki.Unspecified, pki.NotFound},
		{"no such issuer", grant, "nobody", serial, pki.Unspecified, pki.NotFound},
		{"no such serial", grant, v.CA.Issuer.ID, pki.NewSerial(pki.SerialShort, v.Clock.Now()), pki.Unspecified, pki.NotFound},
		{"reason that is not used", grant, v.CA.Issuer.ID, serial, 7, pki.Malformed},
		{"release", grant, v.CA.Issuer.ID, serial, pki.RemoveFromCRL, pki.Malformed},
		{"twice", grant, v.CA.Issuer.ID, twice, pki.KeyCompromise, pki.AlreadyRevoked},
	}
	notFound := make(map[string]bool)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := v.Revoke(t.Context(), tt.grant, tt.issuer, tt.serial, tt.reason)
			if err == nil || pki.KindOf(err) != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if tt.want == pki.NotFound {
				notFound[pki.DetailOf(err)] = true
			}
		})
	}
	if len(notFound) != 1 {
		t.Errorf("a stranger can tell what is there: %v", notFound)
	}

	before := len(v.Store.Events())
	if _, err := v.Revoke(t.Context(), grant, v.CA.Issuer.ID, serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	want := []pki.Event{{
		Tenant: revocationtest.Tenant, At: v.Clock.Now(), Actor: "system:test (test)", Action: "certificate.revoke",
		Target: "certificate:issuer/" + serial.String(), Detail: "reason keyCompromise",
	}}
	if diff := cmp.Diff(want, v.Store.Events()[before:]); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	status, err := v.Store.Status(t.Context(), v.CA.Issuer.ID, serial)
	if err != nil || status.Revocation == nil || status.Revocation.Shard != serial.Shard(4) || !status.Revocation.NotAfter.Equal(status.NotAfter) {
		t.Errorf("stored %+v, %v", status.Revocation, err)
	}
}
