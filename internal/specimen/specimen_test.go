package specimen

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestIssue makes a specimen of each reference profile.
func TestIssue(t *testing.T) {
	for _, name := range packs.Story() {
		t.Run(name, func(t *testing.T) {
			source, err := packs.Document(name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := policy.Parse(source)
			if err != nil {
				t.Fatal(err)
			}
			cfg := Config{
				Profile: p, Subject: tbs.Name{{OID: "2.5.4.3", Value: "sample.example"}}, Names: []tbs.GeneralName{{Kind: tbs.DNSName, Text: "sample.example"}},
				Input: policy.Input{Organization: "Sample", CommonName: "Sample", Device: "SAMPLE-1", Names: pki.Names{DNS: []string{"sample.example"}}, Now: time.Now()},
			}
			if name == "meter" || name == "firmware-signing" {
				cfg.Input.CommonName = ""
			}
			got, err := Issue(cfg)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := x509.ParseCertificate(got.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			request, err := x509.ParseCertificateRequest(got.Request)
			if err != nil {
				t.Fatal(err)
			}
			if string(cert.RawSubjectPublicKeyInfo) != string(request.RawSubjectPublicKeyInfo) {
				t.Error("the certificate is for another key than the request")
			}
		})
	}
}

func TestIssueRefuses(t *testing.T) {
	source, err := packs.Document("meter")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		cfg  Config
		want pki.Kind
	}{
		"no device":      {Config{Input: policy.Input{Organization: "Sample"}}, pki.PolicyRefused},
		"another key":    {Config{KeyKind: pki.P384, Input: policy.Input{Organization: "Sample", Device: "1"}}, pki.BadKey},
		"no kind of key": {Config{KeyKind: "p255", Input: policy.Input{Organization: "Sample", Device: "1"}}, pki.Malformed},
		"a wrong name":   {Config{Subject: tbs.Name{{OID: "2.5.4.3"}}, Input: policy.Input{Organization: "Sample", Device: "1"}}, pki.PolicyRefused},
	} {
		row.cfg.Profile, row.cfg.Input.Now = p, time.Now()
		if got, err := Issue(row.cfg); pki.KindOf(err) != row.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
