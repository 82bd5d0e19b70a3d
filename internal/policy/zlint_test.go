package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// inconsistent is what RFC 5280, 4.2.1.12 forbids and only zlint finds: no usage of
// it is for the purpose of it. Its key usage is not critical, a warning.
const inconsistent = `profile: inconsistent
keys: {allow: [p256]}
validity: 1y
subject: [{type: CN, from: device.id}, {type: OU, from: csr.subject.cn, check: name, optional: true}]
san: {names: [{dns: {from: csr.san.dns}}]}
keyUsage: {use: [keyAgreement], critical: false}
extendedKeyUsage: {use: [codeSigning]}
keyIdentifiers: [subject, authority]
`

const excepted = inconsistent + `lint:
  except:
    - {rule: e_key_usage_and_extended_key_usage_inconsistent, because: the ecosystem asks for both}
`

// lintOf has the certificate for in linted.
func lintOf(t testing.TB, b *Bound, in *Input) error {
	t.Helper()
	c, err := b.Content(in)
	if err != nil {
		t.Fatal(err)
	}
	c.Serial = testSerial()
	message, err := b.Append(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return b.Lint(message, c)
}

func TestZlintRefuses(t *testing.T) {
	in := &Input{CSR: request(t, generate(t, pki.P256), ""), Device: "D-1", Now: now}
	from := newIssuer(t, "inconsistent")
	b := bind(t, parse(t, inconsistent), from.IssuerParams)
	for range 2 { // what failed is not remembered as passed
		wantFinding(t, lintOf(t, b, in), "e_key_usage_and_extended_key_usage_inconsistent")
	}
	b = bind(t, parse(t, excepted), from.IssuerParams)
	findings := b.Profile().Zlint(issue(t, b, from, in, testSerial()))
	if len(findings) != 1 || findings[0].Level != Warning || findings[0].Rule != "w_ext_key_usage_not_critical" || findings[0].Detail == "" {
		t.Errorf("findings %v, want one warning", findings)
	}
	if got := b.Profile().Zlint([]byte("\x30\x00")); Failure(got) == nil {
		t.Errorf("what zlint cannot read: %v", got)
	}
}

func TestExceptionsAsWritten(t *testing.T) {
	for name, row := range map[string]struct{ lint, want string }{
		"no such rule": {"{except: [{rule: e_nothing, because: it is so}]}", "has a rule of zlint's"},
		"of the web's": {"{except: [{rule: e_sub_cert_aia_missing, because: it is so}]}", "has a rule of zlint's"},
		"no reason":    {"{except: [{rule: e_ext_san_empty_name}]}", "says why"},
		"twice":        {"{except: [{rule: e_ext_san_empty_name, because: a}, {rule: e_ext_san_empty_name, because: b}]}", "said twice"},
		"all":          {"{except: all}", "lint"},
	} {
		_, err := Parse([]byte(inconsistent + "lint: " + row.lint + "\n"))
		if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	changes := Diff(parse(t, inconsistent), parse(t, excepted))
	if len(changes) != 1 || changes[0].What != "lint.except" || changes[0].Effect != Widens {
		t.Errorf("changes %v", changes)
	}
}

// TestShapes holds which requests are of the shape of the first, so that zlint does
// not read what is made for them.
func TestShapes(t *testing.T) {
	key, other := generate(t, pki.P256), generate(t, pki.P256)
	b := bind(t, parse(t, excepted), newIssuer(t, "excepted").IssuerParams)
	shape := func(in *Input) (string, bool) {
		t.Helper()
		if err := lintOf(t, b, in); err != nil {
			t.Fatal(err)
		}
		c, err := b.Content(in)
		if err != nil {
			t.Fatal(err)
		}
		got, whole := appendShape(nil, c)
		return string(got), whole
	}
	first, whole := shape(&Input{CSR: request(t, key, "unit", "a.example", "b.example"), Device: "D-1", Now: now})
	if !whole {
		t.Fatal("a plain request is not remembered")
	}
	for name, row := range map[string]struct {
		in   *Input
		same bool
	}{
		"another text": {&Input{CSR: request(t, key, "line", "c.example", "dd.example"), Device: "D-2", Now: now}, true},
		"another key":  {&Input{CSR: request(t, other, "unit", "a.example", "b.example"), Device: "D-1", Now: now}, true},
		"three names":  {&Input{CSR: request(t, key, "unit", "a.example", "b.example", "c.example"), Device: "D-1", Now: now}, true},
		"a day later":  {&Input{CSR: request(t, key, "unit", "a.example", "b.example"), Device: "D-1", Now: now.Add(24 * time.Hour)}, true},
		"one name":     {&Input{CSR: request(t, key, "unit", "a.example"), Device: "D-1", Now: now}, false},
		"no names":     {&Input{CSR: request(t, key, "unit"), Device: "D-1", Now: now}, false},
		"no unit":      {&Input{CSR: request(t, key, "", "a.example", "b.example"), Device: "D-1", Now: now}, false},
		"capitals":     {&Input{CSR: request(t, key, "Unit", "a.example", "b.example"), Device: "D-1", Now: now}, false},
		"not in ASCII": {&Input{CSR: request(t, key, "ünit", "a.example", "b.example"), Device: "D-1", Now: now}, false},
		"another sign": {&Input{CSR: request(t, key, "unit@", "a.example", "b.example"), Device: "D-1", Now: now}, false},
		"hyphens":      {&Input{CSR: request(t, key, "unit", "a-a.example", "b.example"), Device: "D-1", Now: now}, true},
		"a long name":  {&Input{CSR: request(t, key, "unit", strings.Repeat("abcd.", 20)+"example", "b.example"), Device: "D-1", Now: now}, false},
	} {
		if got, whole := shape(row.in); (got == first) != row.same || !whole {
			t.Errorf("%s: same shape %t, remembered %t", name, got == first, whole)
		}
	}
	if _, whole := shape(&Input{CSR: request(t, key, "unit", "xn--mnchen-3ya.example"), Device: "D-1", Now: now}); whole {
		t.Error("what is said of one internationalised name is remembered for others")
	}
	if n := len(b.passed.shapes); n < 5 || n > 12 {
		t.Errorf("%d shapes are remembered", n)
	}
}

// TestShapesHideNothing: what zlint refuses alone it refuses after another of its kind
// that it has passed.
func TestShapesHideNothing(t *testing.T) {
	from := newIssuer(t, "x").IssuerParams
	key := publicKey(t, generate(t, pki.P256).Public())
	document := func(names string) string {
		if strings.HasPrefix(names, "subject") {
			return strings.Replace(minimal, "subject: [{type: CN, from: tenant.organization}]", names, 1)
		}
		return minimal + names + "\n"
	}
	for name, row := range map[string]struct {
		names     string // in the document
		good, bad string
		rule      string
	}{
		"host of a URI":       {"san: {names: [{uri: {from: request.attributes.a}}]}", "https://a.example/x", "https://localhost/x", "e_ext_san_uri_host_not_fqdn_or_ip"},
		"host of another":     {"san: {names: [{uri: {from: request.attributes.a}}]}", "opc.tcp://a.example/x", "opc.tcp://localhost/x", "e_ext_san_uri_host_not_fqdn_or_ip"},
		"path of a URN":       {"san: {names: [{uri: {from: request.attributes.a}}]}", "urn:a/x", "urn:/ax", "e_ext_san_uri_host_not_fqdn_or_ip"},
		"host of an issuer's": {"extensions: [{oid: 2.5.29.18, asn1: {sequence: [{implicit: {tag: 2, of: {ia5: {from: request.attributes.a, check: name}}}}]}}]", "a.example", ".aexample", "e_ian_dns_name_starts_with_period"},
		"HTML in CN":          {"subject: [{type: CN, from: request.attributes.a, check: name}]", "a & b; c", "x &amp; yz", "e_subj_contains_html_entities"},
		"HTML in OU":          {"subject: [{type: OU, from: request.attributes.a, check: name}]", "a & b; #c", "x &#39; yz", "e_subj_contains_html_entities"},
		"letters mistaken":    {"subject: [{type: O, from: request.attributes.a, check: name}]", "müllers", "mÃ¼ller", "e_utf8_latin1_mixup"},
		"an organization":     {"subject: [{type: O, from: tenant.organization}]", "müller", "m\u0085ller", "e_subject_dn_not_printable_characters"},
	} {
		t.Run(name, func(t *testing.T) {
			p := parse(t, document(row.names))
			input := func(text string) *Input {
				in := &Input{CSR: &tbs.CSR{Key: key}, Organization: "Example", Attributes: map[string]string{"a": text}, Now: now}
				if name == "an organization" {
					in.Organization = text
				}
				return in
			}
			wantFinding(t, lintOf(t, bind(t, p, from), input(row.bad)), row.rule)
			b := bind(t, p, from)
			for range 2 {
				if err := lintOf(t, b, input(row.good)); err != nil {
					t.Fatal(err)
				}
			}
			wantFinding(t, lintOf(t, b, input(row.bad)), row.rule)
		})
	}
	// What zlint would refuse is refused before.
	for name, row := range map[string]struct{ names, text, want string }{
		"postal code": {"subject: [{type: 2.5.4.17, from: request.attributes.a, check: name}]", strings.Repeat("1", 60), "1 to 16"},
		"no host":     {"san: {names: [{uri: {from: request.attributes.a}}]}", "https:/x", "needs a host"},
		"empty host":  {"san: {names: [{uri: {from: request.attributes.a}}]}", "coaps:///x", "needs a host"},
	} {
		_, err := bind(t, parse(t, document(row.names)), from).Content(&Input{CSR: &tbs.CSR{Key: key}, Organization: "Example", Attributes: map[string]string{"a": row.text}, Now: now})
		if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestShapeMalformed holds that what is not DER is remembered for nothing.
func TestShapeMalformed(t *testing.T) {
	deep := []byte{}
	for range maxShapeDepth + 1 {
		deep = append([]byte{0x30, byte(len(deep))}, deep...)
	}
	for name, value := range map[string][]byte{"torn": {0x30, 5, 1}, "deep": deep} {
		whole := true
		appendStructure(nil, value, 0, &whole)
		if whole {
			t.Errorf("%s: remembered", name)
		}
	}
}

func TestShapesAreForgotten(t *testing.T) {
	var p passed
	for i := range maxShapes + 1 {
		p.add([]byte{byte(i), byte(i >> 8)})
	}
	if len(p.shapes) != 1 || !p.has([]byte{byte(maxShapes & 0xff), maxShapes >> 8}) || p.has([]byte{0, 0}) {
		t.Errorf("%d shapes after one too many", len(p.shapes))
	}
}

// TestZlintPostQuantum holds what zlint sees of algorithms that it does not know: all
// but the key and the signature.
func TestZlintPostQuantum(t *testing.T) {
	for _, kind := range []pki.KeyKind{pki.MLDSA44, pki.MLDSA65, pki.MLDSA87} {
		p := parse(t, strings.Replace(strings.Replace(inconsistent, "p256", string(kind), 1), "keyAgreement", "digitalSignature", 1))
		key := publicKey(t, generate(t, kind).Public())
		params := newIssuer(t, "inconsistent").IssuerParams
		params.Algorithm = key.SignatureAlgorithm()
		b := bind(t, p, params)
		c, err := b.Content(&Input{CSR: &tbs.CSR{Key: key}, Device: "D-1", Now: now})
		if err != nil {
			t.Fatal(err)
		}
		c.Serial = testSerial()
		message, err := b.Append(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Lint(message, c); err != nil {
			t.Error(err)
		}
		if got := p.Zlint(tbs.AppendSigned(nil, message, params.Algorithm, noSignature)); !slices.ContainsFunc(got, func(f Finding) bool { return f.Rule == "w_ext_key_usage_not_critical" }) {
			t.Errorf("%s: findings %v: the rules do not see its extensions", kind, got)
		}
	}
}

// BenchmarkZlint is what the first certificate of a shape pays.
func BenchmarkZlint(b *testing.B) {
	bound, c, der := encoded(b, "tls-server")
	b.ReportAllocs()
	for b.Loop() {
		bound.passed.shapes = nil
		if err := bound.Lint(der, c); err != nil {
			b.Fatal(err)
		}
	}
}
