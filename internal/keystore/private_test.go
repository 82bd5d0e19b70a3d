package keystore_test

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestPrivateKeys: each kind of key comes back from its PKCS #8 as it was, and what
// it signs verifies.
func TestPrivateKeys(t *testing.T) {
	for _, kind := range pki.KeyKinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			key, err := keystore.NewPrivateKey(kind)
			if err != nil {
				t.Fatal(err)
			}
			pkcs8, err := keystore.MarshalPrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			again, err := keystore.ParsePrivateKey(pkcs8)
			if err != nil {
				t.Fatal(err)
			}
			before, after := public(t, key), public(t, again)
			if before.Kind() != kind || !bytes.Equal(before.SPKI(), after.SPKI()) {
				t.Errorf("a key of kind %s came back as another", before.Kind())
			}
			signature, err := tbs.Sign(again, after.SignatureAlgorithm(), []byte("message"))
			if err != nil {
				t.Fatal(err)
			}
			if err := before.Verify(before.SignatureAlgorithm(), []byte("message"), signature); err != nil {
				t.Error(err)
			}
			if _, err := keystore.ParsePrivateKey(pkcs8[:len(pkcs8)-1]); err == nil {
				t.Error("a key that is cut off is read")
			}
		})
	}
}

func public(t *testing.T, key crypto.Signer) tbs.PublicKey {
	t.Helper()
	p, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func FuzzParsePrivateKey(f *testing.F) {
	for _, kind := range []pki.KeyKind{pki.P256, pki.MLDSA44, pki.SLHDSA} {
		key, err := keystore.NewPrivateKey(kind)
		if err != nil {
			f.Fatal(err)
		}
		pkcs8, err := keystore.MarshalPrivateKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pkcs8)
	}
	f.Fuzz(func(t *testing.T, pkcs8 []byte) {
		key, err := keystore.ParsePrivateKey(pkcs8)
		if (key == nil) == (err == nil) {
			t.Fatalf("%v, %v", key, err)
		}
	})
}
