package ceremony

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/pki"
)

// FuzzParseRoot holds that what was sealed is refused with a kind, or is a key
// with its own certificate.
func FuzzParseRoot(f *testing.F) {
	r, w, _ := testRoot(f)
	key, err := x509.MarshalPKCS8PrivateKey(w.Signer)
	if err != nil {
		f.Fatal(err)
	}
	good := sealedRoot{Version: 1, Mode: pki.Test, Certificate: r.certificate.Raw, Key: key}
	foreign := good
	_, w, _ = testRoot(f)
	if foreign.Key, err = x509.MarshalPKCS8PrivateKey(w.Signer); err != nil {
		f.Fatal(err)
	}
	for _, s := range []sealedRoot{good, foreign, {Version: 2}, {}} {
		content, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := parseRoot(content)
		if err != nil {
			if kind := pki.KindOf(err); kind != pki.Malformed && kind != pki.BadKey {
				t.Errorf("error %v of kind %v", err, kind)
			}
			return
		}
		// A signature would show the same, but of chance, which misleads the fuzzer.
		public, err := x509.MarshalPKIXPublicKey(r.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(public, r.certificate.Key.SPKI()) {
			t.Error("the key is not the certificate's")
		}
	})
}
