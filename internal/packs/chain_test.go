package packs_test

import (
	"crypto"
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// now is the moment at which the tests issue.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const organization = "Example Meters"

// A made certificate, with those above it up to the root.
type made struct {
	der   []byte
	above [][]byte
}

// An authority of the tests with its key.
type authority struct {
	made
	params policy.IssuerParams
	key    crypto.Signer
}

// A tree is a pack's hierarchy, made.
type tree struct {
	pack        *packs.Pack
	authorities map[string]*authority
	now         time.Time
	serial      byte
}

// examples are values for all parameters of a pack.
func examples(p *packs.Pack) map[string]string {
	values := make(map[string]string)
	for _, o := range p.Parameters {
		values[o.Name] = o.Example
	}
	return values
}

// profileOf returns a profile of the pack, filled with examples and others.
func profileOf(t testing.TB, p *packs.Pack, name string, others map[string]string) *policy.Profile {
	t.Helper()
	values := examples(p)
	maps.Copy(values, others)
	text, err := p.Source(name, values)
	if err != nil {
		t.Fatal(err)
	}
	profile, err := policy.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return profile
}

// allowing returns an authority's profile that allows another kind of key.
func allowing(t testing.TB, p *packs.Pack, name string, kind pki.KeyKind) *policy.Profile {
	t.Helper()
	text, err := p.Source(name, examples(p))
	if err != nil {
		t.Fatal(err)
	}
	allow := regexp.MustCompile(`(?m)^keys: \{allow: \[[^]]*\]`)
	if len(allow.FindAll(text, -1)) != 1 {
		t.Fatalf("%s: no keys on one line", name)
	}
	profile, err := policy.Parse(allow.ReplaceAll(text, []byte("keys: {allow: ["+string(kind)+"]")))
	if err != nil {
		t.Fatal(err)
	}
	return profile
}

func get(t testing.TB, name string) *packs.Pack {
	t.Helper()
	p, err := packs.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// grow makes the pack's hierarchy, now.
func grow(t testing.TB, p *packs.Pack) *tree {
	t.Helper()
	return growAt(t, p, now)
}

func growAt(t testing.TB, p *packs.Pack, when time.Time) *tree {
	t.Helper()
	return growWith(t, p, when, nil)
}

// growWith has the authorities of some profiles have keys of other kinds than the
// pack gives them.
func growWith(t testing.TB, p *packs.Pack, when time.Time, kinds map[string]pki.KeyKind) *tree {
	t.Helper()
	tr := &tree{pack: p, authorities: make(map[string]*authority), now: when.UTC().Truncate(time.Second)}
	for _, a := range p.Authorities {
		profile := profileOf(t, p, a.Profile, nil)
		if kind := kinds[a.Profile]; kind != "" {
			profile = allowing(t, p, a.Profile, kind)
		}
		key := generate(t, profile.KeyKinds()[0])
		public := publicKey(t, key)
		in := &policy.Input{CSR: &tbs.CSR{Key: public}, CommonName: organization + " " + a.CommonName, Organization: organization, Now: tr.now}
		parent := tr.authorities[a.Parent]
		if a.Kind == pki.Root {
			subject, err := profile.Subject(in)
			if err != nil {
				t.Fatal(err)
			}
			parent = &authority{key: key, params: policy.IssuerParams{
				Mode: pki.Production, Subject: subject, KeyID: profile.KeyID(public), Algorithm: public.SignatureAlgorithm(), PathLen: -1, Shards: 1,
			}}
		}
		certificate, err := tr.issue(t, parent, profile, in)
		if err != nil {
			t.Fatalf("%s: %v", a.Name, err)
		}
		parsed, err := tbs.ParseCertificate(certificate)
		if err != nil {
			t.Fatal(err)
		}
		_, pathLen := parsed.IsCA()
		made := made{der: certificate}
		if a.Kind != pki.Root {
			made.above = append([][]byte{parent.der}, parent.above...)
		}
		tr.authorities[a.Name] = &authority{made, policy.IssuerParams{
			ID: pki.IssuerID("0" + a.Name), Authority: a.Name, Mode: pki.Production, Subject: parsed.Subject, KeyID: parsed.SubjectKeyID(),
			Algorithm: public.SignatureAlgorithm(), NotBefore: parsed.NotBefore, NotAfter: parsed.NotAfter, PathLen: pathLen,
			StatusURL: "http://pki.example.com", Shards: 1,
		}, key}
	}
	return tr
}

// issue does what issuance does, with a serial of the test's.
func (tr *tree) issue(t testing.TB, from *authority, profile *policy.Profile, in *policy.Input) ([]byte, error) {
	t.Helper()
	b, err := profile.Bind(pki.ProfileRef{Tenant: "demo", Name: profile.Name(), Version: 1}, from.params)
	if err != nil {
		return nil, err
	}
	c, err := b.Content(in)
	if err != nil {
		return nil, err
	}
	tr.serial++
	c.Serial = pki.Serial{byte(pki.SerialLong)}
	for i := 1; i < len(c.Serial); i++ {
		c.Serial[i] = byte(i)
	}
	c.Serial[len(c.Serial)-1] = tr.serial
	message, err := b.Append(nil, c)
	if err != nil {
		return nil, err
	}
	if err := b.Lint(message, c); err != nil {
		t.Fatal(err)
	}
	signature, err := tbs.Sign(from.key, from.params.Algorithm, message)
	if err != nil {
		t.Fatal(err)
	}
	return tbs.AppendSigned(nil, message, from.params.Algorithm, signature), nil
}

// leaf issues a certificate of an end-entity profile for its sample.
func (tr *tree) leaf(t testing.TB, name string, kind pki.KeyKind) made {
	t.Helper()
	profile := profileOf(t, tr.pack, name, nil)
	if kind == "" {
		kind = profile.KeyKinds()[0]
	}
	from := tr.issuerOf(t, name)
	in := sample(t, name, generate(t, kind))
	in.Now = tr.now
	certificate, err := tr.issue(t, from, profile, in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return made{certificate, append([][]byte{from.der}, from.above...)}
}

// issuerOf returns the authority that issues a profile: that of its endpoint, or the
// last one for what the server enrols itself, which has no endpoint.
func (tr *tree) issuerOf(t testing.TB, profile string) *authority {
	t.Helper()
	for _, e := range tr.pack.Endpoints {
		if e.Profile == profile {
			return tr.authorities[e.Authority]
		}
	}
	if !slices.Contains(ownProfiles, profile) {
		t.Fatalf("no endpoint issues %s", profile)
	}
	return tr.authorities[tr.pack.Authorities[len(tr.pack.Authorities)-1].Name]
}

// ownProfiles are those of the server's own certificates under an authority.
var ownProfiles = []string{policy.ResponderProfile, policy.SCEPSignerProfile, policy.SCEPRecipientProfile}

// leaves returns the end-entity profiles of a pack.
func leaves(t testing.TB, p *packs.Pack) (names []string) {
	t.Helper()
	for _, x := range p.Profiles {
		if !profileOf(t, p, x.Name, nil).CA() {
			names = append(names, x.Name)
		}
	}
	return names
}

// A wish is what a request asks for.
type wish struct {
	subject tbs.Name
	names   []tbs.GeneralName
}

// request makes and parses a request.
func (w wish) request(t testing.TB, key crypto.Signer) *tbs.CSR {
	t.Helper()
	public := publicKey(t, key)
	subject, err := w.subject.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []byte
	if len(w.names) > 0 {
		if names, err = tbs.AppendGeneralNames(nil, w.names); err != nil {
			t.Fatal(err)
		}
	}
	info := tbs.AppendCSR(nil, subject, public, names)
	signature, err := tbs.Sign(key, public.SignatureAlgorithm(), info)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := tbs.ParseCSR(tbs.AppendSigned(nil, info, public.SignatureAlgorithm(), signature))
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func common(name string) tbs.Name { return tbs.Name{{OID: der.OIDCommonName, Value: name}} }

func dns(name string) tbs.GeneralName { return tbs.GeneralName{Kind: tbs.DNSName, Text: name} }

// sample is a request that the profile accepts.
func sample(t testing.TB, profile string, key crypto.Signer) *policy.Input {
	t.Helper()
	in := &policy.Input{Tenant: "demo", Organization: organization, Now: now}
	var w wish
	switch profile {
	case policy.ResponderProfile:
		in.CommonName = "OCSP 1"
	case policy.SCEPSignerProfile, policy.SCEPRecipientProfile:
		in.CommonName = "SCEP 1"
	case "meter", "rni-command", "idevid", "ldevid", "opcua-device", "ieee2030-5-device", "matter-dac":
		in.Device = "M-0001"
	case "wisun-router", "wisun-border-router", "gb-signing", "gb-key-agreement":
		in.Device = "00124B0001020304"
	case "dlms1-signing", "dlms1-key-agreement", "dlms2-signing", "dlms2-key-agreement":
		in.Device = "4D4D4D0000BC614E"
	case "v2g-secc":
		in.Device = "DE*ABC*E00001"
	case "ms-computer", "ms-computer-v1":
		w = wish{common("pc7.corp.example.com"), []tbs.GeneralName{dns("pc7.corp.example.com")}}
		in.Names = pki.Names{DNS: []string{"*.corp.example.com"}}
		in.Attributes = map[string]string{"sid": "S-1-5-21-1004336348-1177238915-682003330-1107"}
	case "ms-user", "ms-user-v1":
		w.subject = common("Ada Example")
		in.Attributes = map[string]string{"sid": "S-1-5-21-1004336348-1177238915-682003330-1108", "upn": "ada@corp.example.com"}
	case "device":
		w = wish{common("gateway 7"), []tbs.GeneralName{dns("gw7.example.com"), {Kind: tbs.URI, Text: "urn:dev:os:32473-7"}}}
	case "firmware-signing":
		w.subject = common("Meter firmware 2026")
	case "tls-server", "tls-client", "head-end":
		w.names = []tbs.GeneralName{dns("head.example.com"), {Kind: tbs.IPAddress, Text: "10.1.2.3"}}
		in.Names = pki.Names{DNS: []string{"*.example.com"}, IP: []string{"10.0.0.0/8"}}
	default:
		t.Fatalf("%s has no sample", profile)
	}
	in.CSR = w.request(t, key)
	return in
}

// generate makes a key of the kind.
func generate(t testing.TB, kind pki.KeyKind) crypto.Signer {
	t.Helper()
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(t testing.TB, key crypto.Signer) tbs.PublicKey {
	t.Helper()
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return public
}
