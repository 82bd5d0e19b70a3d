package policy

import (
	"bytes"
	"crypto/fips140"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/certdump"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// everything is the profile that says all that the language has.
func everything(t testing.TB) (*Bound, issuer) {
	t.Helper()
	source, err := os.ReadFile("testdata/language.yaml")
	if err != nil {
		t.Fatal(err)
	}
	from := newIssuer(t, "everything")
	from.Authority, from.Mode = "manufacturing", pki.Test
	return bind(t, parse(t, string(source)), from.IssuerParams), from
}

// everyInput is a request for it.
func everyInput(t testing.TB) *Input {
	t.Helper()
	return &Input{
		CSR:    request(t, generate(t, pki.P256), "ignored", "a.field.example", "evil.example", "b.field.example"),
		Tenant: "demo", Organization: "Example Meters", Endpoint: "demo.meters", Protocol: pki.ProtocolREST,
		Device: "M-0001", Placement: pki.Placement{ProductLine: "E350", Lot: "LOT-7", Site: "Graz"},
		Requester:  Requester{ID: "token:1", Name: "line 1", Role: "factory-operator"},
		Attributes: map[string]string{"hw": "00124b0001020304", "unnamed": "x"},
		Now:        now,
	}
}

var update = flag.Bool("update", false, "write the golden dump anew")

// random is what of a dump depends on random numbers: identifiers of keys.
var random = regexp.MustCompile(`(?m)^(key: \S+|subjectKeyIdentifier:|authorityKeyIdentifier:) .*$`)

// TestLanguage compares a dump of a certificate for which a profile says
// everything with testdata/golden. In FIPS mode keys are other ones each time, and what
// depends on them is left out.
func TestLanguage(t *testing.T) {
	if !fips140.Enabled() { // its module makes no keys of a seed
		cryptotest.SetGlobalRandom(t, 1)
	}
	b, from := everything(t)
	got, err := certdump.Text(issue(t, b, from, everyInput(t), testSerial()))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "golden", "language.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	masked := string(want)
	if fips140.Enabled() {
		masked, got = random.ReplaceAllString(masked, "$1 ..."), random.ReplaceAllString(got, "$1 ...")
	}
	if diff := cmp.Diff(masked, got); diff != "" {
		t.Errorf("dump (-want +got):\n%s", diff)
	}
}

// TestLanguageASN1 reads values in ASN.1 with encoding/asn1.
func TestLanguageASN1(t *testing.T) {
	b, from := everything(t)
	cert, err := x509.ParseCertificate(issue(t, b, from, everyInput(t), testSerial()))
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string][]byte)
	for _, e := range cert.Extensions {
		values[e.Id.String()] = e.Value
	}
	var template struct {
		ID           asn1.ObjectIdentifier
		Major, Minor int
	}
	if rest, err := asn1.Unmarshal(values["1.3.6.1.4.1.311.21.7"], &template); err != nil || len(rest) > 0 || template.ID.String() != "1.3.6.1.4.1.311.21.8.1" || template.Major != 100 || template.Minor != 2 {
		t.Errorf("template %+v, %v", template, err)
	}
	if got := string(values["1.3.6.1.4.1.311.20.2"]); got != "\x1e\x0e\x00M\x00a\x00c\x00h\x00i\x00n\x00e" {
		t.Errorf("BMPString %q", got)
	}
	if _, there := values["1.3.6.1.4.1.32473.22"]; there {
		t.Error("an extension whose only value is absent is there")
	}
	const want = "0101ff" + // boolean
		"3110" + "0a02ff7f" + "0c0447" + "72617a" + "130445333530" + // set, sorted
		"040800124b0001020304" + "0303008001" + "180f32303236313233313232353935395a" +
		"a0120c10" + "666163746f72792d6f70657261746f72" + "810b" + "64656d6f2e6d6574657273" +
		"a204020207ea" + "04060c0464656d6f"
	content, _ := der.ReadOnly(values["1.3.6.1.4.1.32473.21"], 0x30)
	if got := hex.EncodeToString(content); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestLanguageRefuses changes one thing of a request for it.
func TestLanguageRefuses(t *testing.T) {
	b, _ := everything(t)
	for name, row := range map[string]struct {
		change func(*Input)
		want   string
	}{
		"a rule":            {func(in *Input) { in.Placement.Lot = "" }, "the profile everything refuses this: a certificate belongs to a lot"},
		"a rule's pattern":  {func(in *Input) { in.Attributes["hw"] = "00124B0001020304" }, "the attribute hw is an EUI-64"},
		"a rule that fails": {func(in *Input) { delete(in.Attributes, "hw") }, "fails: no such key: hw"},
		"bidi in a value":   {func(in *Input) { in.Attributes["city"] = "Graz\u202e" }, "not printable"},
		"NUL in a value":    {func(in *Input) { in.Attributes["city"] = "Graz\x00" }, "not printable"},
		"long value":        {func(in *Input) { in.Attributes["city"] = strings.Repeat("g", 65) }, "1 to 64"},
		"string type":       {func(in *Input) { in.Placement.Lot = "LOT_7" }, `has the character '_', which is outside its string type, PrintableString`},
		"ASN.1 type":        {func(in *Input) { in.Placement.ProductLine = "E*" }, "extension 1.3.6.1.4.1.32473.21"},
		"filtered name": {func(in *Input) {
			in.CSR = request(t, generate(t, pki.P256), "", "*.field.example")
		}, "without wildcard"},
		"device as a name": {func(in *Input) { in.Device = "M_1" }, "serialNumber"},
	} {
		t.Run(name, func(t *testing.T) {
			in := everyInput(t)
			row.change(in)
			_, err := b.Content(in)
			if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), row.want) {
				t.Fatalf("got %v: %v; want %s", pki.KindOf(err), err, row.want)
			}
		})
	}
}

// TestParseLanguageRefuses has one wrong document a row: minimal and a line more.
func TestParseLanguageRefuses(t *testing.T) {
	subject := func(s string) string {
		return strings.Replace(minimal, "[{type: CN, from: tenant.organization}]", "["+s+"]", 1)
	}
	deep := strings.Repeat("{wrapped: ", maxASN1Depth) + "{boolean: true}" + strings.Repeat("}", maxASN1Depth)
	add := func(line string) string { return minimal + line + "\n" }
	value := func(asn1 string) string { return add("extensions: [{oid: 1.2.3, asn1: " + asn1 + "}]") }
	for name, row := range map[string]struct{ source, want string }{
		"mode":                       {add("mode: production"), "any or test"},
		"authority":                  {add("authorities: [Manufacturing CA]"), "by its name"},
		"rule with a forged row":     {add(`rules: [{require: "true", because: "b\nDIFFERS  description"}]`), "printable characters only"},
		"rule with an escape":        {add(`rules: [{require: "true", because: "b\e[2J"}]`), "printable characters only"},
		"exception with bidi":        {add(`lint: {except: [{rule: e_ext_san_empty_name, because: "b\u202e"}]}`), "printable characters only"},
		"description unseen":         {add(`description: "b\u200bc"`), "printable characters only"},
		"rule without reason":        {add(`rules: [{require: "true"}]`), "because"},
		"rule that is no bool":       {add(`rules: [{require: device.id, because: x}]`), "yields a string; a bool"},
		"rule with a wrong type":     {add(`rules: [{require: "now > device.id", because: x}]`), "no matching overload"},
		"rule on nothing":            {add(`rules: [{require: "devise.id == ''", because: x}]`), "undeclared reference to 'devise'"},
		"rule with a bad pattern":    {add(`rules: [{require: "device.id.matches('[')", because: x}]`), "invalid matches argument"},
		"rule with three loops":      {add(`rules: [{require: "[1].all(a, [1].all(b, [1].all(c, true)))", because: x}]`), "nesting limit"},
		"rule too long":              {add(`rules: [{require: "` + strings.Repeat("1<2&&", 185) + `true", because: x}]`), "size exceeds"},
		"rule too deep":              {add(`rules: [{require: "` + strings.Repeat("!(", 60) + "true" + strings.Repeat(")", 60) + `", because: x}]`), "recursion"},
		"empty rdn":                  {subject("{rdn: []}, {type: CN, value: x}"), "at least one attribute"},
		"empty directoryName":        {add("san: {names: [{directoryName: []}]}"), "at least one attribute"},
		"empty rdn in a name":        {add("san: {names: [{directoryName: [{rdn: []}]}]}"), "at least one attribute"},
		"empty constraint":           {add("nameConstraints: {permitted: [{directoryName: []}]}"), "at least one attribute"},
		"broken der":                 {value(`{der: "30020101"}`), "one element"},
		"lot without check":          {subject("{type: CN, from: lot.name}"), "needs a check"},
		"requester without check":    {subject("{type: CN, from: requester.name}"), "needs a check"},
		"hidden csr without check":   {subject(`{type: CN, from: "['x'].map(csr, .csr.subject.cn)[0]"}`), "needs a check"},
		"hidden csr by another name": {subject(`{type: CN, from: "['x'].map(request, .csr.subject.attributes[0].value)[0]"}`), "needs a check"},
		"large pattern":              {add(`rules: [{require: "device.id.matches('(.{0,31}){0,31}b')", because: x}]`), "program size"},
		"pattern from outside":       {add(`rules: [{require: "device.id.matches(request.endpoint)", because: x}]`), "pattern of matches is a literal"},
		"list of a map":              {add(`rules: [{require: "request.attributes.map(k, k)[0] == 'a'", because: x}]`), "no order"},
		"time zone":                  {add(`rules: [{require: "now.getHours('Local') < 8", because: x}]`), "no time zone"},
		"rdn that is no list":        {subject("{rdn: {type: CN, from: device.id}}"), "a list of attributes"},
		"rdn with one type twice":    {subject("{rdn: [{type: CN, value: a}, {type: CN, value: b}]}"), "one value of a type"},
		"rdn with a word":            {subject("{rdn: [CN]}"), "an attribute type is"},
		"string type":                {subject("{type: CN, value: a, string: t61}"), "utf8, printable or ia5"},
		"string type of CN":          {subject("{type: CN, value: a, string: ia5}"), "an attribute type is"},
		"expression without check":   {subject(`{type: CN, from: "'x' + csr.subject.cn"}`), "needs a check"},
		"request without check":      {subject(`{type: CN, from: "request.protocol"}`), "needs a check"},
		"expression of a number":     {subject(`{type: CN, from: "1 + 1"}`), "yields a int"},
		"expression of a list":       {subject(`{type: CN, from: "['a']"}`), "one value"},
		"critical without names":     {add("san: {critical: true}"), "no names"},
		"string in a name":           {add("san: {names: [{dns: {value: a.example, string: ia5}}]}"), "string is for attributes"},
		"as in a name":               {add("san: {names: [{dns: {value: a.example, as: hex}}]}"), "as is for octets"},
		"hardware serial":            {add("san: {names: [{hardwareModuleName: {type: 1.2.3, value: xy, as: hex}}]}"), "invalid byte"},
		"as":                         {add("san: {names: [{hardwareModuleName: {type: 1.2.3, value: xy, as: decimal}}]}"), "text, hex or base64"},
		"registeredID":               {add("san: {names: [{registeredID: x}]}"), "an OID"},
		"otherName of a module":      {add("san: {names: [{otherName: {type: 1.3.6.1.5.5.7.8.4, asn1: {boolean: true}}}]}"), "a key of its own"},
		"literal mail":               {add("san: {names: [{email: Ops@Example.com}]}"), "a mail address"},
		"a word of authorized":       {add("san: {names: [{dns: {from: csr.san.dns, authorized: all}}]}"), "true or exact"},
		"exactly in asn1":            {add("extensions: [{oid: 1.3.6.1.4.1.32473.1, asn1: {ia5: {from: csr.subject.cn, check: dns, authorized: exact}}}]"), "names of san"},
		"an exact mail address":      {add("san: {names: [{email: {from: csr.san.email, authorized: exact}}]}"), "dns, uri or ip"},
		"a literal exactly":          {add("san: {names: [{dns: {value: a.example, authorized: exact}}]}"), "a literal value"},
		"constraints of no CA":       {add("nameConstraints: {permitted: [{dns: example.com}]}"), "CA certificates alone"},
		"empty constraints":          {add("nameConstraints: {permitted: []}"), "at least one"},
		"constraint of two kinds":    {add("nameConstraints: {permitted: [{dns: example.com, ip: 10.0.0.0/8}]}"), "one of dns"},
		"constraint":                 {add("nameConstraints: {permitted: [{ip: 10.0.0.1/8}]}"), "not the base"},
		"constraint that varies":     {add("nameConstraints: {excluded: [{directoryName: [{type: O, from: tenant.organization}]}]}"), "literal values"},
		"policy with a relative CPS": {add("policies: [{oid: 1.2.3, cps: here}]"), "not an absolute URI"},
		"critical policies, none":    {add("policies: {critical: true}"), "there are none"},
		"noRevAvail with status":     {add("noRevAvail: true\nstatus: {crl: true}"), "RFC 9608"},
		"encipherOnly":               {add("keyUsage: {use: [digitalSignature, encipherOnly]}"), "go with keyAgreement"},
		"extension with its own key": {add("extensions: [{oid: 2.5.29.19, asn1: {der: 30030101ff}}]"), "a key of its own: basicConstraints"},
		"extension without oid":      {add("extensions: [{asn1: {boolean: true}}]"), "has its oid"},
		"extension twice":            {add("extensions: [{oid: 1.2.3, asn1: {boolean: true}}, {oid: 1.2.3, asn1: {boolean: true}}]"), "said twice"},
		"no value":                   {add("extensions: [{oid: 1.2.3}]"), "a value has one of"},
		"two values":                 {value("{boolean: true, integer: 1}"), "a value has one of"},
		"inner wrong value":          {value("{sequence: [{integer: x}]}"), "in decimal"},
		"too deep":                   {value(deep), "within each other"},
		"der":                        {value(`{der: "050000"}`), "one element"},
		"long integer":               {value("{integer: " + strings.Repeat("1", 101) + "}"), "100 digits"},
		"printable":                  {value("{printable: a*b}"), "string type"},
		"bmp":                        {value(`{bmp: "` + "\U0001F600" + `"}`), "BMPString"},
		"time":                       {value("{time: yesterday}"), "a time is written"},
		"tag":                        {value("{explicit: {tag: 31, of: {boolean: true}}}"), "0 to 30"},
		"list in asn1":               {value(`{utf8: {from: "['a']"}}`), "may yield many"},
		"as of a string":             {value("{utf8: {value: a, as: hex}}"), "octets and bits"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(row.source))
			if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), row.want) {
				t.Fatalf("got %v: %v; want malformed: %s", pki.KindOf(err), err, row.want)
			}
		})
	}
}

// TestExpressionCost: an expression that would run long ends as a refusal.
func TestExpressionCost(t *testing.T) {
	long := make(map[string]string)
	for i := range 32 {
		long[strings.Repeat("k", i+1)] = strings.Repeat("v", 200)
	}
	const loop = "request.attributes.all(a, request.attributes.all(b, (a + b + request.attributes[a]).replace('v', request.attributes[b]).size() > 0))"
	p := parse(t, minimal+"rules: [{require: \""+loop+"\", because: x}]\n")
	b := bind(t, p, newIssuer(t, "x").IssuerParams)
	_, err := b.Content(&Input{CSR: request(t, generate(t, pki.P256), ""), Organization: "x", Attributes: long, Now: now})
	if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "cost limit exceeded") {
		t.Errorf("%v", err)
	}
	long["a"] = strings.Repeat("v", 200)
	large := parse(t, strings.Replace(minimal, "from: tenant.organization", `from: "`+strings.Repeat("request.attributes.a+", 25)+`''", check: name`, 1))
	_, err = large.Subject(&Input{Attributes: long})
	if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "bytes") {
		t.Errorf("%v", err)
	}
}

// TestPathsAreExpressions: what doc.go says of a path holds of the expression that
// it is, too.
func TestPathsAreExpressions(t *testing.T) {
	in := everyInput(t)
	in.CommonName, in.Attributes["place"] = "CA 1", "Wien"
	in.CSR = request(t, generate(t, pki.P256), "cn", "a.example", "10.0.0.1", "urn:x:y")
	for _, text := range []string{
		"device.id", "tenant.organization", "authority.commonName", "csr.subject.cn", "csr.subject.serialNumber",
		"csr.san.dns", "csr.san.uri", "csr.san.ip", "csr.san.email", "request.attributes.place",
	} {
		path, ok := parsePath(text)
		if !ok {
			t.Fatalf("%s is no path", text)
		}
		e, err := compileSource("(" + text + ")")
		if err != nil {
			t.Fatal(err)
		}
		if e.outside != path.outside || (e.many == nil) != (path.many == nil) {
			t.Errorf("%s: outside %t, %t; list %t, %t", text, e.outside, path.outside, e.many != nil, path.many != nil)
		}
		all := func(s source) []string {
			if s.many != nil {
				texts, err := s.many(in)
				if err != nil {
					t.Fatal(err)
				}
				return append([]string{}, texts...)
			}
			text, err := s.one(in)
			if err != nil {
				t.Fatal(err)
			}
			return []string{text}
		}
		if diff := cmp.Diff(all(path), all(e)); diff != "" {
			t.Errorf("%s (-path +expression):\n%s", text, diff)
		}
	}
}

// TestExpressionsOfARequest: what one expression may cost many may not.
func TestExpressionsOfARequest(t *testing.T) {
	attributes := make(map[string]string)
	for i := range 32 {
		attributes[strings.Repeat("k", i+1)] = strings.Repeat("v", 20)
	}
	const loop = "  - {require: \"request.attributes.all(a, request.attributes.all(b, a + b != 'x'))\", because: x}\n"
	b := bind(t, parse(t, minimal+"rules:\n"+strings.Repeat(loop, maxRules)), newIssuer(t, "x").IssuerParams)
	_, err := b.Content(&Input{CSR: request(t, generate(t, pki.P256), ""), Organization: "x", Attributes: attributes, Now: now})
	if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "expressions do for one request costs too much") || !CostsTooMuch(err) {
		t.Errorf("%v", err)
	}
}

// TestNeedsDevice: a value that is drawn from the device needs one, wherever it is.
func TestNeedsDevice(t *testing.T) {
	for text, want := range map[string]bool{
		minimal: false,
		strings.Replace(minimal, "from: tenant.organization", `from: "'Meter ' + device.id"`, 1):                                                        true,
		strings.Replace(minimal, "from: tenant.organization", `from: "'Meter ' + device.id", optional: true`, 1) + "san: {names: [{dns: a.example}]}\n": false,
		minimal + "san: {names: [{directoryName: [{type: CN, from: device.id}]}]}\n":                                                                    true,
		minimal + "san: {names: [{upn: {from: \"device.id + '@x'\"}}]}\n":                                                                               true,
		minimal + "extensions: [{oid: 1.2.3, asn1: {sequence: [{utf8: {from: device.id}}]}}]\n":                                                         true,
	} {
		if got := parse(t, text).NeedsDevice(); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// TestSizes: values that grow with a request are refused at a bound.
func TestSizes(t *testing.T) {
	leaf := "{utf8: {from: request.attributes.a, check: name}}"
	for name, source := range map[string]string{
		"a set":      minimal + "extensions: [{oid: 1.2.3, asn1: {set: [" + strings.TrimSuffix(strings.Repeat(leaf+",\n  ", 190), ",\n  ") + "]}}]\n",
		"a sequence": minimal + "extensions: [{oid: 1.2.3, asn1: {sequence: [" + strings.TrimSuffix(strings.Repeat(leaf+",\n  ", 190), ",\n  ") + "]}}]\n",
	} {
		b := bind(t, parse(t, source), newIssuer(t, "x").IssuerParams)
		_, err := b.Content(&Input{CSR: request(t, generate(t, pki.P256), ""), Organization: "x", Attributes: map[string]string{"a": strings.Repeat("\U0001F600", 64)}, Now: now})
		if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "bytes") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBindScope(t *testing.T) {
	from := newIssuer(t, "x").IssuerParams
	for name, row := range map[string]struct {
		line, authority string
		mode            pki.Mode
		want            string
	}{
		"a test profile for production": {"mode: test", "a", pki.Production, "is for test authorities"},
		"a test profile for nobody":     {"mode: test", "a", "", "is for test authorities"},
		"a test profile for a test":     {"mode: test", "a", pki.Test, ""},
		"another authority":             {"authorities: [b, c]", "a", pki.Test, "for the authorities b, c alone"},
		"its authority":                 {"authorities: [b, c]", "c", pki.Production, ""},
	} {
		from.Authority, from.Mode = row.authority, row.mode
		_, err := parse(t, minimal+row.line+"\n").Bind(pki.ProfileRef{}, from)
		if (err == nil) != (row.want == "") || err != nil && (pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), row.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStrict: of a strict profile a request gets all that it asks for, or nothing.
func TestStrict(t *testing.T) {
	const source = minimal + `strict: true
san: {names: [{dns: {from: csr.san.dns}}]}
basicConstraints: {ca: false}
keyUsage: {use: [digitalSignature, keyAgreement]}
extendedKeyUsage: {use: [clientAuth, serverAuth]}
extensions: [{oid: 1.2.3, asn1: {utf8: {from: request.attributes.a, check: name, optional: true}}}]
`
	b := bind(t, parse(t, source), newIssuer(t, "x").IssuerParams)
	key := generate(t, pki.P256)
	extension := func(oid string, value []byte) pkix.Extension {
		var id asn1.ObjectIdentifier
		for s := der.MustOID(oid); len(s) > 0; s = nil {
			if _, err := asn1.Unmarshal(s, &id); err != nil {
				t.Fatal(err)
			}
		}
		return pkix.Extension{Id: id, Value: value}
	}
	purposes := func(oids ...string) []byte {
		whole, err := tbs.ExtendedKeyUsage(false, oids...)
		if err != nil {
			t.Fatal(err)
		}
		return whole[bytes.LastIndex(whole, []byte{4, byte(len(oids)*10 + 2)})+2:]
	}
	// unread is a request that has an attribute with an extension for CAs in it.
	unread := func(oid ...int) x509.CertificateRequest {
		//lint:ignore SA1019 the one way to write attributes that are no extensions (RFC 2986, 4.1)
		return x509.CertificateRequest{Attributes: []pkix.AttributeTypeAndValueSET{{
			Type: oid, Value: [][]pkix.AttributeTypeAndValue{{{Type: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}}},
		}}}
	}
	for name, row := range map[string]struct {
		template x509.CertificateRequest
		want     string
	}{
		"all of it": {x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "Example"}, DNSNames: []string{"a.example"},
			ExtraExtensions: []pkix.Extension{
				extension("2.5.29.15", []byte{3, 2, 7, 0x80}), extension("2.5.29.19", []byte{0x30, 0}),
				extension("2.5.29.37", purposes(der.OIDClientAuth)), extension("1.2.3", []byte("\x0c\x01v")),
			},
		}, ""},
		"nothing":              {x509.CertificateRequest{}, ""},
		"another subject":      {x509.CertificateRequest{Subject: pkix.Name{CommonName: "Other"}}, "CN=Other, which the profile, being strict, neither names nor drops; the certificate would have CN=Example"},
		"an attribute more":    {x509.CertificateRequest{Subject: pkix.Name{CommonName: "Example", Locality: []string{"Graz"}}}, "would have none of that type"},
		"a name more":          {x509.CertificateRequest{DNSNames: []string{"a.example"}, EmailAddresses: []string{"a@b.example"}}, "a@b.example"},
		"to be a CA":           {x509.CertificateRequest{ExtraExtensions: []pkix.Extension{extension("2.5.29.19", []byte{0x30, 3, 1, 1, 0xff})}}, "2.5.29.19"},
		"a usage more":         {x509.CertificateRequest{ExtraExtensions: []pkix.Extension{extension("2.5.29.15", []byte{3, 2, 2, 0x84})}}, "2.5.29.15"},
		"a purpose more":       {x509.CertificateRequest{ExtraExtensions: []pkix.Extension{extension("2.5.29.37", purposes(der.OIDClientAuth, der.OIDCodeSigning))}}, "2.5.29.37"},
		"another value":        {x509.CertificateRequest{ExtraExtensions: []pkix.Extension{extension("1.2.3", []byte("\x0c\x01w"))}}, "1.2.3"},
		"CN twice":             {x509.CertificateRequest{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "Example"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "Example"}}}}, "CN=Example, which the profile"},
		"Microsoft's request":  {unread(1, 3, 6, 1, 4, 1, 311, 2, 1, 14), "the attribute 1.3.6.1.4.1.311.2.1.14"},
		"unstructured name":    {unread(1, 2, 840, 113549, 1, 9, 2), "the attribute 1.2.840.113549.1.9.2"},
		"a password":           {unread(1, 2, 840, 113549, 1, 9, 7), ""},
		"what Windows says":    {unread(1, 3, 6, 1, 4, 1, 311, 13, 2, 3), ""},
		"an unknown extension": {x509.CertificateRequest{ExtraExtensions: []pkix.Extension{extension("1.2.4", []byte{5, 0})}}, "1.2.4"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &Input{CSR: parseRequest(t, &row.template, key), Organization: "Example", Attributes: map[string]string{"a": "v"}, Now: now}
			_, err := b.Content(in)
			if (err == nil) != (row.want == "") || err != nil && (pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

// TestParagraphs: a description may have several lines, and a reason the line feed with
// which YAML ends a block of text.
func TestParagraphs(t *testing.T) {
	source := minimal + "description: |\n  One smart meter.\n  Of two lines.\nrules:\n  - require: \"true\"\n    because: >\n      it is so\n"
	if _, err := Parse([]byte(source)); err != nil {
		t.Error(err)
	}
}
