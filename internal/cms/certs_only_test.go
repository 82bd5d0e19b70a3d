package cms

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// contentInfo is the form of RFC 5652, 3 and 5.1 that encoding/asn1 can read.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content struct {
		Version          int
		DigestAlgorithms []pkix.AlgorithmIdentifier `asn1:"set"`
		Info             struct{ Type asn1.ObjectIdentifier }
		Certificates     []asn1.RawValue `asn1:"set,tag:0"`
		Signers          []asn1.RawValue `asn1:"set"`
	} `asn1:"explicit,tag:0"`
}

func TestCertsOnly(t *testing.T) {
	one, two, three := newParty(t, pki.P256).certificate, newParty(t, pki.P256).certificate, newParty(t, pki.P256).certificate
	for name, certificates := range map[string][][]byte{
		"one":   {one},
		"three": {three, one, two},
	} {
		t.Run(name, func(t *testing.T) {
			given := slices.Clone(certificates)
			message, err := CertsOnly(certificates)
			if err != nil {
				t.Fatal(err)
			}
			if !cmp.Equal(given, certificates) {
				t.Error("the caller's certificates have another order")
			}
			var got contentInfo
			if rest, err := asn1.Unmarshal(message, &got); err != nil || len(rest) > 0 {
				t.Fatalf("%v, %d octets left", err, len(rest))
			}
			if got.Type.String() != der.OIDSignedData || got.Content.Info.Type.String() != der.OIDData ||
				got.Content.Version != 1 || len(got.Content.DigestAlgorithms) != 0 || len(got.Content.Signers) != 0 {
				t.Errorf("%+v", got)
			}
			var certs [][]byte
			for _, c := range got.Content.Certificates {
				certs = append(certs, c.FullBytes)
			}
			want := slices.SortedFunc(slices.Values(certificates), bytes.Compare)
			if diff := cmp.Diff(want, certs); diff != "" {
				t.Errorf("certificates (-want +got):\n%s", diff)
			}
			// What encoding/asn1 writes of what it read is DER.
			again, err := asn1.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(again, message); diff != "" {
				t.Errorf("(-encoding/asn1 +got):\n%s", diff)
			}
		})
	}
}

func TestCertsOnlyRefuses(t *testing.T) {
	for name, certificates := range map[string][][]byte{
		"none":           nil,
		"empty":          {{}},
		"trailing octet": {{0x30, 0, 0}},
		"no sequence":    {{5, 0}},
	} {
		if message, err := CertsOnly(certificates); err == nil {
			t.Errorf("%s: %x", name, message)
		}
	}
}
