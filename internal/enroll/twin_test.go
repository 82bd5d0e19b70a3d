package enroll_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// twins returns a key and the other one that its secret makes.
func twins(t *testing.T) (key, twin crypto.Signer) {
	t.Helper()
	key = pandotest.Key(t, pki.P256)
	raw, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(raw))
	if twin, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), n.FillBytes(raw)); err != nil {
		t.Fatal(err)
	}
	return key, twin
}

// TestTwinKey: whoever has a secret has its negative too, whose public key is another.
// It is neither a key for a second device nor a way around the block list.
func TestTwinKey(t *testing.T) {
	h := newHouse(t, "meter")
	enrolled := func(key crypto.Signer, device string) error {
		_, err := h.Enroll.Enroll(t.Context(), h.request("meter", pandotest.CSR(t, key, pkix.Name{SerialNumber: device})))
		return err
	}
	for range 4 { // whichever of the two has the lesser hash
		key, twin := twins(t)
		device := string(pki.NewID(h.Now()))
		if err := enrolled(key, device+"-1"); err != nil {
			t.Fatal(err)
		}
		refused(t, enrolled(twin, device+"-2"), pki.DuplicateKey)
	}
	key, twin := twins(t)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.BlockKeys(t.Context(), h.Permit(t, pki.Platform, access.ManageBlocklist), [][32]byte{sha256.Sum256(spki)}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []crypto.Signer{key, twin} {
		refused(t, enrolled(k, "SM-9"), pki.BadKey)
	}
}
