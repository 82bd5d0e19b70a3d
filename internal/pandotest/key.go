package pandotest

import (
	"crypto"
	"testing"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// Key makes a key of a kind.
func Key(t testing.TB, kind pki.KeyKind) crypto.Signer {
	t.Helper()
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		t.Fatalf("making a %s key: %v", kind, err)
	}
	return key
}
