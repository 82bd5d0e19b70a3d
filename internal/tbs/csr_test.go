package tbs

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// newCSR returns a request as crypto/x509 makes it, with names of four forms.
func newCSR(t testing.TB, signer crypto.Signer) []byte {
	t.Helper()
	return must(t)(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:        pkix.Name{Organization: []string{"Ümlaut Meters"}, SerialNumber: "METER-0001"},
		DNSNames:       []string{"meter.example", "other.example"},
		IPAddresses:    []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")},
		URIs:           []*url.URL{{Scheme: "urn", Opaque: "device:1"}},
		EmailAddresses: []string{"meter@example.com"},
	}, signer))
}

func TestParseCSR(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(string(kind), func(t *testing.T) {
			signer := newSigner(t, kind)
			request := newCSR(t, signer)
			c, err := ParseCSR(request)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.CheckProof(); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(c.Key.SPKI(), publicKey(t, signer).SPKI()) || !bytes.Equal(c.Raw, request) {
				t.Error("another key or request")
			}
			if diff := cmp.Diff(Name{
				{OID: der.OIDOrganization, Value: "Ümlaut Meters"},
				{OID: der.OIDSerialNumber, Type: PrintableString, Value: "METER-0001"},
			}, c.Subject); diff != "" {
				t.Errorf("subject (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]GeneralName{
				{Kind: DNSName, Text: "meter.example"},
				{Kind: DNSName, Text: "other.example"},
				{Kind: Email, Text: "meter@example.com"},
				{Kind: IPAddress, Text: "192.0.2.1"},
				{Kind: IPAddress, Text: "2001:db8::1"},
				{Kind: URI, Text: "urn:device:1"},
			}, c.Names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if len(c.Extensions) != 1 || c.Extensions[0].OID != der.OIDSubjectAltName {
				t.Errorf("extensions %v", c.Extensions)
			}
		})
	}
}

// request builds and signs a request of the given parts.
type request struct {
	signer     crypto.Signer
	version    []byte
	subject    []byte
	spki       []byte
	attributes []byte // with its tag
}

// newRequest returns the parts of a good request with the given attributes.
func newRequest(t testing.TB, attributes ...[]byte) request {
	signer := newSigner(t, pki.P256)
	return request{
		signer:     signer,
		version:    []byte{2, 1, 0},
		subject:    must(t)(issuerName.Append(nil)),
		spki:       publicKey(t, signer).SPKI(),
		attributes: node(der.Explicit(0), attributes...),
	}
}

func (r request) sign(t testing.TB) []byte {
	t.Helper()
	info := seq(r.version, r.subject, r.spki, r.attributes)
	return AppendSigned(nil, info, ecdsaSHA256, must(t)(Sign(r.signer, ecdsaSHA256, info)))
}

// extensionRequest returns the attribute that asks for the extensions.
func extensionRequest(extensions ...[]byte) []byte {
	return seq(der.MustOID(der.OIDExtensionRequest), set(seq(extensions...)))
}

// sanExtension returns the extension with n names.
func sanExtension(t testing.TB, n int) []byte {
	var names []byte
	for i := range n {
		names = append(names, node(der.Implicit(2), []byte("d"+strconv.Itoa(i)+".example"))...)
	}
	return must(t)(RawExtension(der.OIDSubjectAltName, false, seq(names)))
}

// TestParseCSRAttributes checks what must not break parsing.
func TestParseCSRAttributes(t *testing.T) {
	challenge := seq(der.MustOID(der.OIDChallengePassword), set(node(asn1.UTF8String, []byte("once"))))
	unstructured := seq(der.MustOID("1.2.840.113549.1.9.2"), set(node(asn1.IA5String, []byte("a name"))))
	microsoft := seq(der.MustOID("1.3.6.1.4.1.311.13.2.3"), set(node(asn1.IA5String, []byte("10.0.26100.2"))))
	odd := seq(der.MustOID("1.3.6.1.4.1.32473.9"), set(seq([]byte{5, 0}, []byte{1, 1, 0xff}), []byte{5, 0}))
	var many [][]byte
	for range maxAttributes {
		many = append(many, challenge)
	}
	for name, tt := range map[string]struct {
		attributes [][]byte
		names      int
	}{
		"none":                   {nil, 0},
		"challenge password":     {[][]byte{challenge}, 0},
		"before extensions":      {[][]byte{challenge, unstructured, microsoft, odd, extensionRequest(sanExtension(t, 1))}, 1},
		"after extensions":       {[][]byte{extensionRequest(sanExtension(t, 1)), challenge}, 1},
		"extensions, no names":   {[][]byte{extensionRequest(OCSPNoCheck())}, 0},
		"100 names":              {[][]byte{extensionRequest(sanExtension(t, 100))}, 100},
		"64 attributes":          {many, 0},
		"constraints asked, too": {[][]byte{extensionRequest(BasicConstraints(true, 0), sanExtension(t, 2))}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := ParseCSR(newRequest(t, tt.attributes...).sign(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.CheckProof(); err != nil {
				t.Error(err)
			}
			if len(c.Names) != tt.names {
				t.Errorf("%d names, want %d", len(c.Names), tt.names)
			}
		})
	}
}

// quickly bounds the time of a refusal: what grows with the square of its input takes longer.
// It is wide, for machines under load; milliseconds are for the benchmarks.
const quickly = 10 * time.Second

func TestParseCSRRefuses(t *testing.T) {
	challenge := seq(der.MustOID(der.OIDChallengePassword), set(node(asn1.UTF8String, []byte("once"))))
	oid := der.MustOID("1.3.6.1.4.1.32473.9")
	var many [][]byte
	for range maxAttributes + 1 {
		many = append(many, challenge)
	}
	var extensions [][]byte
	for i := range maxExtensions + 1 {
		extensions = append(extensions, must(t)(RawExtension("1.3.6.1.4.1.32473.9."+strconv.Itoa(i), false, []byte{5, 0})))
	}
	with := func(attributes ...[]byte) func(*request) {
		return func(r *request) { r.attributes = node(der.Explicit(0), attributes...) }
	}
	san := func(value []byte) func(*request) {
		return with(extensionRequest(must(t)(RawExtension(der.OIDSubjectAltName, false, value))))
	}
	for name, tt := range map[string]struct {
		change func(*request)
		want   pki.Kind
	}{
		"version 2":                   {func(r *request) { r.version = []byte{2, 1, 1} }, pki.Malformed},
		"version not minimal":         {func(r *request) { r.version = []byte{2, 2, 0, 0} }, pki.Malformed},
		"negative version":            {func(r *request) { r.version = []byte{2, 1, 0xff} }, pki.Malformed},
		"subject malformed":           {func(r *request) { r.subject = seq(set()) }, pki.Malformed},
		"key malformed":               {func(r *request) { r.spki = seq() }, pki.BadKey},
		"key not supported":           {func(r *request) { r.spki = seq(seq(oid), []byte{3, 1, 0}) }, pki.BadKey},
		"no attributes field":         {func(r *request) { r.attributes = nil }, pki.Malformed},
		"field after attributes":      {func(r *request) { r.attributes = append(r.attributes, 5, 0) }, pki.Malformed},
		"attribute no sequence":       {with([]byte{5, 0}), pki.Malformed},
		"attribute without values":    {with(seq(oid)), pki.Malformed},
		"attribute third field":       {with(seq(oid, set([]byte{5, 0}), []byte{5, 0})), pki.Malformed},
		"65 attributes":               {with(many...), pki.Malformed},
		"two extension requests":      {with(extensionRequest(sanExtension(t, 1)), extensionRequest(OCSPNoCheck())), pki.Malformed},
		"extension request, two sets": {with(seq(der.MustOID(der.OIDExtensionRequest), set(seq(OCSPNoCheck()), seq(OCSPNoCheck())))), pki.Malformed},
		"extension request empty":     {with(seq(der.MustOID(der.OIDExtensionRequest), set())), pki.Malformed},
		"no extensions":               {with(extensionRequest()), pki.Malformed},
		"65 extensions":               {with(extensionRequest(extensions...)), pki.Malformed},
		"extension twice":             {with(extensionRequest(sanExtension(t, 1), sanExtension(t, 2))), pki.Malformed},
		"extension explicit FALSE":    {with(extensionRequest(seq(oid, []byte{1, 1, 0, 4, 0}))), pki.Malformed},
		"no names":                    {san(seq()), pki.Malformed},
		"101 names":                   {with(extensionRequest(sanExtension(t, 101))), pki.Malformed},
		"names trailing octet":        {san(append(seq(node(der.Implicit(2), []byte("a"))), 0)), pki.Malformed},
		"100,000 names":               {with(extensionRequest(sanExtension(t, 100_000))), pki.Malformed},
		"URI that does not parse":     {san(seq(node(der.Implicit(6), []byte("http://[x/")))), pki.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRequest(t)
			tt.change(&r)
			signed := r.sign(t)
			begin := time.Now()
			_, err := ParseCSR(signed)
			wantKind(t, err, tt.want)
			if took := time.Since(begin); took > quickly {
				t.Errorf("refused after %s", took)
			}
		})
	}
}

// TestParseCSRGarbage truncates a request at each octet, grows it, and takes what
// is none.
func TestParseCSRGarbage(t *testing.T) {
	good := newCSR(t, newSigner(t, pki.P256))
	for n := range good {
		_, err := ParseCSR(good[:n])
		wantKind(t, err, pki.Malformed)
	}
	huge := seq(make([]byte, 10<<20))
	long := append([]byte{0x30, 0x83, 0, good[2], good[3]}, good[4:]...)
	for name, b := range map[string][]byte{
		"trailing octet":    append(bytes.Clone(good), 0),
		"10 MB":             huge,
		"10 MB of zeros":    make([]byte, 10<<20),
		"text":              []byte("-----BEGIN CERTIFICATE REQUEST-----"),
		"length not short":  long,
		"indefinite length": append(append([]byte{0x30, 0x80}, good[4:]...), 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := ParseCSR(b)
			wantKind(t, err, pki.Malformed)
			if took := time.Since(begin); took > quickly {
				t.Errorf("refused after %s", took)
			}
		})
	}
}

func TestCheckProofRefuses(t *testing.T) {
	r := newRequest(t)
	good, err := ParseCSR(r.sign(t))
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Clone(good.Signature)
	broken[len(broken)-1] ^= 1
	unknown := SignatureAlgorithm{DER: seq(der.MustOID("1.2.840.10045.4.1"))} // ecdsa-with-SHA1
	other := must(t)(Sign(newSigner(t, pki.P256), ecdsaSHA256, good.TBS))
	for name, signed := range map[string][]byte{
		"broken signature":    AppendSigned(nil, good.TBS, ecdsaSHA256, broken),
		"empty signature":     AppendSigned(nil, good.TBS, ecdsaSHA256, nil),
		"another key":         AppendSigned(nil, good.TBS, ecdsaSHA256, other),
		"another algorithm":   AppendSigned(nil, good.TBS, ecdsaSHA384, good.Signature),
		"algorithm of RSA":    AppendSigned(nil, good.TBS, rsaSHA256, good.Signature),
		"unknown algorithm":   AppendSigned(nil, good.TBS, unknown, good.Signature),
		"another request":     AppendSigned(nil, bytes.Replace(good.TBS, []byte("Meters"), []byte("Motors"), 1), ecdsaSHA256, good.Signature),
		"signature of 60 kiB": AppendSigned(nil, good.TBS, ecdsaSHA256, make([]byte, 60<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := ParseCSR(signed)
			if err != nil {
				t.Fatal(err)
			}
			wantKind(t, c.CheckProof(), pki.BadProof)
		})
	}
}

func TestAppendCSR(t *testing.T) {
	names := must(t)(AppendGeneralNames(nil, []GeneralName{{Kind: DNSName, Text: "a.example"}}))
	for name, san := range map[string][]byte{"without names": nil, "with names": names} {
		t.Run(name, func(t *testing.T) {
			signer := newSigner(t, pki.P384)
			key := publicKey(t, signer)
			info := AppendCSR([]byte("before"), must(t)(issuerName.Append(nil)), key, san)[len("before"):]
			signed := AppendSigned(nil, info, key.SignatureAlgorithm(), must(t)(Sign(signer, key.SignatureAlgorithm(), info)))
			c, err := ParseCSR(signed)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.CheckProof(); err != nil {
				t.Error(err)
			}
			other, err := x509.ParseCertificateRequest(signed)
			if err != nil {
				t.Fatal(err)
			}
			if err := other.CheckSignature(); err != nil {
				t.Error(err)
			}
			if san != nil != (len(other.DNSNames) == 1) || !cmp.Equal(c.Subject, issuerName) {
				t.Errorf("names %v, subject %s", other.DNSNames, c.Subject)
			}
		})
	}
}

// TestCompareWithX509 changes what we read, as a fault in our parser would: each
// difference refuses the request.
// TestSubjectSaidTwice has a subject of which the first common name, or serial
// number, is taken by one parser and the last by the other.
func TestSubjectSaidTwice(t *testing.T) {
	for _, oid := range []string{der.OIDCommonName, der.OIDSerialNumber} {
		r := newRequest(t)
		value := func(text string) Attribute { return Attribute{OID: oid, Type: PrintableString, Value: text} }
		r.subject = must(t)(Name{value("SM-1"), value("SM-2")}.Append(nil))
		_, err := ParseCSR(r.sign(t))
		wantKind(t, err, pki.Malformed)
		r.subject = must(t)(Name{value("SM-1")}.Append(nil))
		if _, err := ParseCSR(r.sign(t)); err != nil {
			t.Errorf("%s once: %v", oid, err)
		}
	}
}

func TestCompareWithX509(t *testing.T) {
	signed := newRequest(t, extensionRequest(sanExtension(t, 2), must(t)(RawExtension("1.3.6.1.4.1.32473.9", true, []byte{5, 0})))).sign(t)
	many := newCSR(t, newSigner(t, pki.P256))
	for name, change := range map[string]func(*CSR){
		"content":            func(c *CSR) { c.TBS = c.TBS[1:] },
		"subject":            func(c *CSR) { c.SubjectDER = []byte{0x30, 0} },
		"key":                func(c *CSR) { c.Key = publicKey(t, newSigner(t, pki.P256)) },
		"signature":          func(c *CSR) { c.Signature = nil },
		"extension missing":  func(c *CSR) { c.Extensions = nil },
		"extension's name":   func(c *CSR) { c.Extensions[0].OID = "1.2.3" },
		"extension critical": func(c *CSR) { c.Extensions[0].Critical = true },
		"extension's value":  func(c *CSR) { c.Extensions[0].Value = []byte{5, 0} },
		"name missing":       func(c *CSR) { c.Names = c.Names[1:] },
		"name too many":      func(c *CSR) { c.Names = append(c.Names, c.Names[0]) },
		"URI":                func(c *CSR) { c.Names = append(c.Names, GeneralName{Kind: URI, Text: "urn:x"}) },
		"URI, malformed":     func(c *CSR) { c.Names = append(c.Names, GeneralName{Kind: URI, Text: "http://[x/"}) },
		"address":            func(c *CSR) { c.Names = append(c.Names, GeneralName{Kind: IPAddress, Text: "192.0.2.9"}) },
		"address, malformed": func(c *CSR) { c.Names = append(c.Names, GeneralName{Kind: IPAddress, Text: "192.0.2"}) },
		"email":              func(c *CSR) { c.Names = append(c.Names, GeneralName{Kind: Email, Text: "a@example.com"}) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, request := range [][]byte{signed, many} {
				c, err := ParseCSR(request)
				if err != nil {
					t.Fatal(err)
				}
				change(c)
				wantKind(t, c.compareWithX509(), pki.Malformed)
			}
		})
	}
}
