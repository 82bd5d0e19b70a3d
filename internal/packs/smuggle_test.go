package packs_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

var smuggled = flag.Int("smuggle", 20_000, "how many requests TestNothingGetsIn makes")

// A target is a profile with a plain request for it and what that one gets.
type target struct {
	name    string
	bound   *policy.Bound
	input   *policy.Input
	plain   *x509.Certificate
	subject asn1.RawValue
	names   []asn1.RawValue // GeneralNames of the plain request
	spki    []byte
}

// TestNothingGetsIn asks every profile of the packs, and that of the whole language,
// for what nobody may have: requests made by chance as DER, whose attributes,
// extensions and names the profile does not name or may not take. A request is
// refused, or its certificate is the plain request's but for names that the target's
// profile says it takes from the request. The oracle is crypto/x509 and a comparison
// of bytes. -smuggle 1000000 makes more.
func TestNothingGetsIn(t *testing.T) {
	random := pandotest.Seeded(t)
	targets := targetsOf(t)
	counts := make(map[string]int)
	for range *smuggled {
		target := targets[random.IntN(len(targets))]
		request := target.request(random)
		csr, err := tbs.ParseCSR(request)
		if err != nil {
			counts["unreadable"]++
			continue
		}
		in := *target.input
		in.CSR = csr
		content, err := target.bound.Content(&in)
		if err != nil {
			if kind := pki.KindOf(err); kind != pki.PolicyRefused {
				t.Fatalf("%s: %v\n%x", target.name, err, request)
			}
			counts["refused"]++
			continue
		}
		content.Serial = pki.Serial{byte(pki.SerialLong), 1}
		message, err := target.bound.Append(nil, content)
		if err != nil {
			t.Fatalf("%s: %v\n%x", target.name, err, request)
		}
		certificate, err := x509.ParseCertificate(unsigned(message))
		if err != nil {
			t.Fatalf("%s: %v\n%x", target.name, err, request)
		}
		if why := target.differs(certificate, request); why != "" {
			t.Fatalf("%s: %s\nrequest %x\ncertificate %x", target.name, why, request, message)
		}
		counts["as the plain one"]++
	}
	t.Log(counts)
	for _, fate := range []string{"unreadable", "refused", "as the plain one"} {
		if counts[fate] < *smuggled/100 {
			t.Errorf("of %d requests %d are %s: the test does not reach it", *smuggled, counts[fate], fate)
		}
	}
}

// unsigned makes a certificate of a TBSCertificate without the help of pando: its
// algorithm is read from it, and its signature is none.
func unsigned(message []byte) []byte {
	var raw, algorithm asn1.RawValue
	if _, err := asn1.Unmarshal(message, &raw); err != nil {
		return nil
	}
	rest := raw.Bytes
	for range 3 { // version, serial number, algorithm
		var err error
		if rest, err = asn1.Unmarshal(rest, &algorithm); err != nil {
			return nil
		}
	}
	return tlv(0x30, message, algorithm.FullBytes, []byte{3, 1, 0})
}

// targetsOf makes a target of each end-entity profile of the packs and of the
// language's.
func targetsOf(t *testing.T) (targets []*target) {
	t.Helper()
	for _, name := range packs.Names() {
		p := get(t, name)
		tr := grow(t, p)
		for _, x := range p.Profiles {
			profile := profileOf(t, p, x.Name, nil)
			key := generate(t, profile.KeyKinds()[0])
			var in *policy.Input
			from := authorityOver(t, tr, p, x.Name, profile.CA())
			if from == nil {
				continue // a root, which nobody requests
			}
			if profile.CA() {
				in = &policy.Input{CSR: wish{}.request(t, key), CommonName: "Some CA", Organization: organization, Now: now}
			} else {
				in = sample(t, x.Name, key)
			}
			targets = append(targets, newTarget(t, name+"/"+x.Name, profile, from.params, in))
		}
	}
	source, err := os.ReadFile("../policy/testdata/language.yaml")
	if err != nil {
		t.Fatal(err)
	}
	profile, err := policy.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	params := grow(t, get(t, "ieee-2030-5")).authorities["serca"].params
	params.Authority, params.Mode = "manufacturing", pki.Test
	in := &policy.Input{
		CSR: wish{}.request(t, generate(t, pki.P256)), Tenant: "demo", Organization: organization, Endpoint: "demo.meters", Device: "M-0001",
		Placement: pki.Placement{ProductLine: "E350", Lot: "LOT-7", Site: "Graz"}, Requester: policy.Requester{ID: "token:1", Role: "factory-operator"},
		Attributes: map[string]string{"hw": "00124b0001020304"}, Now: now,
	}
	return append(targets, newTarget(t, "language", profile, params, in))
}

// authorityOver returns what issues a profile in the tree; nil for a root's.
func authorityOver(t *testing.T, tr *tree, p *packs.Pack, name string, ca bool) *authority {
	t.Helper()
	if !ca {
		return tr.issuerOf(t, name)
	}
	for _, a := range p.Authorities {
		if a.Profile == name && a.Parent != "" {
			return tr.authorities[a.Parent]
		}
	}
	return nil
}

func newTarget(t *testing.T, name string, profile *policy.Profile, params policy.IssuerParams, in *policy.Input) *target {
	t.Helper()
	b, err := profile.Bind(pki.ProfileRef{Tenant: "demo", Name: profile.Name(), Version: 1}, params)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c, err := b.Content(in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c.Serial = pki.Serial{byte(pki.SerialLong), 1}
	message, err := b.Append(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := x509.ParseCertificate(unsigned(message))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	made := &target{name: name, bound: b, input: in, plain: plain, spki: in.CSR.Key.SPKI()}
	if _, err := asn1.Unmarshal(in.CSR.SubjectDER, &made.subject); err != nil {
		t.Fatal(err)
	}
	for _, e := range in.CSR.Extensions {
		if e.OID == "2.5.29.17" {
			if _, err := asn1.Unmarshal(e.Value, &made.names); err != nil {
				t.Fatal(err)
			}
		}
	}
	return made
}

// The tags of GeneralNames that requests can get.
const (
	tagDNS = 2
	tagURI = 6
	tagIP  = 7
)

// selfNamed are the profiles that take any common name, host name or URI from the
// request, on purpose; takesNames those that take names, what the endpoint covers or
// any of the form, with the tags of those.
var (
	selfNamed  = []string{"device"}
	takesNames = map[string][]int{
		"tls-server": {tagDNS, tagIP, tagURI}, "tls-client": {tagDNS, tagIP, tagURI}, "head-end": {tagDNS, tagIP, tagURI},
		"everything": {tagDNS}, "ms-computer": {tagDNS}, "ms-computer-v1": {tagDNS}, "device": {tagDNS, tagURI},
	}
)

// differs returns what of a certificate a plain request does not get, or "".
func (g *target) differs(c *x509.Certificate, request []byte) string {
	profile := g.bound.Profile().Name()
	switch {
	case !bytes.Equal(c.RawSubjectPublicKeyInfo, g.plain.RawSubjectPublicKeyInfo):
		return "another key"
	case !bytes.Equal(c.RawIssuer, g.plain.RawIssuer):
		return "another issuer"
	case !c.NotBefore.Equal(g.plain.NotBefore) || !c.NotAfter.Equal(g.plain.NotAfter):
		return "another validity"
	case bytes.Contains(c.RawTBSCertificate, []byte(marker)) && !slices.Contains(selfNamed, profile):
		return "what the request should not get"
	case !bytes.Equal(c.RawSubject, g.plain.RawSubject) && strings.ContainsFunc(c.Subject.String(), odd):
		return "an odd character in the subject"
	case slices.Contains(selfNamed, profile) && !g.namesItself(c):
		return "a subject with more than a common name"
	}
	tags := takesNames[profile]
	san := func(e pkix.Extension) bool { return tags != nil && e.Id.String() == "2.5.29.17" }
	if tags != nil {
		if why := takenNames(findSAN(c), findSAN(g.plain), tags, request); why != "" {
			return why
		}
	}
	got, want := slices.DeleteFunc(slices.Clone(c.Extensions), san), slices.DeleteFunc(slices.Clone(g.plain.Extensions), san)
	if !slices.EqualFunc(got, want, func(a, b pkix.Extension) bool {
		return a.Id.Equal(b.Id) && a.Critical == b.Critical && bytes.Equal(a.Value, b.Value)
	}) {
		return fmt.Sprintf("extensions %v, not %v", got, want)
	}
	return ""
}

// namesItself reports whether the subject is the plain one but for a common name.
func (g *target) namesItself(c *x509.Certificate) bool {
	without := func(name pkix.Name) []pkix.AttributeTypeAndValue {
		return slices.DeleteFunc(slices.Clone(name.Names), func(a pkix.AttributeTypeAndValue) bool { return a.Type.String() == "2.5.4.3" })
	}
	return len(c.Subject.Names) == len(g.plain.Subject.Names) && len([]rune(c.Subject.CommonName)) <= 64 && c.Subject.CommonName == strings.TrimSpace(c.Subject.CommonName) &&
		slices.EqualFunc(without(c.Subject), without(g.plain.Subject), func(a, b pkix.AttributeTypeAndValue) bool {
			return a.Type.Equal(b.Type) && a.Value == b.Value
		})
}

// hostName is what a host name looks like; its last label is no number.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9-]*[a-z-][a-z0-9-]*$`)

// takenNames returns what of the names, as they stand in DER, is none that a request can
// get: each is one of the plain certificate's, or of one of the tags, as it stands in
// the request, and of its form. crypto/x509 passes over names of other tags.
func takenNames(got, plain []byte, tags []int, request []byte) string {
	var names, had []asn1.RawValue
	if got != nil {
		if rest, err := asn1.Unmarshal(got, &names); err != nil || len(rest) > 0 {
			return "names that are not well-formed"
		}
	}
	if plain != nil {
		if _, err := asn1.Unmarshal(plain, &had); err != nil {
			return "plain names that are not well-formed"
		}
	}
	for _, n := range names {
		if slices.ContainsFunc(had, func(p asn1.RawValue) bool { return bytes.Equal(p.FullBytes, n.FullBytes) }) {
			continue
		}
		text := string(n.Bytes)
		switch {
		case n.Class != asn1.ClassContextSpecific || n.IsCompound || !slices.Contains(tags, n.Tag):
			return fmt.Sprintf("a name with tag %d, which the profile does not take", n.Tag)
		case !bytes.Contains(request, n.FullBytes):
			return "a name that was not asked for"
		case n.Tag == tagDNS && (len(text) > 253 || !hostName.MatchString(text)):
			return fmt.Sprintf("a host name that is none: %q", text)
		case n.Tag == tagURI && (strings.ContainsFunc(text, odd) || strings.Contains(text, "/../") || !strings.Contains(text, ":")):
			return fmt.Sprintf("a URI that is none: %q", text)
		}
	}
	return ""
}

// TestTakenNames has the oracle itself see what it is there for.
func TestTakenNames(t *testing.T) {
	id, host, path := tlv(0x88, object(1, 3, 6, 1, 4, 1, 32473, 66)[2:]), tlv(0x82, []byte("gw.example")), tlv(0x86, []byte("http://evil.example/../x"))
	all := []int{tagDNS, tagURI, tagIP}
	if why := takenNames(tlv(0x30, host), nil, all, host); why != "" {
		t.Error(why)
	}
	for what, names := range map[string][]byte{
		"a registeredID": id, "a path that leads out": path, "a wildcard": tlv(0x82, []byte("*.example")), "an address as a host": tlv(0x82, []byte("10.0.0.1")),
		"a mail address": tlv(0x81, []byte("a@gw.example")), "a directoryName": tlv(0xa4, tlv(0x30)), "a NUL": tlv(0x82, []byte("gw\x00.example")),
	} {
		if takenNames(tlv(0x30, names), nil, all, names) == "" {
			t.Errorf("%s passes", what)
		}
	}
	if takenNames(tlv(0x30, host), nil, all, nil) == "" || takenNames(tlv(0x30, id), tlv(0x30, id), all, nil) != "" {
		t.Error("a name that nobody asked for passes, or a plain one does not")
	}
}

// odd reports a character that nobody's name has: NUL, controls, bidi marks.
func odd(r rune) bool { return !unicode.IsPrint(r) }

// marker is in every text that a request should not get through.
const marker = "evil"

// tlv is an element in DER.
func tlv(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	switch n := len(content); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, content...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
	}
}

func object(arcs ...int) []byte {
	encoded, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		panic(err)
	}
	return encoded
}

// request makes a PKCS #10 request whose signature is none, for the target's key.
func (g *target) request(random *rand.Rand) []byte {
	attributes := tlv(0xa0)
	if random.IntN(8) > 0 {
		attributes = tlv(0xa0, tlv(0x30, object(1, 2, 840, 113549, 1, 9, 14), tlv(0x31, tlv(0x30, g.wishes(random)...))))
	}
	info := tlv(0x30, []byte{2, 1, 0}, g.subjectOf(random), g.spki, attributes)
	return tlv(0x30, info, tlv(0x30, object(1, 2, 840, 10045, 4, 3, 2)), []byte{3, 1, 0})
}

// text is what no name may be, or what only an entitled one is.
func text(random *rand.Rand) []byte {
	return []byte([...]string{
		"evil.example", "evil\x00.example", "\u202eevil", "evil\u200f.example", "*.evil.example", "Evil evil", "evil\n", strings.Repeat("evil", 20),
		strings.Repeat("evil.", 60) + "example", "evil@evil.example", "http://evil.example/../x", "10.evil", "xn--evil",
	}[random.IntN(13)])
}

// subjectOf is the plain subject, often with more: other attributes, those of the
// plain one a second time, RDNs of several values.
func (g *target) subjectOf(random *rand.Rand) []byte {
	rdns := [][]byte{g.subject.Bytes}
	for range random.IntN(3) {
		attribute := func() []byte {
			oid := [][]byte{object(2, 5, 4, 3), object(2, 5, 4, 5), object(2, 5, 4, 6), object(2, 5, 4, 10), object(2, 5, 4, 11), object(2, 5, 4, 13), object(1, 2, 840, 113549, 1, 9, 1)}[random.IntN(7)]
			return tlv(0x30, oid, tlv([]byte{0x0c, 0x13, 0x16, 0x1e}[random.IntN(4)], text(random)))
		}
		values := [][]byte{attribute()}
		if random.IntN(4) == 0 {
			values = append(values, attribute())
			slices.SortFunc(values, bytes.Compare)
		}
		rdns = append(rdns, tlv(0x31, values...))
	}
	return tlv(0x30, rdns...)
}

// wishes are extensions, now and then one of them twice.
func (g *target) wishes(random *rand.Rand) (extensions [][]byte) {
	var names [][]byte
	for _, n := range g.names {
		names = append(names, n.FullBytes)
	}
	for range random.IntN(3) {
		other := tlv(0xa0, object(1, 3, 6, 1, 4, 1, 311, 20, 2, 3), tlv(0xa0, tlv(0x0c, text(random))))
		names = append(names, [][]byte{
			other, tlv(0x81, text(random)), tlv(0x82, text(random)), tlv(0xa4, tlv(0x30, tlv(0x31, tlv(0x30, object(2, 5, 4, 3), tlv(0x0c, text(random)))))),
			tlv(0x86, text(random)), tlv(0x87, []byte(marker)), tlv(0x87, []byte("evilevilevilevil")), tlv(0x87, []byte("evil!")), tlv(0x88, object(1, 3, 6, 1, 4, 1, 32473, 66)[2:]),
		}[random.IntN(9)])
	}
	oids := func(o ...[]byte) []byte { return tlv(0x30, o...) }
	all := [][2][]byte{
		{object(2, 5, 29, 17), tlv(0x30, names...)},
		{object(2, 5, 29, 19), {0x30, 3, 1, 1, 0xff}},
		{object(2, 5, 29, 19), {0x30, 6, 1, 1, 0xff, 2, 1, byte(random.IntN(5))}},
		{object(2, 5, 29, 15), {3, 2, 1, 0x06}},
		{object(2, 5, 29, 15), {3, 2, 0, byte(random.IntN(255)) | 1}},
		{object(2, 5, 29, 37), oids(object(2, 5, 29, 37, 0))},
		{object(2, 5, 29, 37), oids(object(1, 3, 6, 1, 5, 5, 7, 3, 9), object(1, 3, 6, 1, 5, 5, 7, 3, 1))},
		{object(2, 5, 29, 32), oids(oids(object(2, 5, 29, 32, 0)))},
		{object(2, 5, 29, 14), tlv(4, text(random))},
		{object(2, 5, 29, 35), tlv(0x30, tlv(0x80, text(random)))},
		{object(2, 5, 29, 30), tlv(0x30, tlv(0xa0, tlv(0x30, tlv(0x82, text(random)))))},
		{object(2, 5, 29, 31), tlv(0x30, tlv(0x30, tlv(0xa0, tlv(0xa0, tlv(0x86, text(random))))))},
		{object(1, 3, 6, 1, 5, 5, 7, 1, 1), tlv(0x30, tlv(0x30, object(1, 3, 6, 1, 5, 5, 7, 48, 1), tlv(0x86, text(random))))},
		{object(1, 3, 6, 1, 5, 5, 7, 48, 1, 5), {5, 0}},
		{object(1, 3, 6, 1, 4, 1, 311, 20, 2), tlv(0x0c, text(random))},
		{object(1, 3, 6, 1, 4, 1, 32473, 66, random.IntN(1000)), tlv(4, text(random))},
	}
	chosen := [][2][]byte{all[0]}
	if len(names) == 0 || random.IntN(10) == 0 {
		chosen = nil
	}
	for range random.IntN(4) {
		chosen = append(chosen, all[1+random.IntN(len(all)-1)])
	}
	if len(chosen) == 0 {
		chosen = append(chosen, all[1])
	}
	for _, c := range chosen {
		critical := [][]byte{nil, {1, 1, 0xff}}[random.IntN(2)]
		extensions = append(extensions, tlv(0x30, c[0], critical, tlv(4, c[1])))
	}
	return extensions
}
