package policy

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// constraintsFor returns the value of a nameConstraints extension.
func constraintsFor(t testing.TB, permitted, excluded []tbs.Subtree) []byte {
	t.Helper()
	extension, err := tbs.NameConstraints(permitted, excluded)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWant(tbs.ExtensionPart{Slot: tbs.Constant, DER: extension})
	if err != nil {
		t.Fatal(err)
	}
	return w.value
}

// boundUnder is a Bound with nothing but name constraints.
func boundUnder(t testing.TB, values ...[]byte) *Bound {
	t.Helper()
	all, err := parseConstraints(values)
	if err != nil {
		t.Fatal(err)
	}
	return &Bound{constraints: all}
}

// TestConstraintsAgainstX509 has crypto/x509 say of each name and each name space
// whether a chain with both verifies. It differs in two things: under any constraint it
// takes no URI without a host name, and of a host as the base of URIs and mail
// addresses it takes all below it.
func TestConstraintsAgainstX509(t *testing.T) {
	key := generate(t, pki.P256)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	template := func() *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}
	}
	names := []tbs.GeneralName{}
	for kind, texts := range map[tbs.GeneralNameKind][]string{
		tbs.DNSName:   {"example.com", "a.example.com", "a.b.example.com", "example.org", "badexample.com", "com", "*.example.com"},
		tbs.Email:     {"a@example.com", "b@example.com", "a@x.example.com", "A@example.com", "a@EXAMPLE.com", "a@example.org"},
		tbs.URI:       {"http://example.com/a", "https://a.example.com:8443/", "urn:example:com", "http://10.1.2.3/", "http://example.org/example.com"},
		tbs.IPAddress: {"10.1.2.3", "10.255.0.1", "11.0.0.1", "2001:db8::1", "2001:db9::1"},
	} {
		for _, text := range texts {
			names = append(names, tbs.GeneralName{Kind: kind, Text: text})
		}
	}
	bases := []tbs.Subtree{}
	for kind, texts := range map[tbs.GeneralNameKind][]string{
		tbs.DNSName:   {"example.com", "com", "a.example.com", "EXAMPLE.com"},
		tbs.Email:     {"example.com", ".example.com", "a@example.com", "a@Example.com"},
		tbs.URI:       {"example.com", ".example.com"},
		tbs.IPAddress: {"10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32"},
	} {
		for _, text := range texts {
			bases = append(bases, tbs.Subtree{Kind: kind, Base: text})
		}
	}
	for _, base := range bases {
		for _, excluded := range []bool{false, true} {
			trees := [2][]tbs.Subtree{{base}, nil}
			if excluded {
				trees = [2][]tbs.Subtree{nil, {base}}
			}
			value := constraintsFor(t, trees[0], trees[1])
			ca := template()
			ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
			ca.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 30}, Critical: true, Value: value}}
			raw, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			if ca, err = x509.ParseCertificate(raw); err != nil {
				t.Fatalf("%+v: %v", base, err)
			}
			roots := x509.NewCertPool()
			roots.AddCert(ca)
			b := boundUnder(t, value)
			for i := range names {
				san, err := tbs.AppendGeneralNames(nil, names[i:i+1])
				if err != nil {
					t.Fatal(err)
				}
				leaf := template()
				leaf.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: san}}
				if raw, err = x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), key); err != nil {
					t.Fatal(err)
				}
				if leaf, err = x509.ParseCertificate(raw); err != nil {
					t.Fatal(err)
				}
				_, want := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
				got := b.checkConstraints(leaf.RawSubject, san)
				hostless := names[i].Kind == tbs.URI && base.Kind != tbs.URI && uriHost(names[i].Text) == ""
				below := (base.Kind == tbs.URI || base.Kind == tbs.Email) && !excluded && !within(&base, &names[i], false) && within(&base, &names[i], true)
				if (got == nil) != (want == nil) && !hostless && !below {
					t.Errorf("%s under %s, excluded %t: %v, crypto/x509 says %v", names[i].Text, base.Base, excluded, got, want)
				}
				if got != nil && (pki.KindOf(got) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(got), names[i].Text)) {
					t.Errorf("%s: %v (%s)", names[i].Text, got, pki.KindOf(got))
				}
			}
		}
	}
}

// TestConstraintsOfDirectories has the constraints that crypto/x509 does not know.
func TestConstraintsOfDirectories(t *testing.T) {
	name := func(attributes ...tbs.Attribute) []byte {
		encoded, err := tbs.Name(attributes).Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	country := tbs.Attribute{OID: der.OIDCountry, Type: tbs.PrintableString, Value: "AT"}
	organization := func(text string, kind tbs.StringType) tbs.Attribute {
		return tbs.Attribute{OID: der.OIDOrganization, Type: kind, Value: text}
	}
	unit := tbs.Attribute{OID: der.OIDOrganizationalUnit, Value: "Meters", Joined: true}
	common := tbs.Attribute{OID: der.OIDCommonName, Value: "M-1"}
	base := name(country, organization("Example Meters", tbs.UTF8String))
	permitted := boundUnder(t, constraintsFor(t, []tbs.Subtree{{Kind: tbs.OtherGeneralName, Name: base}}, nil))
	excluded := boundUnder(t, constraintsFor(t, nil, []tbs.Subtree{{Kind: tbs.OtherGeneralName, Name: base}}))
	for _, c := range []struct {
		subject []byte
		in      bool
	}{
		{name(country, organization("Example Meters", tbs.UTF8String), common), true},
		{name(country, organization("EXAMPLE  meters", tbs.PrintableString), common), true},
		{base, true},
		{name(country, organization("Example Meters", tbs.UTF8String), unit, common), false}, // the RDN has one more
		{name(country, organization("Example Meters Two", tbs.UTF8String)), false},
		{name(organization("Example Meters", tbs.UTF8String), country), false},
		{name(country), false},
	} {
		if err := permitted.checkConstraints(c.subject, nil); (err == nil) != c.in {
			t.Errorf("%x: %v, want within %t", c.subject, err, c.in)
		}
		if err := excluded.checkConstraints(c.subject, nil); (err != nil) != c.in {
			t.Errorf("%x excluded: %v, want within %t", c.subject, err, c.in)
		}
	}
	san, err := tbs.AppendGeneralNames(nil, []tbs.GeneralName{tbs.DirectoryName(name(common))})
	if err != nil {
		t.Fatal(err)
	}
	if permitted.checkConstraints([]byte(emptyName), nil) != nil || permitted.checkConstraints([]byte(emptyName), san) == nil {
		t.Error("an empty subject is outside, or a directoryName inside")
	}
	mail := tbs.Attribute{OID: der.OIDEmailAddress, Type: tbs.IA5String, Value: "a@example.org"}
	if boundUnder(t, constraintsFor(t, []tbs.Subtree{{Kind: tbs.Email, Base: "example.com"}}, nil)).checkConstraints(name(mail), nil) == nil {
		t.Error("a mail address of the subject is not looked at")
	}
	// A form that cannot be read is about every such name.
	id, err := tbs.RegisteredID("1.3.6.1.4.1.32473.9")
	if err != nil {
		t.Fatal(err)
	}
	if san, err = tbs.AppendGeneralNames(nil, []tbs.GeneralName{id}); err != nil {
		t.Fatal(err)
	}
	unread := boundUnder(t, []byte("\x30\x08\xa1\x06\x30\x04\x88\x02\x2a\x03"))
	if unread.checkConstraints(name(common), nil) != nil || unread.checkConstraints(name(common), san) == nil {
		t.Error("a registeredID passes under a constraint that is not read, or a common name does not")
	}
	// Two authorities above: both hold.
	both := boundUnder(t, constraintsFor(t, []tbs.Subtree{{Kind: tbs.DNSName, Base: "example.com"}}, nil), constraintsFor(t, []tbs.Subtree{{Kind: tbs.DNSName, Base: "a.example.com"}}, nil))
	for host, want := range map[string]bool{"b.example.com": false, "x.a.example.com": true} {
		if san, err = tbs.AppendGeneralNames(nil, []tbs.GeneralName{{Kind: tbs.DNSName, Text: host}}); err != nil {
			t.Fatal(err)
		}
		if err := both.checkConstraints([]byte(emptyName), san); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := parseConstraints([][]byte{{0x30, 0}}); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("constraints that cannot be read: %v", err)
	}
}

// constrained is a profile of one name, literal or drawn.
const constrained = `
profile: constrained
keys: {allow: [p256]}
validity: 1y
subject: %s
san: {names: [%s]}
basicConstraints: {ca: false}
keyUsage: {use: [digitalSignature]}
keyIdentifiers: [authority]
`

// TestConstraintsBind: what a profile says of every certificate is refused when it is
// bound, what a request brings when it asks, and the lint finds either.
func TestConstraintsBind(t *testing.T) {
	from := newIssuer(t, "tls-server")
	from.Constraints = [][]byte{constraintsFor(t, []tbs.Subtree{{Kind: tbs.DNSName, Base: "example.com"}}, []tbs.Subtree{{Kind: tbs.Email, Base: ".example.com"}})}
	ref := pki.ProfileRef{Tenant: "demo", Name: "constrained", Version: 1}
	for names, want := range map[string]bool{
		"{dns: head.example.com}": true, "{dns: head.example.org}": false, "{email: a@x.example.com}": false,
		"{registeredID: 1.3.6.1.4.1.32473.9}": true, "{dns: head.example.com}, {dns: example.org}": false,
	} {
		p := parse(t, fmt.Sprintf(constrained, "[{type: CN, value: x}]", names))
		if _, err := p.Bind(ref, from.IssuerParams); (err == nil) != want || err != nil && (pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "profile constrained")) {
			t.Errorf("%s: %v", names, err)
		}
	}
	p := parse(t, fmt.Sprintf(constrained, "[{type: CN, value: x}]", "{dns: {from: csr.san.dns}}"))
	b := bind(t, p, from.IssuerParams)
	from.Constraints = nil
	free := bind(t, p, from.IssuerParams)
	key := generate(t, pki.P256)
	for host, want := range map[string]bool{"head.example.com": true, "head.example.org": false} {
		in := &Input{CSR: request(t, key, "", host), Now: now}
		if _, err := b.Content(in); (err == nil) != want || err != nil && pki.KindOf(err) != pki.PolicyRefused {
			t.Errorf("%s: %v", host, err)
		}
		c, err := free.Content(in)
		if err != nil {
			t.Fatal(err)
		}
		c.Serial = testSerial()
		message, err := free.Append(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Lint(message, c); (err == nil) != want {
			t.Errorf("the lint of %s: %v", host, err)
		}
	}
}

// TestMatterIDs: a subject with a vendor id has that of its issuer, and its product id
// where the issuer has one.
func TestMatterIDs(t *testing.T) {
	ref := pki.ProfileRef{Tenant: "demo", Name: "constrained", Version: 1}
	from := newIssuer(t, "tls-server")
	subject := func(vid, pid string) []byte {
		name := tbs.Name{{OID: der.OIDCommonName, Value: "PAI"}}
		for oid, value := range map[string]string{oidMatterVID: vid, oidMatterPID: pid} {
			if value != "" {
				name = append(name, tbs.Attribute{OID: oid, Value: value})
			}
		}
		encoded, err := name.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	attribute := func(oid, value string) string {
		return "{type: " + oid + ", value: '" + value + "'}"
	}
	dac := func(vid, pid string) string {
		return "[{type: CN, value: x}, " + attribute(oidMatterVID, vid) + ", " + attribute(oidMatterPID, pid) + "]"
	}
	for _, c := range []struct {
		issuer  []byte
		subject string
		want    bool
	}{
		{subject("FFF1", ""), dac("FFF1", "8000"), true},
		{subject("FFF1", ""), dac("FFF2", "8000"), false},
		{subject("FFF1", "8000"), dac("FFF1", "8000"), true},
		{subject("FFF1", "8000"), dac("FFF1", "8001"), false},
		{subject("FFF1", "8000"), "[{type: CN, value: x}, " + attribute(oidMatterVID, "FFF1") + "]", false},
		{subject("FFF1", "8000"), "[{type: CN, value: x}]", true}, // an OCSP responder
		{subject("", ""), dac("FFF1", "8000"), true},
	} {
		from.Subject = c.issuer
		p := parse(t, fmt.Sprintf(constrained, c.subject, ""))
		if _, err := p.Bind(ref, from.IssuerParams); (err == nil) != c.want || err != nil && pki.KindOf(err) != pki.PolicyRefused {
			t.Errorf("%s under %x: %v", c.subject, c.issuer, err)
		}
	}
	from.Subject = subject("FFF1", "8000")
	drawn := "[{type: CN, value: x}, {type: " + oidMatterVID + ", from: request.attributes.vid, check: name}, {type: " + oidMatterPID + ", from: request.attributes.pid, check: name, optional: true}]"
	b := bind(t, parse(t, fmt.Sprintf(constrained, drawn, "")), from.IssuerParams)
	key := generate(t, pki.P256)
	for _, c := range []struct {
		vid, pid string
		want     bool
	}{{"FFF1", "8000", true}, {"FFF2", "8000", false}, {"FFF1", "8001", false}, {"FFF1", "", false}} {
		in := &Input{CSR: request(t, key, ""), Attributes: map[string]string{"vid": c.vid, "pid": c.pid}, Now: now}
		if _, err := b.Content(in); (err == nil) != c.want || err != nil && pki.KindOf(err) != pki.PolicyRefused {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
