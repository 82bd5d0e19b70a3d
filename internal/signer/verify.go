package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/pando-pki/pando/internal/p256"
	"github.com/pando-pki/pando/internal/tbs"
)

// tableAfter is how many signatures of a key are checked without a table: one that
// signs seldom needs none.
const tableAfter = 64

// A table is what is computed of a key on P-256 whose signatures are checked often;
// its zero value has none yet.
type table struct {
	checks atomic.Int32
	once   sync.Once
	of     *p256.Verifier // set by once; nil for another key
}

// get returns the table of a key, nil where it has none: also where nothing but Go's
// FIPS 140-3 module is to compute.
func (t *table) get(key *openKey) *p256.Verifier {
	if fips140.Enabled() {
		return nil
	}
	if t.checks.Load() < tableAfter {
		t.checks.Add(1)
		return nil
	}
	t.once.Do(func() {
		public, ok := key.public.Crypto().(*ecdsa.PublicKey)
		if ok && public.Curve == elliptic.P256() {
			t.of, _ = p256.New(public) // none: crypto/ecdsa checks
		}
	})
	return t.of
}

// verify checks a signature of the key's own. The table says of most that they are
// good; what it does not say that of, crypto/ecdsa decides.
func (k *openKey) verify(alg tbs.SignatureAlgorithm, message, signature []byte) error {
	if alg.Hash == crypto.SHA256 {
		if v := k.table.get(k); v != nil {
			if digest := sha256.Sum256(message); v.Verify(&digest, signature) {
				return nil
			}
		}
	}
	return k.public.Verify(alg, message, signature)
}
