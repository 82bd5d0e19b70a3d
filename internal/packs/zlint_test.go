package packs_test

import (
	"crypto"
	"testing"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

// TestZlint has the authorities of each pack, and a certificate of each end-entity
// profile and each allowed kind of key, checked by zlint's rules for any PKI. What
// a profile of a pack excepts is in the profile, with its reason.
func TestZlint(t *testing.T) {
	keys := make(map[pki.KeyKind]crypto.Signer) // each is made once: RSA takes its time
	for _, name := range packs.Names() {
		p := get(t, name)
		tr := grow(t, p)
		for _, a := range p.Authorities {
			t.Run(name+"/"+a.Name, func(t *testing.T) { check(t, profileOf(t, p, a.Profile, nil), tr.authorities[a.Name].der) })
		}
		for _, leaf := range leaves(t, p) {
			profile := profileOf(t, p, leaf, nil)
			for _, kind := range profile.KeyKinds() {
				t.Run(name+"/"+leaf+"/"+string(kind), func(t *testing.T) {
					if keys[kind] == nil {
						keys[kind] = generate(t, kind)
					}
					certificate, err := tr.issue(t, tr.issuerOf(t, leaf), profile, sample(t, leaf, keys[kind]))
					if err != nil {
						t.Fatal(err)
					}
					check(t, profile, certificate)
				})
			}
		}
	}
}

func check(t *testing.T, profile *policy.Profile, certificate []byte) {
	t.Helper()
	for _, f := range profile.Zlint(certificate) {
		t.Log(f)
		if f.Level == policy.Failing {
			t.Fail()
		}
	}
}
