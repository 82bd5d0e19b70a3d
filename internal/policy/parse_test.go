package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
)

// minimal is a profile that says no more than it must.
const minimal = `profile: minimal
keys: {allow: [p256]}
validity: 90d
subject: [{type: CN, from: tenant.organization}]
keyIdentifiers: [authority]
`

func TestParseReference(t *testing.T) {
	type facts struct {
		CA, Shared, SameKey, NeedsDevice bool
		Kinds                            []pki.KeyKind
	}
	rsa := []pki.KeyKind{pki.RSA2048, pki.RSA3072, pki.RSA4096}
	ec := []pki.KeyKind{pki.P256, pki.P384}
	want := map[string]facts{
		"root":             {CA: true, Kinds: []pki.KeyKind{pki.P384}},
		"issuing-ca":       {CA: true, Kinds: []pki.KeyKind{pki.P256}},
		"meter":            {NeedsDevice: true, Kinds: []pki.KeyKind{pki.P256}},
		"device":           {Kinds: append([]pki.KeyKind{pki.P256, pki.P384, pki.Ed25519}, rsa...)},
		"firmware-signing": {Kinds: append(ec[:2:2], pki.RSA3072, pki.RSA4096)},
		"rni-command":      {NeedsDevice: true, Kinds: []pki.KeyKind{pki.P256}},
		"head-end":         {Kinds: ec},
		"tls-server":       {Kinds: append(ec[:2:2], rsa...)},
		"tls-client":       {Kinds: append(ec[:2:2], rsa...)},
		"ocsp-responder":   {Kinds: []pki.KeyKind{pki.P256}},
		"scep-signer":      {Kinds: []pki.KeyKind{pki.RSA2048, pki.RSA3072}},
		"scep-recipient":   {Kinds: []pki.KeyKind{pki.RSA2048, pki.RSA3072}},
	}
	got := make(map[string]facts)
	for _, name := range packs.Story() {
		p := reference(t, name)
		if p.Name() != name {
			t.Errorf("the document of %s names itself %s", name, p.Name())
		}
		if p.Description() == "" {
			t.Errorf("%s has no description", name)
		}
		got[name] = facts{p.CA(), p.SharedKeys(), p.RenewSameKey(), p.NeedsDevice(), p.KeyKinds()}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseKeyRules(t *testing.T) {
	p := parse(t, strings.Replace(minimal, "[p256]", "[p256], reuse: shared, renew: same-key", 1))
	if !p.SharedKeys() || !p.RenewSameKey() || p.CA() || p.NeedsDevice() {
		t.Errorf("shared %t, same key %t, CA %t, device %t", p.SharedKeys(), p.RenewSameKey(), p.CA(), p.NeedsDevice())
	}
}

// TestParseRefuses has one wrong document a row: minimal with something changed.
// Each refusal is Malformed and, where it has a place, shows the line with a caret.
func TestParseRefuses(t *testing.T) {
	change := func(old, new string) string { return strings.Replace(minimal, old, new, 1) }
	add := func(lines string) string { return minimal + lines + "\n" }
	ca := func(lines string) string {
		return strings.Replace(add("keyUsage: {use: [keyCertSign]}\n"+lines), "[authority]", "[subject]", 1)
	}
	subject := func(s string) string { return change("[{type: CN, from: tenant.organization}]", "["+s+"]") }
	for name, row := range map[string]struct{ source, want string }{
		"empty":                  {"", "one YAML document"},
		"two documents":          {minimal + "---\n" + minimal, "one YAML document"},
		"too large":              {minimal + strings.Repeat("#\n", maxDocument/2), "at most 65536 bytes"},
		"long line":              {minimal + "#" + strings.Repeat(" ", maxLine), "at most 1000 bytes"},
		"many tokens":            {minimal + strings.Repeat("a: b\n", maxTokens), "at most 4000 words"},
		"long value":             {change("90d", strings.Repeat("a\n  ", 3000)), "..."},
		"a list":                 {"- a\n", "mapping"},
		"unknown key":            {add("colour: red"), ">  6 | colour: red\n       ^"},
		"unknown inner key":      {change("{allow: [p256]}", "{allow: [p256], reuses: shared}"), `unknown field "reuses"`},
		"duplicate key":          {add("validity: 30d"), `"validity" already defined`},
		"anchor":                 {change("90d", "&a 90d"), "anchors"},
		"alias":                  {add("backdate: *a"), "anchors"},
		"bomb":                   {"a: &a [x,x]\nb: &b [*a,*a]\n", "anchors"},
		"merge key":              {add("<<: {outlive: clip}"), "anchors"},
		"tag":                    {change("90d", "!!str 90d"), "anchors"},
		"null":                   {add("san:"), "anchors"},
		"deep flow":              {strings.Repeat("[", maxLine), "nested too deep"},
		"deep sequence":          {strings.Repeat("- ", maxLine/2), "nested too deep"},
		"complex key":            {strings.Repeat("? ", 100), "complex keys"},
		"no name":                {change("profile: minimal\n", ""), "begins with its name"},
		"bad name":               {change("minimal", "Minimal"), "a name has 1 to 40"},
		"name of another type":   {change("minimal", "[a]"), "one word is needed"},
		"bool":                   {add("ocspNoCheck: yes please"), "a bool is needed here"},
		"no keys":                {change("[p256]", "[]"), "at least one kind of key"},
		"unknown key kind":       {change("p256", "p255"), "a key kind is"},
		"range of EC":            {change("p256", `"p256+"`), "a key kind is"},
		"key kind twice":         {change("p256", "rsa2048+, rsa3072"), "said twice"},
		"unknown reuse":          {change("[p256]", "[p256], reuse: yes"), "per-device or shared"},
		"unknown renew":          {change("[p256]", "[p256], renew: old"), "new-key or same-key"},
		"no validity":            {change("validity: 90d\n", ""), "says its validity"},
		"validity without unit":  {change("90d", "90"), "a period is"},
		"validity of m":          {change("90d", "18m"), "a period is"},
		"no time":                {change("90d", "0d"), "a period is"},
		"101 years":              {change("90d", "101y"), "at most 100 years"},
		"backdate by days":       {add("backdate: 1d"), "backdating is"},
		"backdate without end":   {add("backdate: 99991231235959Z"), "backdating is"},
		"backdate too long":      {add("backdate: 73h"), "backdating is"},
		"backdate as validity":   {change("90d", "1h\nbackdate: 60min"), "shorter than the validity"},
		"backdate past validity": {change("90d", "1d\nbackdate: 48h"), "shorter than the validity"},
		"outlive":                {add("outlive: maybe"), "refuse or clip"},
		"no subject, no san":     {subject(""), "4.1.2.6"},
		"subject not sure":       {subject("{type: CN, from: csr.subject.cn, check: name, optional: true}"), "4.1.2.6"},
		"unknown attribute":      {subject("{type: XX, from: device.id}"), "an attribute type is C"},
		"no attribute":           {subject("{from: device.id}"), "an attribute type is C"},
		"attribute by other OID": {subject("{type: 1.2.840.113549.1.9.1, from: device.id}"), "string type that RFC 5280"},
		"from and value":         {subject("{type: CN, from: device.id, value: x}"), "not both"},
		"neither":                {subject("{type: CN}"), "from or value"},
		"unknown path":           {subject("{type: CN, from: csr.subject.o, check: name}"), "undefined field 'o'"},
		"attribute path":         {subject("{type: CN, from: request.attributes.a-b, check: name}"), "undeclared reference to 'b'"},
		"list in subject":        {subject("{type: CN, from: csr.san.dns, check: dns}"), "one value"},
		"no check":               {subject("{type: CN, from: csr.subject.cn}"), "needs a check"},
		"no check, attributes":   {subject("{type: CN, from: request.attributes.a}"), "needs a check"},
		"unknown check":          {subject("{type: CN, from: csr.subject.cn, check: any}"), "a check is"},
		"authorised text":        {subject("{type: CN, from: csr.subject.cn, check: name, authorized: true}"), "authorized needs"},
		"literal with check":     {subject("{type: CN, value: x, check: dns}"), "needs no check"},
		"literal with control":   {subject(`{type: CN, value: "x\ty"}`), "not printable"},
		"literal country":        {subject("{type: C, value: DEU}"), "2 to 2"},
		"bad pattern":            {subject(`{type: CN, from: device.id, pattern: "["}`), "missing closing"},
		"long pattern":           {subject("{type: CN, from: device.id, pattern: " + strings.Repeat("a", 201) + "}"), "200 bytes"},
		"large pattern":          {subject(`{type: CN, from: device.id, pattern: "((a{10}){10}){10}"}`), "too large"},
		"pattern of two halves":  {subject(`{type: CN, from: device.id, pattern: "a)|(?:b"}`), "unexpected )"},
		"many RDNs":              {subject(strings.Repeat("{type: OU, from: device.id},\n", 33)), "at most 32"},
		"many names":             {add("san:\n  names:\n" + strings.Repeat("  - {ip: {from: csr.san.ip}}\n", 33)), "at most 32"},
		"optional list":          {add("san: {names: [{ip: {from: csr.san.ip, optional: true}}]}"), "without being optional"},
		"san of two kinds":       {add("san: {names: [{dns: {from: csr.san.dns}, ip: {from: csr.san.ip}}]}"), "one of dns"},
		"san of no kind":         {add("san: {names: [{}]}"), "one of dns"},
		"san of another kind":    {add("san: {names: [{dns: {from: csr.san.ip}}]}"), "another kind"},
		"san with check":         {add("san: {names: [{dns: {from: csr.san.dns, check: name}}]}"), "always passes the check dns"},
		"san with type":          {add("san: {names: [{dns: {type: CN, from: csr.san.dns}}]}"), "has no type"},
		"hardware, no type":      {add("san: {names: [{hardwareModuleName: {from: device.id}}]}"), "an OID"},
		"hardware of a list":     {add("san: {names: [{hardwareModuleName: {type: 1.2.3, from: csr.san.dns, check: name}}]}"), "may yield many"},
		"literal dns":            {add("san: {names: [{dns: {value: EXAMPLE}}]}"), "lower case"},
		"required, no names":     {add("san: {required: true}"), "no names"},
		"unknown usage":          {add("keyUsage: {use: [signing]}"), "a key usage is"},
		"usage twice":            {add("keyUsage: {use: [keyAgreement, keyAgreement]}"), "said twice"},
		"no usage":               {add("keyUsage: {use: []}"), "at least one"},
		"usage not for EC":       {add("keyUsage: {use: [keyEncipherment]}"), "5480"},
		"usage not for RSA":      {strings.Replace(add("keyUsage: {use: [keyAgreement]}"), "p256", "rsa2048+", 1), "3279"},
		"usage not for Ed25519":  {strings.Replace(add("keyUsage: {use: [keyAgreement]}"), "p256", "ed25519", 1), "8410"},
		"usage not for ML-DSA":   {strings.Replace(add("keyUsage: {use: [keyEncipherment]}"), "p256", "mldsa65", 1), "9881"},
		"SLH-DSA for no CA":      {change("p256", "slhdsa-sha2-128s"), "CA certificates alone"},
		"unknown purpose":        {add("extendedKeyUsage: {use: [anything]}"), "an extended key usage is"},
		"any purpose":            {add("extendedKeyUsage: {use: [2.5.29.37.0]}"), "anyExtendedKeyUsage"},
		"purpose twice":          {add("extendedKeyUsage: {use: [clientAuth, 1.3.6.1.5.5.7.3.2]}"), "said twice"},
		"no purpose":             {add("extendedKeyUsage: {critical: true}"), "at least one"},
		"policy":                 {add("policies: [high]"), "a policy is an OID"},
		"key identifier":         {change("[authority]", "[issuer]"), "subject or authority"},
		"method of nothing":      {change("[authority]", "{use: [authority], method: short}"), "there is none"},
		"unknown method":         {change("[authority]", "{use: [subject], method: long}"), "sha1 or short"},
		"a place for a value":    {subject("{type: CN, value: $(vid)}"), "$(vid) is a place for a value of yours"},
		"a place in a text":      {subject(`{type: CN, value: "x $(a-b) y"}`), "$(a-b) is a place"},
		"no extension":           {change("keyIdentifiers: [authority]\n", ""), "at least one extension"},
		"no-check":               {add("ocspNoCheck: true"), "OCSPSigning"},
		"certSign without CA":    {ca(""), "4.2.1.9"},
		"CA without certSign":    {add("basicConstraints: {ca: true}\nkeyUsage: {use: [cRLSign]}"), "4.2.1.9"},
		"CA without SKI":         {add("basicConstraints: {ca: true}\nkeyUsage: {use: [keyCertSign]}"), "4.2.1.2"},
		"CA path length":         {ca("basicConstraints: {ca: true, pathLength: -2}"), "pathLength"},
		"path length, no CA":     {add("basicConstraints: {ca: false, pathLength: 0}"), "pathLength"},
		"CA without subject": {strings.Replace(ca("basicConstraints: {ca: true}\nsan: {names: [{ip: {value: 10.0.0.1}}]}"),
			"from: tenant.organization", "from: tenant.organization, optional: true", 1), "4.1.2.6"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(row.source))
			if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), row.want) {
				t.Fatalf("got %v: %v; want malformed: %s", pki.KindOf(err), err, row.want)
			}
		})
	}
}

// FuzzParse looks for panics, for accepted documents that cannot be bound, and
// for errors without a kind.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	for _, name := range packs.Names() {
		pack, err := packs.Get(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, profile := range pack.Profiles {
			source, err := packs.Document(profile.Name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(source)
		}
	}
	params := newIssuer(f, "root").IssuerParams
	params.Mode = pki.Test // for those, too, that are for test authorities
	language, err := os.ReadFile("testdata/language.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(language)
	f.Fuzz(func(t *testing.T, source []byte) {
		p, err := Parse(source)
		if err != nil {
			if pki.KindOf(err) != pki.Malformed {
				t.Fatalf("an error of kind %v: %v", pki.KindOf(err), err)
			}
			return
		}
		if _, err := p.Bind(pki.ProfileRef{}, params); err != nil {
			t.Fatal(err)
		}
	})
}
