package signer

import (
	"slices"
	"testing"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// FuzzShape looks for octets that pass as structures of two purposes, and for
// octets that still pass when one more follows them.
func FuzzShape(f *testing.F) {
	private, err := keystore.NewPrivateKey(pki.P256)
	if err != nil {
		f.Fatal(err)
	}
	key, err := tbs.NewPublicKey(private.Public())
	if err != nil {
		f.Fatal(err)
	}
	alg := string(key.SignatureAlgorithm().DER)
	seq := func(content string) string { return "\x30" + string(rune(len(content))) + content }
	empty, null := seq(""), "\x05\x00"
	for p, seed := range map[Purpose]string{
		Certificate: seq("\xa0\x03\x02\x01\x02" + "\x02\x01\x07" + alg + empty + empty + empty + empty + "\xa3\x00"),
		CRL:         seq("\x02\x01\x01" + alg + empty + null),
		OCSP:        seq("\xa2\x16\x04\x14" + string(key.KeyID()) + "\x18\x0f20261001120000Z" + empty),
		Request:     seq("\x02\x01\x00" + empty + string(key.SPKI()) + "\xa0\x00"),
	} {
		if err := p.checkShape(key, []byte(seed)); err != nil {
			f.Fatalf("seed: %v", err)
		}
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var passes []Purpose
		for _, p := range []Purpose{Certificate, CRL, OCSP, Request, Checkpoint} {
			if p.checkShape(key, message) != nil {
				continue
			}
			passes = append(passes, p)
			if p.checkShape(key, append(slices.Clone(message), 0)) == nil {
				t.Errorf("a %s passes with an octet after it", p)
			}
		}
		if len(passes) > 1 {
			t.Errorf("%x passes as %v", message, passes)
		}
	})
}
