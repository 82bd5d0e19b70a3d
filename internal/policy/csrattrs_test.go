package policy

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What follows reads CsrAttrs with encoding/asn1, which our encoders do without.

type keyTemplate struct {
	Algorithm pkix.AlgorithmIdentifier
	Key       asn1.BitString `asn1:"optional"`
}

type attributeValues struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

type extensionTemplate struct {
	ID       asn1.ObjectIdentifier
	Critical bool   `asn1:"optional"`
	Value    []byte `asn1:"optional"`
}

// A wantedRequest is what a client reads in CsrAttrs: of the list the OIDs and attributes
// as text, and of the template what it asks for.
type wantedRequest struct {
	Listed    []string
	Subject   []string
	Algorithm string
	Parameter string // OID of a curve
	Bits      int    // of RSA
	Names     bool   // an extension subjectAltName whose value the client gives
}

func unmarshal(t *testing.T, b []byte, into any, parameters string) {
	t.Helper()
	if rest, err := asn1.UnmarshalWithParams(b, into, parameters); err != nil || len(rest) > 0 {
		t.Fatalf("%x as %T: %v, %d octets are left", b, into, err, len(rest))
	}
}

func readAttributes(t *testing.T, encoded []byte) *wantedRequest {
	t.Helper()
	if encoded == nil {
		return nil
	}
	w := new(wantedRequest)
	var all []asn1.RawValue
	unmarshal(t, encoded, &all, "")
	for i, raw := range all {
		if raw.Tag == asn1.TagOID {
			var oid asn1.ObjectIdentifier
			unmarshal(t, raw.FullBytes, &oid, "")
			w.Listed = append(w.Listed, oid.String())
			continue
		}
		var a attributeValues
		unmarshal(t, raw.FullBytes, &a, "")
		if len(a.Values) != 1 {
			t.Fatalf("%s has %d values", a.Type, len(a.Values))
		}
		if a.Type.String() == "1.2.840.113549.1.9.16.2.61" {
			if i != len(all)-1 {
				t.Error("the template is not the last")
			}
			w.template(t, a.Values[0].FullBytes)
			continue
		}
		text := ""
		if a.Values[0].Tag == asn1.TagInteger {
			var n int
			unmarshal(t, a.Values[0].FullBytes, &n, "")
			text = map[int]string{2048: "2048", 3072: "3072", 4096: "4096"}[n]
		} else {
			var oid asn1.ObjectIdentifier
			unmarshal(t, a.Values[0].FullBytes, &oid, "")
			text = oid.String()
		}
		w.Listed = append(w.Listed, a.Type.String()+" = "+text)
	}
	return w
}

func (w *wantedRequest) template(t *testing.T, encoded []byte) {
	t.Helper()
	var fields []asn1.RawValue
	unmarshal(t, encoded, &fields, "")
	if !bytes.Equal(fields[0].FullBytes, []byte{2, 1, 0}) {
		t.Errorf("the version is %x", fields[0].FullBytes)
	}
	for _, field := range fields[1:] {
		switch {
		case field.Class == asn1.ClassUniversal:
			w.subject(t, field.FullBytes)
		case field.Tag == 0:
			w.key(t, field.FullBytes)
		case field.Tag == 1:
			w.attributes(t, field.Bytes)
			return
		}
	}
	t.Error("there are no attributes at the end") // RFC 9908 has the field always
}

func (w *wantedRequest) subject(t *testing.T, encoded []byte) {
	t.Helper()
	var rdns []asn1.RawValue
	unmarshal(t, encoded, &rdns, "")
	for _, rdn := range rdns {
		var set []struct{ Type asn1.ObjectIdentifier }
		unmarshal(t, rdn.FullBytes, &set, "set")
		w.Subject = append(w.Subject, set[0].Type.String())
	}
}

func (w *wantedRequest) key(t *testing.T, encoded []byte) {
	t.Helper()
	var key keyTemplate
	unmarshal(t, encoded, &key, "tag:0")
	w.Algorithm = key.Algorithm.Algorithm.String()
	switch parameters := key.Algorithm.Parameters; {
	case parameters.Tag == asn1.TagOID:
		var curve asn1.ObjectIdentifier
		unmarshal(t, parameters.FullBytes, &curve, "")
		w.Parameter = curve.String()
	case (parameters.Tag == asn1.TagNull) != (w.Algorithm == "1.2.840.113549.1.1.1"):
		t.Errorf("%s with the parameters %x", w.Algorithm, parameters.FullBytes)
	}
	if bits := key.Key.RightAlign(); len(bits) > 0 {
		public, err := x509.ParsePKCS1PublicKey(bits)
		if err != nil {
			t.Fatal(err)
		}
		w.Bits = public.N.BitLen()
	}
}

func (w *wantedRequest) attributes(t *testing.T, rest []byte) {
	t.Helper()
	for len(rest) > 0 {
		var a attributeValues
		var err error
		if rest, err = asn1.Unmarshal(rest, &a); err != nil {
			t.Fatal(err)
		}
		var extensions []extensionTemplate
		unmarshal(t, a.Values[0].FullBytes, &extensions, "")
		w.Names = a.Type.String() == "1.2.840.113549.1.9.16.2.62" && len(extensions) == 1 &&
			extensions[0].ID.String() == "2.5.29.17" && !extensions[0].Critical && extensions[0].Value == nil
		if !w.Names {
			t.Errorf("attribute %s with %+v", a.Type, extensions)
		}
	}
}

// TestRequestAttributes: both forms say what the profile reads from requests, and nothing
// of what it gives itself or can do without.
func TestRequestAttributes(t *testing.T) {
	const cn, serial, san, rsaID, ec, p256 = "2.5.4.3", "2.5.4.5", "2.5.29.17", "1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.2.840.10045.3.1.7"
	document := func(keys, subject, rest string) string {
		return "profile: p\nkeys: {allow: [" + keys + "]}\nvalidity: 90d\nsubject: [" + subject + "]\nkeyIdentifiers: [authority]\n" + rest
	}
	const fixed = "{type: O, from: tenant.organization}"
	for what, test := range map[string]struct {
		source string
		want   *wantedRequest
	}{
		"nothing":            {document("p256, p384", fixed, ""), nil},
		"one curve":          {document("p256", fixed, ""), &wantedRequest{Listed: []string{ec + " = " + p256}, Algorithm: ec, Parameter: p256}},
		"one size of RSA":    {document("rsa3072", fixed, ""), &wantedRequest{Listed: []string{rsaID + " = 3072"}, Algorithm: rsaID, Bits: 3072}},
		"RSA of several":     {document("rsa2048+", fixed, ""), &wantedRequest{Listed: []string{rsaID}, Algorithm: rsaID}},
		"Ed25519":            {document("ed25519", fixed, ""), &wantedRequest{Listed: []string{"1.3.101.112"}, Algorithm: "1.3.101.112"}},
		"ML-DSA":             {document("mldsa65", fixed, ""), &wantedRequest{Listed: []string{"2.16.840.1.101.3.4.3.18"}, Algorithm: "2.16.840.1.101.3.4.3.18"}},
		"RSA or another":     {document("rsa2048+, p256", fixed, ""), nil},
		"names of the CSR":   {document("p256, rsa2048", fixed+", {type: CN, from: csr.subject.cn, check: name}, {type: serialNumber, from: csr.subject.serialNumber, check: name}", ""), &wantedRequest{Listed: []string{cn, serial}, Subject: []string{cn, serial}}},
		"an optional one":    {document("p256, rsa2048", fixed+", {type: CN, from: csr.subject.cn, check: name, optional: true}", ""), nil},
		"a device":           {document("p256, rsa2048", "{type: CN, from: device.id}", ""), &wantedRequest{Listed: []string{serial}, Subject: []string{serial}}},
		"a device by its CN": {document("p256, rsa2048", "{type: CN, from: csr.subject.cn, check: name}, {type: OU, from: device.id}", ""), &wantedRequest{Listed: []string{cn}, Subject: []string{cn}}},
		"alternative names":  {document("p256, rsa2048", fixed, "san: {required: true, names: [{dns: {from: csr.san.dns}}, {uri: {from: csr.san.uri}}]}\n"), &wantedRequest{Listed: []string{san}, Names: true}},
		"names not required": {document("p256, rsa2048", fixed, "san: {names: [{dns: {from: csr.san.dns}}]}\n"), nil},
		"names of its own":   {document("p256, rsa2048", fixed, "san: {required: true, names: [{dns: {from: csr.san.dns}}, {dns: a.example}]}\n"), nil},
		"bound to TLS":       {document("p256, rsa2048", fixed, "binding: tls\n"), &wantedRequest{Listed: []string{"1.2.840.113549.1.9.7"}}},
		"all of it, at once": {document("p256", "{type: CN, from: csr.subject.cn, check: name}", "san: {required: true, names: [{dns: {from: csr.san.dns}}]}\n"), &wantedRequest{Listed: []string{cn, san, ec + " = " + p256}, Subject: []string{cn}, Algorithm: ec, Parameter: p256, Names: true}},
		"another expression": {document("p256, rsa2048", `{type: CN, from: "'x' + csr.subject.cn", check: name}`, ""), nil},
	} {
		t.Run(what, func(t *testing.T) {
			encoded := parse(t, test.source).RequestAttributes()
			if diff := cmp.Diff(test.want, readAttributes(t, encoded)); diff != "" {
				t.Errorf("-want +got:\n%s\n%x", diff, encoded)
			}
		})
	}
	source := strings.Replace(minimal, "allow: [p256]", "allow: [p384]", 1)
	want := "\x30\x12" + "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" // as in the example of RFC 7030, 4.5.2: an EC key on P-384
	if got := parse(t, source).RequestAttributes(); !bytes.Contains(got, []byte("\x30\x12"+want[2:]+"\x31\x07\x06\x05\x2b\x81\x04\x00\x22")) {
		t.Errorf("%x", got)
	}
}
