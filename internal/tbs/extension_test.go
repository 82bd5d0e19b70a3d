package tbs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/der"
)

// TestExtensions has the bytes of the forms that no certificate of the other tests
// has.
func TestExtensions(t *testing.T) {
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"no CA":             {BasicConstraints(false, 3), "\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00"},
		"CA":                {BasicConstraints(true, -1), "\x30\x0f\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x05\x30\x03\x01\x01\xff"},
		"CA, path length 0": {BasicConstraints(true, 0), "\x30\x12\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x08\x30\x06\x01\x01\xff\x02\x01\x00"},
		"no check":          {OCSPNoCheck(), "\x30\x0f\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x05\x04\x02\x05\x00"},
		"key identifier":    {AuthorityKeyID([]byte{7, 8}), "\x30\x0d\x06\x03\x55\x1d\x23\x04\x06\x30\x04\x80\x02\x07\x08"},
		"no access":         {AuthorityInfoAccess("", ""), ""},
		"OCSP alone":        {AuthorityInfoAccess("u:", ""), "\x30\x1e\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x01\x04\x12\x30\x10\x30\x0e\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x01\x86\x02u:"},
		"issuer alone":      {AuthorityInfoAccess("", "u:"), "\x30\x1e\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x01\x04\x12\x30\x10\x30\x0e\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x02u:"},
		"critical usage":    {must(t)(ExtendedKeyUsage(true, "1.2.3")), "\x30\x10\x06\x03\x55\x1d\x25\x01\x01\xff\x04\x06\x30\x04\x06\x02\x2a\x03"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(tt.got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	e, err := parseExtension(must(t)(RawExtension("1.2.3", true, []byte{5, 0})))
	if diff := cmp.Diff(Extension{OID: "1.2.3", Critical: true, Value: []byte{5, 0}}, e); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestExtensionsRefuse(t *testing.T) {
	for name, encode := range map[string]func() ([]byte, error){
		"no purpose":     func() ([]byte, error) { return ExtendedKeyUsage(false) },
		"purpose":        func() ([]byte, error) { return ExtendedKeyUsage(false, der.OIDClientAuth, "clientAuth") },
		"no policy":      func() ([]byte, error) { return CertificatePolicies() },
		"policy":         func() ([]byte, error) { return CertificatePolicies("1") },
		"raw identifier": func() ([]byte, error) { return RawExtension("x", false, nil) },
	} {
		if b, err := encode(); err == nil {
			t.Errorf("%s: %x", name, b)
		}
	}
}
