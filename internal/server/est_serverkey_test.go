package server

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestServerKeyBySecret: by a secret that is good for one time a device gets a key once,
// encrypted under that secret, also where it asks many times at once; then it is told
// that the key is gone.
func TestServerKeyBySecret(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesEST(t, s, st, "acme", "device")
	_, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Device: "SM-1", Once: true, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	nobody := caller{t: t, s: s, roots: bootstrapOf(t, s)}
	csr := pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "SM-1"},
		pandotest.Attribute{OID: der.OIDDecryptKeyIdentifier, Value: der.Append(nil, asn1.OCTET_STRING, []byte("SM-1"))})
	body := []byte(base64.StdEncoding.EncodeToString(csr))
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("SM-1:"+text.Reveal()))
	before := certificatesStored(t, s)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var good []*http.Response
	for range 6 {
		wg.Go(func() {
			answer := nobody.est("POST", estPath("acme.device", "serverkeygen"), body, "Authorization", basic)
			mu.Lock()
			defer mu.Unlock()
			if answer.StatusCode == http.StatusOK {
				good = append(good, answer)
			} else if answer.StatusCode != http.StatusConflict {
				t.Errorf("%s", answer.Status)
			}
		})
	}
	wg.Wait()
	if len(good) != 1 {
		t.Fatalf("%d answers with a key, want 1", len(good))
	}
	message, c := keyAndCertificate(t, good[0])
	opened, err := cms.Open(message, cms.OpenOptions{}, cms.Key{Password: text})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(opened.Content)
	if err != nil {
		t.Fatal(err)
	}
	if !c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.(crypto.Signer).Public()) || c.Subject.CommonName != "SM-1" {
		t.Errorf("%s, or the key is another's", c.Subject)
	}
	for _, operation := range []string{"serverkeygen", "simpleenroll"} {
		answer := nobody.est("POST", estPath("acme.device", operation), body, "Authorization", basic)
		said, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusConflict || operation == "serverkeygen" && !strings.Contains(string(said), "kept nowhere") {
			t.Errorf("%s: %s %s", operation, answer.Status, said)
		}
	}
	if got := certificatesStored(t, s) - before; got != 1 {
		t.Errorf("%d certificates were issued, want 1", got)
	}
}

// keyAndCertificate reads the two parts of an answer with a key.
func keyAndCertificate(t *testing.T, answer *http.Response) ([]byte, *x509.Certificate) {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(answer.Body, parameters["boundary"])
	var contents [2][]byte
	for i := range contents {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if contents[i], err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text))); err != nil {
			t.Fatal(err)
		}
	}
	message, err := pkcs7.Parse(contents[1])
	if err != nil {
		t.Fatal(err)
	}
	return contents[0], message.Certificates[0]
}
