package tbs

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/mldsa"

	"github.com/pando-pki/pando/internal/pki"
)

// TestRFC9881 has the certificates of RFC 9881, C.3, read and verified, by circl too.
// Their keys come from the seed of C.1, the octets 0 to 31, and their signatures are
// the deterministic ones: both are made anew here, to the last bit.
func TestRFC9881(t *testing.T) {
	seed := make([]byte, mldsa.PrivateKeySize)
	for i := range seed {
		seed[i] = byte(i)
	}
	for kind, parameters := range map[pki.KeyKind]mldsa.Parameters{
		pki.MLDSA44: mldsa.MLDSA44(), pki.MLDSA65: mldsa.MLDSA65(), pki.MLDSA87: mldsa.MLDSA87(),
	} {
		t.Run(string(kind), func(t *testing.T) {
			text := must(t)(os.ReadFile(filepath.Join("testdata", "rfc9881", parameters.String()+".pem")))
			block, _ := pem.Decode(text)
			parsed, err := ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			private, err := mldsa.NewPrivateKey(parameters, seed)
			if err != nil {
				t.Fatal(err)
			}
			if key := publicKey(t, private); key.Kind() != kind || !bytes.Equal(key.SPKI(), parsed.Key.SPKI()) {
				t.Errorf("the key of the certificate is not the one of the seed")
			}
			if signature := must(t)(private.SignDeterministic(parsed.TBS, nil)); !bytes.Equal(signature, parsed.Signature) {
				t.Error("the deterministic signature is another")
			}
			if err := parsed.CheckSignedBy(parsed); err != nil {
				t.Error(err)
			}
			verifyByCircl(t, kind, parsed.Key, parsed.TBS, parsed.Signature)
			if ca, _ := parsed.IsCA(); !ca || parsed.KeyUsage() != DigitalSignature|KeyCertSign|CRLSign {
				t.Errorf("CA %v, key usage %b", ca, parsed.KeyUsage())
			}
		})
	}
}
