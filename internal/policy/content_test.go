package policy

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestContentRefuses changes one thing of a request that its profile accepts.
func TestContentRefuses(t *testing.T) {
	p256, p384 := generate(t, pki.P256), generate(t, pki.P384)
	for name, row := range map[string]struct {
		profile string
		change  func(*Input)
		kind    pki.Kind
		want    string
	}{
		"meter, P-384":      {"meter", func(in *Input) { in.CSR = request(t, p384, "") }, pki.BadKey, "the profile allows p256"},
		"meter, no device":  {"meter", func(in *Input) { in.Device = "" }, pki.PolicyRefused, "device.id"},
		"meter, no tenant":  {"meter", func(in *Input) { in.Organization = "" }, pki.PolicyRefused, "tenant.organization"},
		"meter, odd id":     {"meter", func(in *Input) { in.Device = "M_0001" }, pki.PolicyRefused, "serialNumber"},
		"meter, long id":    {"meter", func(in *Input) { in.Device = pki.DeviceID(strings.Repeat("1", 65)) }, pki.PolicyRefused, "1 to 64"},
		"too early":         {"meter", func(in *Input) { in.Now = now.AddDate(0, 0, -1) }, pki.PolicyRefused, "not now"},
		"too late":          {"meter", func(in *Input) { in.Now = now.AddDate(15, 0, 0) }, pki.PolicyRefused, "not now"},
		"outlives":          {"device", func(in *Input) { in.Now = now.AddDate(14, 0, 0) }, pki.PolicyRefused, "until 2042-03-01T11:59:59Z and outlive its issuer, which is valid until 2041-03-01T11:59:59Z"},
		"device, no name":   {"device", func(in *Input) { in.CSR = request(t, p256, "") }, pki.PolicyRefused, "csr.subject.cn"},
		"device, bad name":  {"device", func(in *Input) { in.CSR = request(t, p256, "a\tb") }, pki.PolicyRefused, "not printable"},
		"device, long name": {"device", func(in *Input) { in.CSR = request(t, p256, strings.Repeat("é", 65)) }, pki.PolicyRefused, "64 printable"},
		"device, bad dns":   {"device", func(in *Input) { in.CSR = request(t, p256, "x", "Gw7.example.com") }, pki.PolicyRefused, "Gw7.example.com"},
		"device, wildcard":  {"device", func(in *Input) { in.CSR = request(t, p256, "x", "*.example.com") }, pki.PolicyRefused, "without wildcard"},
		"device, bad uri":   {"device", func(in *Input) { in.CSR = request(t, p256, "x", "https://h/a/../b") }, pki.PolicyRefused, "segment"},
		"firmware, P-521":   {"firmware-signing", func(in *Input) { in.CSR = request(t, generate(t, pki.P521), "x") }, pki.BadKey, "rsa3072+"},
		"firmware, RSA":     {"firmware-signing", func(in *Input) { in.CSR = request(t, generate(t, pki.RSA2048), "x") }, pki.BadKey, "rsa3072+"},
		"ocsp, no name":     {"ocsp-responder", func(in *Input) { in.CommonName = "" }, pki.PolicyRefused, "authority.commonName"},
	} {
		t.Run(name, func(t *testing.T) { contentRefuses(t, row.profile, row.change, row.kind, row.want) })
	}
}

// contentRefuses checks that a profile takes a good request, and what it says of
// it after the change.
func contentRefuses(t *testing.T, profile string, change func(*Input), kind pki.Kind, want string) {
	t.Helper()
	b := bind(t, reference(t, profile), newIssuer(t, profile).IssuerParams)
	in := inputFor(t, profile, generate(t, pki.P256))
	if _, err := b.Content(in); err != nil {
		t.Fatalf("before the change: %v", err)
	}
	change(in)
	c, err := b.Content(in)
	if c != nil || pki.KindOf(err) != kind || !strings.Contains(pki.DetailOf(err), want) {
		t.Fatalf("got %v, %v: %v; want %v: %s", c, pki.KindOf(err), err, kind, want)
	}
}

// TestContentRefusesNames: no name of a request passes that its endpoint does not
// authorise, whatever kind of name it is.
func TestContentRefusesNames(t *testing.T) {
	p256 := generate(t, pki.P256)
	for name, row := range map[string]struct {
		change func(*Input)
		want   string
	}{
		"other dns":          {func(in *Input) { in.CSR = request(t, p256, "", "head.example.com", "evil.example.org") }, `"evil.example.org" is not authorised`},
		"deeper dns":         {func(in *Input) { in.CSR = request(t, p256, "", "a.head.example.com") }, `"a.head.example.com" is not authorised`},
		"other ip":           {func(in *Input) { in.CSR = request(t, p256, "", "192.0.2.1") }, `"192.0.2.1" is not authorised`},
		"other uri":          {func(in *Input) { in.CSR = request(t, p256, "", "urn:other:head") }, `"urn:other:head" is not authorised`},
		"other CN":           {func(in *Input) { in.CSR = request(t, p256, "evil.example.org", "head.example.com") }, `"evil.example.org" is not authorised`},
		"no name":            {func(in *Input) { in.CSR = request(t, p256, "head.example.com") }, "needs a subject alternative name"},
		"none is authorised": {func(in *Input) { in.Names = pki.Names{} }, `"head.example.com" is not authorised`},
		"a name twice":       {func(in *Input) { in.CSR = request(t, p256, "", "head.example.com", "head.example.com") }, `"head.example.com" twice`},
		"an address twice":   {func(in *Input) { in.CSR = request(t, p256, "", "10.1.2.3", "10.1.2.3") }, `"10.1.2.3" twice`},
	} {
		for _, profile := range []string{"tls-server", "tls-client"} {
			t.Run(profile+", "+name, func(t *testing.T) { contentRefuses(t, profile, row.change, pki.PolicyRefused, row.want) })
		}
	}
}

// TestContentRefusesWeakKeys has keys of a kind that the profile allows.
func TestContentRefusesWeakKeys(t *testing.T) {
	p := prime(t, 1024)
	good := new(big.Int).Mul(p, prime(t, 1024))
	for name, row := range map[string]struct {
		key  crypto.PublicKey
		want string
	}{
		"exponent 3":          {&rsa.PublicKey{N: good, E: 3}, "exponent is 3"},
		"close primes":        {&rsa.PublicKey{N: new(big.Int).Mul(p, nextPrime(p, 0)), E: 65537}, "close together"},
		"ROCA":                {&rsa.PublicKey{N: new(big.Int).Mul(rocaPrime(t), rocaPrime(t)), E: 65537}, "ROCA"},
		"small factor":        {&rsa.PublicKey{N: withFactor(t, 7), E: 65537}, "small factor"},
		"point of order four": {ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)), "small order"},
	} {
		t.Run(name, func(t *testing.T) {
			contentRefuses(t, "device", func(in *Input) { in.CSR.Key = publicKey(t, row.key) }, pki.BadKey, row.want)
		})
	}
}

// TestUsageByKind: what a certificate is for follows from the kind of its key
// where the profile says so.
func TestUsageByKind(t *testing.T) {
	b := bind(t, reference(t, "device"), newIssuer(t, "device").IssuerParams)
	for kind, want := range map[pki.KeyKind]tbs.KeyUsage{
		pki.P256:    tbs.DigitalSignature,
		pki.P384:    tbs.DigitalSignature,
		pki.Ed25519: tbs.DigitalSignature,
		pki.RSA2048: tbs.DigitalSignature | tbs.KeyEncipherment, // what is encrypted to it (RFC 8894, 3.1)
	} {
		c, err := b.Content(inputFor(t, "device", generate(t, kind)))
		if err != nil {
			t.Fatal(err)
		}
		if c.KeyUsage != want {
			t.Errorf("%s: key usage %b, want %b", kind, c.KeyUsage, want)
		}
	}
}

// TestContentValues has what reference profiles do not use: literals, attributes
// of the request, patterns, optional values, one name of a list.
func TestContentValues(t *testing.T) {
	p := parse(t, `profile: values
keys: {allow: [p256]}
validity: 99991231235959Z
backdate: 10min
keyIdentifiers: [authority]
outlive: clip
subject:
  - {type: C, value: DE}
  - {type: 1.3.6.1.4.1.37244.2.1, from: request.attributes.vendor, check: name, pattern: "[0-9A-F]{4}"}
  - {type: OU, from: request.attributes.unit, check: name, optional: true}
  - {type: serialNumber, from: csr.subject.serialNumber, check: name, optional: true}
san:
  names:
    - {uri: {value: "urn:example:fleet"}}
    - {ip: {from: request.attributes.address, optional: true}}
`)
	issuer := newIssuer(t, "meter").IssuerParams
	b := bind(t, p, issuer)
	csr := request(t, generate(t, pki.P256), "ignored", "ignored.example.com")
	for name, row := range map[string]struct {
		attributes map[string]string
		subject    string
		names      []string
		refusal    string
	}{
		"least":         {map[string]string{"vendor": "FFF1"}, "1.3.6.1.4.1.37244.2.1=#0c0446464631,C=DE", []string{"urn:example:fleet"}, ""},
		"all":           {map[string]string{"vendor": "FFF1", "unit": "Plant 2", "address": "10.0.0.1", "other": "x"}, "OU=Plant 2,1.3.6.1.4.1.37244.2.1=#0c0446464631,C=DE", []string{"urn:example:fleet", "10.0.0.1"}, ""},
		"absent":        {nil, "", nil, "request.attributes.vendor, which is absent"},
		"pattern":       {map[string]string{"vendor": "FFF10"}, "", nil, "does not match"},
		"pattern, part": {map[string]string{"vendor": "FFF1\n"}, "", nil, "request.attributes.vendor"},
		"address":       {map[string]string{"vendor": "FFF1", "address": "10.0.0"}, "", nil, "not an IP address"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := b.Content(&Input{CSR: csr, Attributes: row.attributes, Now: now})
			if row.refusal != "" {
				if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), row.refusal) {
					t.Fatalf("got %v; want %s", err, row.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			subject, err := tbs.ParseName(c.Subject)
			if err != nil {
				t.Fatal(err)
			}
			sans, err := tbs.ParseGeneralNames(c.SAN)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, n := range sans {
				names = append(names, n.Text)
			}
			if diff := cmp.Diff(row.names, names); diff != "" || subject.String() != row.subject {
				t.Errorf("subject %s, want %s; names %s", subject, row.subject, diff)
			}
			if want := now.Truncate(time.Hour); !c.NotBefore.Equal(want) {
				t.Errorf("not before %v; backdating ends at the issuer's start, %v", c.NotBefore, want)
			}
			if !c.NotAfter.Equal(issuer.NotAfter) {
				t.Errorf("not after %v, want the issuer's, %v", c.NotAfter, issuer.NotAfter)
			}
		})
	}
}

func TestBindPathLength(t *testing.T) {
	issuing := reference(t, "issuing-ca")
	under := func(pathLen int) error {
		params := newIssuer(t, "issuing-ca").IssuerParams
		params.PathLen = pathLen
		_, err := issuing.Bind(pki.ProfileRef{}, params)
		return err
	}
	if err := under(0); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("a CA under path length 0: %v", err)
	}
	for _, pathLen := range []int{-1, 1} {
		if err := under(pathLen); err != nil {
			t.Errorf("path length 0 under %d: %v", pathLen, err)
		}
	}
}

// TestFreshestCRL: the delta CRLs are named where the profile says so and the issuer
// has them.
func TestFreshestCRL(t *testing.T) {
	for _, c := range []struct{ profile, issuer bool }{{true, true}, {true, false}, {false, true}} {
		from := newIssuer(t, "meter")
		from.Shards, from.Deltas = 1, c.issuer
		p := reference(t, "meter")
		p.status.Deltas = c.profile
		der := issue(t, bind(t, p, from.IssuerParams), from, inputFor(t, "meter", generate(t, pki.P256)), pki.NewSerial(pki.SerialLong, now))
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		named := slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool {
			return e.Id.String() == "2.5.29.46" && !e.Critical && bytes.Contains(e.Value, []byte("http://pki.example.com/crl/0issuer/0-delta.crl"))
		})
		if named != (c.profile && c.issuer) {
			t.Errorf("profile %t, issuer %t: named %t", c.profile, c.issuer, named)
		}
	}
}

// TestStatusURL leaves status out where the issuer has none.
func TestStatusURL(t *testing.T) {
	from := newIssuer(t, "meter")
	from.StatusURL = ""
	certificate, err := x509.ParseCertificate(issue(t, bind(t, reference(t, "meter"), from.IssuerParams), from, inputFor(t, "meter", generate(t, pki.P256)), testSerial()))
	if err != nil {
		t.Fatal(err)
	}
	if certificate.CRLDistributionPoints != nil || certificate.OCSPServer != nil || certificate.IssuingCertificateURL != nil {
		t.Error("status without a URL")
	}
}

// TestRequestCannotSmuggle asks, in random combinations, for what a requester
// must not get. What comes out differs in nothing from what a plain request gets.
func TestRequestCannotSmuggle(t *testing.T) {
	extension := func(critical bool, value any, oid ...int) pkix.Extension {
		encoded, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: oid, Critical: critical, Value: encoded}
	}
	type constraints struct {
		CA      bool
		PathLen int
	}
	wishes := []pkix.Extension{
		extension(true, constraints{true, 3}, 2, 5, 29, 19),
		extension(true, asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}, 2, 5, 29, 15), // keyCertSign, cRLSign
		extension(false, []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}}, 2, 5, 29, 37),
		extension(false, []struct{ ID asn1.ObjectIdentifier }{{asn1.ObjectIdentifier{2, 5, 29, 32, 0}}}, 2, 5, 29, 32),
		extension(false, []byte("another key identifier"), 2, 5, 29, 14),
		extension(false, "a template", 1, 3, 6, 1, 4, 1, 311, 20, 2),
		extension(false, asn1.NullRawValue, 1, 3, 6, 1, 5, 5, 7, 48, 1, 5),
		extension(true, "something", 1, 3, 6, 1, 4, 1, 32473, 9, 9),
	}
	key := generate(t, pki.P256)
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"meter", "rni-command", "firmware-signing", "ocsp-responder", "issuing-ca", "device", "tls-server"} {
		from := newIssuer(t, name)
		b := bind(t, reference(t, name), from.IssuerParams)
		encode := func(in *Input) string {
			c, err := b.Content(in)
			if err != nil {
				t.Fatal(err)
			}
			c.Serial = testSerial()
			encoded, err := b.Append(nil, c)
			if err != nil {
				t.Fatal(err)
			}
			return string(encoded)
		}
		in := inputFor(t, name, key)
		want := encode(in)
		for range 100 {
			template := &x509.CertificateRequest{
				Subject: pkix.Name{CommonName: in.CSR.Subject.Get("2.5.4.3"), Organization: []string{"Evil"}, Country: []string{"XX"}, SerialNumber: "M-9999"},
			}
			for _, wish := range wishes {
				if random.IntN(2) == 0 {
					template.ExtraExtensions = append(template.ExtraExtensions, wish)
				}
			}
			if len(b.profile.san) > 0 && b.profile.san[0].list() { // takes names: those asked for, and kinds it does not take
				names := sanTemplate(in.CSR.Names)
				template.DNSNames, template.IPAddresses, template.URIs = names.DNSNames, names.IPAddresses, names.URIs
				template.EmailAddresses = []string{"root@example.org"}
			} else if i := random.IntN(3); i > 0 {
				template.DNSNames = append(template.DNSNames, fmt.Sprintf("evil%d.example.org", i))
				template.IPAddresses = append(template.IPAddresses, net.IPv4(192, 0, 2, byte(i)))
				template.EmailAddresses = append(template.EmailAddresses, "root@example.org")
				template.URIs = append(template.URIs, &url.URL{Scheme: "urn", Opaque: "evil:1"})
			}
			evil := *in
			evil.CSR = parseRequest(t, template, key)
			evil.Attributes = map[string]string{"ca": "true"}
			evil.Names.DNS = append([]string{"evil1.example.org"}, in.Names.DNS...)
			if got := encode(&evil); got != want {
				t.Fatalf("%s: a request with %d extensions changed the certificate", name, len(template.ExtraExtensions))
			}
		}
	}
}

// sanTemplate returns a template with the names of a request.
func sanTemplate(names []tbs.GeneralName) *x509.CertificateRequest {
	template := new(x509.CertificateRequest)
	for _, n := range names {
		switch n.Kind {
		case tbs.DNSName:
			template.DNSNames = append(template.DNSNames, n.Text)
		case tbs.IPAddress:
			template.IPAddresses = append(template.IPAddresses, net.ParseIP(n.Text))
		case tbs.URI:
			scheme, opaque, _ := strings.Cut(n.Text, ":")
			template.URIs = append(template.URIs, &url.URL{Scheme: scheme, Opaque: opaque})
		}
	}
	return template
}

// TestShortKeyID computes RFC 5280, 4.2.1.2, method 2 anew: 0100, and the last 60 bits
// of the SHA-1 hash of the key's bits.
func TestShortKeyID(t *testing.T) {
	key := generate(t, pki.P256)
	p := parse(t, strings.Replace(minimal, "[authority]", "{use: [subject, authority], method: short}", 1))
	from := newIssuer(t, "meter")
	certificate, err := x509.ParseCertificate(issue(t, bind(t, p, from.IssuerParams), from, &Input{CSR: request(t, key, ""), Organization: "Example", Now: now}, testSerial()))
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	hash := sha1.Sum(public)
	want := append([]byte{hash[12]&0x0f | 0x40}, hash[13:]...)
	if !bytes.Equal(certificate.SubjectKeyId, want) {
		t.Errorf("%x, want %x", certificate.SubjectKeyId, want)
	}
}
