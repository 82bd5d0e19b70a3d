package specimen

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Verdict is what zlint has against what a profile makes.
type Verdict struct {
	// Tried are the kinds of key of the specimens that it read. It is empty where the
	// profile refuses every sample: then nothing is known before the first request.
	Tried    []pki.KeyKind
	Findings []policy.Finding // errors first
}

// Lint issues specimens of a profile for samples of requests, one for each family of
// keys that it allows, and has zlint read them. A profile whose expressions cost more
// than they may for a sample is PolicyRefused.
func Lint(profile *policy.Profile, now time.Time) (*Verdict, error) {
	v := new(Verdict)
	for _, kind := range families(profile.KeyKinds()) {
		key, err := publicKey(kind)
		if err != nil {
			return nil, err
		}
		findings, ok, err := read(profile, key, now)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		v.Tried = append(v.Tried, kind)
		for _, f := range findings {
			if !slices.Contains(v.Findings, f) {
				v.Findings = append(v.Findings, f)
			}
		}
	}
	slices.SortStableFunc(v.Findings, func(a, b policy.Finding) int { return strings.Compare(string(a.Level), string(b.Level)) })
	return v, nil
}

// Err is a PolicyRefused error where what the profile makes would not be signed.
func (v *Verdict) Err() error {
	if err := policy.Failure(v.Findings); err != nil {
		return pki.Because(pki.PolicyRefused, err, "no certificate of this profile would be signed: %v; change it, or except the rule with a reason (lint: except)", err)
	}
	return nil
}

// families returns the first kind of each family of keys, of RSA the smallest.
func families(kinds []pki.KeyKind) (firsts []pki.KeyKind) {
	var seen []string
	for _, kind := range slices.SortedStableFunc(slices.Values(kinds), func(a, b pki.KeyKind) int {
		if strings.HasPrefix(string(a), "rsa") && strings.HasPrefix(string(b), "rsa") {
			return strings.Compare(string(a), string(b))
		}
		return 0
	}) {
		family := strings.TrimRight(string(kind), "0123456789")
		if !slices.Contains(seen, family) {
			seen, firsts = append(seen, family), append(firsts, kind)
		}
	}
	return firsts
}

// read has zlint read a specimen for the first sample that the profile accepts. A
// profile of authorities may be a root's: where zlint has something against it under
// another, it is tried as one that issues itself.
func read(profile *policy.Profile, key tbs.PublicKey, now time.Time) (findings []policy.Finding, ok bool, err error) {
	for in := range samples(profile, key, now) {
		m, err := prepare(Config{Profile: profile, Input: *in})
		if policy.CostsTooMuch(err) {
			return nil, false, pki.Because(pki.PolicyRefused, err, "not even a sample of a request can be decided: %s; write expressions that cost less", pki.DetailOf(err))
		}
		if kind := pki.KindOf(err); kind == pki.PolicyRefused || kind == pki.BadKey {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		findings = profile.Zlint(m.unsigned())
		if policy.Failure(findings) == nil || !profile.CA() {
			return findings, true, nil
		}
		if m, err = prepare(Config{Profile: profile, Input: *in, self: true}); err != nil {
			return nil, false, err
		}
		if alone := profile.Zlint(m.unsigned()); policy.Failure(alone) == nil {
			findings = alone
		}
		return findings, true, nil
	}
	return nil, false, nil
}

// samples yields requests of the sorts that profiles are written for: with names and
// without, and with device ids of two forms.
func samples(profile *policy.Profile, key tbs.PublicKey, now time.Time) func(yield func(*policy.Input) bool) {
	const host = "sample.example"
	name := tbs.Name{{OID: der.OIDCommonName, Value: host}}
	hosts := []tbs.GeneralName{{Kind: tbs.DNSName, Text: host}}
	return func(yield func(*policy.Input) bool) {
		attributes := map[string]string{"sid": "S-1-5-21-1004336348-1177238915-682003330-1107"} // of an account, for Microsoft's
		for _, text := range profile.Texts() {
			if strings.HasPrefix(text, "@") { // the domain of its users
				attributes["upn"] = "sample" + text
			}
		}
		for _, device := range []pki.DeviceID{"SAMPLE-0001", "00124B0001020304"} {
			for _, csr := range []tbs.CSR{{Subject: name, Names: hosts}, {Names: hosts}, {Subject: name}, {}} {
				csr.Key = key
				in := &policy.Input{
					CSR: &csr, Tenant: "sample", Organization: "Sample Organization", Endpoint: "sample.endpoint", Protocol: pki.ProtocolREST,
					Names: pki.Names{DNS: []string{host}}, Device: device, Placement: pki.Placement{ProductLine: "Sample", Lot: "SAMPLE-1", Site: "Sample"},
					Requester: policy.Requester{ID: "token:sample", Name: "Sample", Role: "factory-operator"}, Now: now,
					Attributes: attributes,
				}
				if !profile.CA() && !profile.SignsOCSP() && !yield(in) {
					return
				}
				named := *in // by the server: an authority, or a key of its own
				named.CommonName = "Sample Authority"
				if !yield(&named) {
					return
				}
			}
		}
	}
}

// publicKey returns a key that nothing will be signed with. RSA's takes long to make,
// so that the process keeps one.
func publicKey(kind pki.KeyKind) (tbs.PublicKey, error) {
	if kind == pki.RSA2048 {
		return publicRSA()
	}
	_, public, err := newKey(kind)
	return public, err
}

var publicRSA = sync.OnceValues(func() (tbs.PublicKey, error) {
	_, public, err := newKey(pki.RSA2048)
	return public, err
})
