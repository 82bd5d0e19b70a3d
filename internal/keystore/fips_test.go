package keystore_test

import (
	"testing"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestFIPSOnly: keys of every kind are made and kept, sign and are verified where only
// what FIPS 140-3 approves may be computed.
func TestFIPSOnly(t *testing.T) {
	probes := make(map[string]func(t *testing.T))
	for _, kind := range pki.KeyKinds() {
		probes[string(kind)] = func(t *testing.T) {
			kept, err := keystore.MarshalPrivateKey(pandotest.Key(t, kind))
			if err != nil {
				t.Fatal(err)
			}
			key, err := keystore.ParsePrivateKey(kept)
			if err != nil {
				t.Fatal(err)
			}
			public, err := tbs.NewPublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			message := []byte("message")
			signature, err := tbs.Sign(key, public.SignatureAlgorithm(), message)
			if err == nil {
				err = public.Verify(public.SignatureAlgorithm(), message, signature)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	pandotest.FIPSOnly(t, "key", probes)
}
