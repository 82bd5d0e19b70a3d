package ceremony_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"os"
	"testing"

	"filippo.io/age"
)

// openKey opens a sealed file as its format says, without this package.
func openKey(t *testing.T, sealed string) crypto.Signer {
	t.Helper()
	f, err := os.Open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := age.NewScryptIdentity(testPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := age.Decrypt(f, id)
	if err != nil {
		t.Fatal(err)
	}
	var content struct{ Key []byte }
	if err := json.NewDecoder(plain).Decode(&content); err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(content.Key)
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer)
}
